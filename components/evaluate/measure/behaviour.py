"""Tests of the model's behaviour: small changes of a picture keep its class, and nothing is not taken for something.

The test split says how often the model is right on pictures like those it learned from. These say, without labels, how
it takes what serving will bring: other light, another framing, pictures of nothing. Ribeiro et al. (2020), "Beyond
Accuracy: Behavioral Testing of NLP models with CheckList", calls them invariance tests.

    brightness   every other picture 10 % brighter, the rest 10 % darker
    shift        1/32 of its width or height to one side, right, left, down and up in turn: 1 pixel of a 32 x 32 picture
    mirror       left to right; only if that keeps the class, as it does not for digits
    blank        black, grey and white
    noise        32 pictures of evenly distributed random pixels

500 pictures three times: a seventh of evaluating 10,000. Fewer of large ones, as they lie in memory.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from components.core.machine import at_once
from components.core.wording import told_apart

MOST_PICTURES, MOST_BYTES = 500, 128 << 20
BRIGHTER = 0.1
SHIFT = 1 / 32
BLANKS = (0, 128, 255)
NOISE_PICTURES = 32

# uint8 [n, height, width, channels] -> probabilities [n, classes]
Predict = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class BehaviourCheck:
    """One behaviour test: `value` is a share or a certainty, 0 to 1, that must be at least or at most `limit`.

    `shown` says what the model was shown, `example` is one of those pictures.
    """

    name: str
    shown: str
    value: float
    limit: float
    at_least: bool
    example: np.ndarray

    @property
    def passed(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def said(self) -> str:
        """What came of it: a sentence without its end."""
        value = f"{told_apart(100 * self.value, 100 * self.limit, '.1f')} %"
        if self.at_least:
            return f"{value} of test pictures keep their class when {self.shown} (expected: {self.expected})"
        return f"{self.shown} is classified with {value} confidence (expected: {self.expected})"

    @property
    def expected(self) -> str:
        """`80 % or more`."""
        return f"{100 * self.limit:.12g} % or {'more' if self.at_least else 'less'}"


def behaviour_checks(
    predict: Predict,
    pictures: np.ndarray,
    classes: np.ndarray,
    kept: float,
    certain: float,
    mirrored: bool,
    seed: int = 0,
) -> list[BehaviourCheck]:
    """Runs all tests.

    Args:
        predict: the model.
        pictures: uint8 [n, height, width, channels]; 1 or more.
        classes: int64 [n], what the model takes them for.
        kept: least share of pictures that must keep their class under a change.
        certain: certainty above which a blank picture, or the median noise picture, must not be answered.
        mirrored: whether mirrored pictures are of the same class.
        seed: of the noise.
    """
    some = max(4, at_once(pictures.shape[1:]) // 4 * 4)  # shifts go four ways in turn

    def keeps(name: str, shown: str, change: Callable[[np.ndarray], np.ndarray]) -> BehaviourCheck:
        parts = [pictures[at : at + some] for at in range(0, len(pictures), some)]
        found = np.concatenate([predict(change(part)).argmax(axis=1) for part in parts])
        return BehaviourCheck(name, shown, float((found == classes).mean()), kept, True, change(pictures[:4])[0])

    def doubts(name: str, shown: str, nothing: np.ndarray, figure: Callable[[np.ndarray], float]) -> BehaviourCheck:
        return BehaviourCheck(name, shown, float(figure(predict(nothing).max(axis=1))), certain, False, nothing[0])

    blanks = np.stack([np.full(pictures.shape[1:], level, np.uint8) for level in BLANKS])
    noise = np.random.default_rng(seed).integers(0, 256, (NOISE_PICTURES, *pictures.shape[1:]), np.uint8)
    checks = [
        keeps("Brightness", "10 % brighter or darker", brightened),
        keeps("Shift", "shifted by 1/32 of a side", shifted),
    ]
    if mirrored:
        checks.append(keeps("Mirror", "mirrored left to right", lambda some: np.ascontiguousarray(some[:, :, ::-1])))
    # The blank picture that is answered with most certainty, but the typical noise: one in 32 may look like something.
    checks.append(doubts("Blank", "a black, grey or white picture", blanks, np.max))
    checks.append(doubts("Noise", "a picture of random pixels", noise, np.median))
    return checks


def most_pictures(image_shape: tuple[int, int, int]) -> int:
    """How many pictures of that shape to test with."""
    return max(1, min(MOST_PICTURES, MOST_BYTES // math.prod(image_shape)))


def brightened(pictures: np.ndarray) -> np.ndarray:
    """Every other picture times 1.1, the rest times 0.9, as uint8."""
    factors = np.where(np.arange(len(pictures)) % 2 == 0, 1 + BRIGHTER, 1 - BRIGHTER)
    scaled = pictures * factors.astype(np.float32)[:, None, None, None]
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def shifted(pictures: np.ndarray) -> np.ndarray:
    """Each picture moved by 1/32 of its side, the edge repeated; between pixels if that is no whole number."""
    result = np.empty_like(pictures)
    for turn, (axis, sign) in enumerate(((2, 1), (2, -1), (1, 1), (1, -1))):
        result[turn::4] = _moved(pictures[turn::4], axis, sign * SHIFT * pictures.shape[axis])
    return result


def _moved(pictures: np.ndarray, axis: int, pixels: float) -> np.ndarray:
    side = pictures.shape[axis]
    source = (np.arange(side) - pixels).clip(0, side - 1)
    lower = np.floor(source).astype(np.int64)
    upper = np.minimum(lower + 1, side - 1)
    share = (source - lower).astype(np.float32).reshape([side if i == axis else 1 for i in range(4)])
    between = pictures.take(lower, axis) * (1 - share) + pictures.take(upper, axis) * share
    return np.rint(between).astype(np.uint8)
