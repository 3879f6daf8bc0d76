import numpy as np
import pytest

from components.core.framework import load_keras
from components.train.network.augment import make_augmentation
from components.train.settings import TrainSettings


def pictures(count: int, height: int = 6, width: int = 5) -> np.ndarray:
    """uint8 [n, height, width, 2], every value of a picture another."""
    return np.arange(count * height * width * 2, dtype=np.uint8).reshape(count, height, width, 2)


def changed(given: np.ndarray, **settings: object) -> np.ndarray:
    layer = make_augmentation(TrainSettings.checked(**settings))
    return load_keras().ops.convert_to_numpy(layer(given, training=True))


def every_shift(picture: np.ndarray, shift: int) -> list[np.ndarray]:
    """A picture moved in each way that is allowed, what comes in being its reflection, as numpy pads it."""
    height, width, _ = picture.shape
    padded = np.pad(picture, ((shift, shift), (shift, shift), (0, 0)), mode="reflect")
    steps = range(2 * shift + 1)
    return [padded[y : y + height, x : x + width] for y in steps for x in steps]


def test_a_shift_moves_each_picture_by_itself_and_reflects_at_the_edge() -> None:
    given = pictures(200)
    found = changed(given, augment_shift=2)
    seen = set()
    for picture, moved in zip(given, found, strict=True):
        [place] = [place for place, one in enumerate(every_shift(picture, 2)) if np.array_equal(one, moved)]
        seen.add(place)
    assert len(seen) == 25


def test_a_flip_mirrors_about_half_and_changes_nothing_else() -> None:
    given = pictures(400)
    found = changed(given, augment_flip=True)
    mirrored = [np.array_equal(one, picture[:, ::-1]) for one, picture in zip(found, given, strict=True)]
    kept = [np.array_equal(one, picture) for one, picture in zip(found, given, strict=True)]
    assert [not each for each in mirrored] == kept
    assert 150 < sum(mirrored) < 250  # 200 expected, five standard deviations each way


def test_the_seed_decides() -> None:
    given = pictures(50)
    first, again, other = (changed(given, augment_shift=2, augment_flip=True, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_outside_training_nothing_is_changed() -> None:
    given = pictures(8)
    layer = make_augmentation(TrainSettings.checked(augment_shift=2, augment_flip=True))
    assert np.array_equal(load_keras().ops.convert_to_numpy(layer(given)), given)


def test_nothing_asked_for_is_no_layer() -> None:
    assert make_augmentation(TrainSettings()) is None


def test_a_shift_as_large_as_the_picture_is_refused() -> None:
    from components.core.errors import PipelineError

    with pytest.raises(PipelineError, match="augment_shift: expected less than the picture's sides, 6 x 5, received 5"):
        changed(pictures(1), augment_shift=5)
