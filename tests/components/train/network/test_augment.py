"""What training pictures become: by the two flags, and by Keras's own layers, each of which is tried."""

import json

import numpy as np
import pytest

from components.core.errors import PipelineError
from components.core.framework import load_keras
from components.train.device import set_seed
from components.train.network import augmentation
from components.train.network.augment import make_augmentation
from components.train.settings import TrainSettings
from tests.warm import run


def pictures(count: int, height: int = 6, width: int = 5) -> np.ndarray:
    """uint8 [n, height, width, 2], every value of a picture another."""
    return np.arange(count * height * width * 2, dtype=np.uint8).reshape(count, height, width, 2)


def changed(given: np.ndarray, **settings: object) -> np.ndarray:
    change = make_augmentation(TrainSettings.checked(**settings), given.shape[1:])
    return load_keras().ops.convert_to_numpy(change(given, np.zeros(len(given), np.int64), 2)[0])


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


def test_nothing_asked_for_is_no_layer() -> None:
    assert make_augmentation(TrainSettings(), (6, 5, 2)) is None


def test_a_shift_as_large_as_the_picture_is_refused() -> None:
    with pytest.raises(PipelineError, match="augment_shift: expected less than the picture's sides, 6 x 5, received 5"):
        changed(pictures(1), augment_shift=5)


# Keras's layers, with arguments that change something, and how many different pictures 24 equal ones become at least:
# blur, grey, invert and posterization have few outcomes.
LAYERS = {
    "CutMix": ({}, 2),
    "MixUp": ({}, 2),
    "RandAugment": ({}, 12),
    "RandomBrightness": ({"factor": 0.3}, 12),
    "RandomColorDegeneration": ({"factor": 0.5}, 12),
    "RandomColorJitter": ({"brightness_factor": 0.2, "contrast_factor": 0.2, "hue_factor": 0.1}, 12),
    "RandomContrast": ({"factor": 0.4}, 12),
    "RandomErasing": ({}, 8),
    "RandomFlip": ({}, 2),
    "RandomGaussianBlur": ({}, 2),
    "RandomGrayscale": ({}, 2),
    "RandomHue": ({"factor": 0.3}, 12),
    "RandomInvert": ({}, 2),
    "RandomPerspective": ({}, 8),
    "RandomPosterization": ({"factor": 4}, 2),
    "RandomRotation": ({"factor": 0.1}, 12),
    "RandomSaturation": ({"factor": 0.4}, 6),
    "RandomSharpness": ({"factor": 0.5}, 12),
    "RandomShear": ({"x_factor": 0.2, "y_factor": 0.2}, 12),
    "RandomTranslation": ({"height_factor": 0.2, "width_factor": 0.2}, 12),
    "RandomZoom": ({"height_factor": 0.3}, 12),
    "Solarization": ({"addition_factor": 0.2, "threshold_factor": 0.5}, 12),
}
SHAPE = (12, 10, 3)


def listed(*layers: object) -> str:
    return json.dumps(layers)


