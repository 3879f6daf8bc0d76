"""Pictures in, answers out: decoded in threads while the model is at work on those before."""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np

from components.core.errors import PipelineError
from components.core.machine import usable_cores
from components.core.pictures.decode import MAX_BYTES, Decoded, Target, decode, reason_of
from components.core.storage.parallel import in_order

# Threads that decode. Each holds a batch, and the model takes the cores as well.
MOST_DECODERS = 4
# Reads at a time if each costs a round trip to a store.
READERS = 32
# JSON has no NaN, and no class is the most probable then.
NO_NUMBER = "the model's answer to it is no number"
Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A loaded model, the names of its classes, and the shape it wants pictures in.

    Attributes:
        answer: uint8 pictures [n, height, width, channels] to float32 probabilities [n, classes].
    """

    class_names: list[str]
    target: Target
    answer: Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Batch(Generic[Item]):
    """What came of n items, of which k are readable.

    Attributes:
        reasons: for each item why it is no picture, or an empty string.
        pictures: uint8 [k, height, width, channels], as the model sees them.
        heights, widths: int64 [k], as they lie there.
        probabilities: float32 [k, classes].
    """

    items: Sequence[Item]
    reasons: list[str]
    pictures: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    probabilities: np.ndarray

    @property
    def readable(self) -> list[Item]:
        """The k items."""
        return [item for item, reason in zip(self.items, self.reasons, strict=True) if not reason]


def answered(
    batches: Iterable[Sequence[Item]],
    read: Callable[[Item], bytes],
    classifier: Classifier,
    size_of: Callable[[Item], int] | None = None,
) -> Iterator[Batch[Item]]:
    """Answers batches of items in their order. One that can't be read is answered with the reason, and stops nothing.

    Args:
        read: gives an item's bytes; called in threads. OSError and ValueError say why it is no picture; a
            PipelineError, such as a store that is away, ends it all.
        size_of: an item's bytes, if a read waits for a network, so that many small ones are made at a time.
    """
    target = classifier.target
    nothing = np.empty((0, len(classifier.class_names)), np.float32)
    decoders = min(MOST_DECODERS, usable_cores())
    readers, pool = ThreadPoolExecutor(READERS), ThreadPoolExecutor(decoders)

    def look(batch: Sequence[Item]) -> list[Decoded | str]:
        given = [functools.partial(read, item) for item in batch]
        if size_of is None:
            return [_seen(payload, target) for payload in given]
        reads = zip(map(size_of, batch), given, strict=True)
        return [_seen(coming.result, target) for coming in in_order(reads, readers)]

    def answer(batch: Sequence[Item], seen: list[Decoded | str]) -> Batch[Item]:
        found = [one for one in seen if isinstance(one, Decoded)]
        pictures = np.array([one.pixels for one in found], np.uint8).reshape(len(found), *target.shape)
        heights, widths = np.array([(one.height, one.width) for one in found], np.int64).reshape(-1, 2).T
        probabilities = np.asarray(classifier.answer(pictures)) if found else nothing
        numbers = np.all(np.isfinite(probabilities), axis=1)
        are_numbers = iter(numbers.tolist())
        reasons = [one if isinstance(one, str) else "" if next(are_numbers) else NO_NUMBER for one in seen]
        return Batch(batch, reasons, *(each[numbers] for each in (pictures, heights, widths, probabilities)))

    ahead: collections.deque[tuple[Sequence[Item], Future[list[Decoded | str]]]] = collections.deque()
    try:
        for batch in batches:
            ahead.append((batch, pool.submit(look, batch)))
            if len(ahead) > decoders:
                first, future = ahead.popleft()
                yield answer(first, future.result())
        for first, future in ahead:
            yield answer(first, future.result())
    finally:  # each read of a store that is away takes minutes
        for each in (readers, pool):
            each.shutdown(cancel_futures=True)


def batches_of(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items, `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def refuse_films(size: int) -> None:
    """Raises ValueError for a file that is too large to be a picture, before it is read."""
    if size > MAX_BYTES:
        raise ValueError(f"{size:,} bytes are more than a picture has (at most {MAX_BYTES:,})")


def _seen(payload: Callable[[], bytes], target: Target) -> Decoded | str:
    """The picture as the model sees it, or why it can't be read."""
    try:
        return decode(payload(), None, target)
    except (MemoryError, PipelineError):
        raise
    except OSError as error:
        return error.strerror or reason_of(error)
    except Exception as error:  # Pillow has no common class for what it can't read
        return reason_of(error)