def test_no_layer_is_left_out_of_the_tests() -> None:
    assert set(LAYERS) == set(augmentation.LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_changes_each_picture_by_itself_from_its_seed_alone(name: str) -> None:
    """Equal pictures become different ones; a seed gives the same again, whatever else drew; bytes stay bytes."""
    arguments, different = LAYERS[name]
    random = np.random.default_rng(3)
    equal = name not in augmentation.MIXING_LAYERS
    given = np.repeat(random.integers(0, 256, (1 if equal else 24, *SHAPE), np.uint8), 24 if equal else 1, axis=0)
    keras = load_keras()

    def steps() -> list[np.ndarray]:
        set_seed(int(random.integers(1000)))
        change = make_augmentation(TrainSettings.checked(augmentation=listed({name: arguments}), seed=5), SHAPE)
        return [keras.ops.convert_to_numpy(change(given, np.zeros(24, np.int64), 4)[0]) for _ in range(2)]

    first, again = steps(), steps()
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert first[0].dtype == np.uint8 and first[0].shape == given.shape
    assert len({picture.tobytes() for picture in first[0]} - {picture.tobytes() for picture in given}) >= different - 1


def test_mixed_labels_are_shares_of_the_mixed_pictures() -> None:
    """Pictures of one value a class: what a mixed picture's mean is tells its shares."""
    labels = np.arange(32) % 2
    given = np.broadcast_to((labels * 200).astype(np.uint8)[:, None, None, None], (32, *SHAPE))
    for name in augmentation.MIXING_LAYERS:
        change = make_augmentation(TrainSettings.checked(augmentation=listed({name: {}}), seed=1), SHAPE)
        pictures, shares = (load_keras().ops.convert_to_numpy(each) for each in change(given, labels, 3))
        assert shares.sum(axis=1) == pytest.approx(np.ones(32), abs=1e-5)
        assert shares[:, 2].max() == 0
        # CutMix's box is cut at whole pixels, its share is not.
        assert pictures.mean(axis=(1, 2, 3)) / 200 == pytest.approx(shares[:, 1], abs=0.2 if name == "CutMix" else 0.01)
        assert ((shares[:, 1] > 0.1) & (shares[:, 1] < 0.9)).any()


def test_the_flags_stand_before_the_list() -> None:
    given = pictures(20)
    both = changed(given, augment_flip=True, augmentation=listed({"RandomInvert": {"factor": [1, 1]}}))
    assert np.array_equal(both, 255 - changed(given, augment_flip=True))


def test_two_layers_of_a_kind_draw_independently() -> None:
    half = {"RandomInvert": {"factor": [0.5, 0.5]}}
    found = changed(pictures(200), augmentation=listed(half, half))
    unchanged = np.mean([np.array_equal(one, picture) for one, picture in zip(found, pictures(200), strict=True)])
    assert 0.3 < unchanged < 0.7  # all of them, if both drew the same


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (listed("RandomFlop"), r"augmentation: layer 1 \(RandomFlop\): unknown layer; did you mean 'RandomFlip'"),
        (
            listed("RandomFlip", {"RandomCrop": {"height": 4, "width": 4}}),
            r"layer 2 \(RandomCrop\) can't be used: .*shape",
        ),
        (listed({"RandomFlip": {"mode": "sideways"}}), "expected mode horizontal, vertical or .*, received 'sideways'"),
        (listed("AugMix"), "AugMix.* can't be used: it draws from Python's own random numbers"),
        (listed("RandomElasticTransform"), "can't be used: .*JAX"),
        (listed("AutoContrast"), "can't be used: it changes every picture alike"),
        (listed({"RandomFlip": {"seed": 3}}), "expected no argument 'seed', since it follows from the parameter seed"),
        (listed({"RandomContrast": {"factor": 0.2, "value_range": [0, 1]}}), "pictures have values from 0 to 255"),
        (listed("Solarization"), r"layer 1 \(Solarization\): expected arguments, since without any it inverts every"),
        ("RandomFlip", "augmentation: expected a list of layers such as"),
        (listed({"Conv2D": {"filters": 3}}), "unknown layer"),
    ],
)
def test_what_is_no_augmentation_is_refused_without_keras(text: str, said: str) -> None:
    with pytest.raises(PipelineError, match=said):
        TrainSettings.checked(augmentation=text)


@pytest.mark.parametrize(
    ("layer", "shape", "said"),
    [
        (
            {"RandomFlip": {"mod": "horizontal"}},
            SHAPE,
            r"layer 1 \(RandomFlip\): unknown argument 'mod'; did you mean 'mode'",
        ),
        ({"RandomRotation": {"factor": 0.1, "fill_mode": "up"}}, SHAPE, r"layer 1 \(RandomRotation\).*fill_mode"),
        ({"MixUp": {"alpha": "lots"}}, SHAPE, r"channels\): (?!in user code).*lots"),
        ({"RandomHue": {"factor": 0.2}}, (12, 10, 1), r"RandomHue\) doesn't take pictures of 12 x 10 x 1"),
    ],
)
def test_what_keras_refuses_is_one_line(layer: dict, shape: tuple[int, int, int], said: str) -> None:
    with pytest.raises(PipelineError, match=said):
        make_augmentation(TrainSettings.checked(augmentation=listed(layer)), shape)


UNDER_JAX = """
import json, sys
from components.train.network.augment import make_augmentation
from components.train.settings import TrainSettings
for name, arguments in json.loads(sys.argv[1]).items():
    make_augmentation(TrainSettings(augmentation=json.dumps([{name: arguments}])), (12, 10, 3))
assert "tensorflow" not in sys.modules
print("all")
"""


def test_jax_traces_every_layer_without_tensorflow(warm_jax: str) -> None:
    done = run(warm_jax, UNDER_JAX, json.dumps({name: arguments for name, (arguments, _) in LAYERS.items()}))
    assert done.stdout.endswith("all\n"), done.stdout
