"""Makes a training picture a little different each time it is seen.

It stands before the model, in each training step, so it runs where the model runs, on any backend; the model that is
saved has none of it. What a step draws follows from the seed, the layer's place in the list and the number of steps
before, and is drawn for the whole batch at once: the same pictures are changed in the same way after a resume, and on
any number of devices. TensorFlow and JAX make other numbers of the same seed.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from components.core.errors import one_line
from components.core.framework import load_keras
from components.train.errors import SettingsError
from components.train.network.augmentation import MIXING_LAYERS, OURS, mixes_labels, parse_augmentation, place_of
from components.train.network.model import build_layer

if TYPE_CHECKING:
    import keras

    from components.train.settings import TrainSettings


class Augmentation:
    """The changes that the settings ask for: augment_shift and augment_flip, then the list of `augmentation`.

    Attributes:
        layers: Keras layers with the seeds of what they draw, which are a model's state.
        mixes: whether labels are changed too, and so are shares of all classes.
    """

    def __init__(self, settings: "TrainSettings", image_shape: tuple[int, int, int]):
        self.layers: list[keras.layers.Layer] = []
        self.mixes = mixes_labels(settings.augmentation)
        if settings.augment_flip or settings.augment_shift:
            self.layers.append(_layer_class()(settings.augment_flip, settings.augment_shift, settings.seed))
            self.layers[0].build((None, *image_shape))
        for position, spec in enumerate(parse_augmentation(settings.augmentation), start=1):
            where = place_of(position, spec)
            arguments = {**spec.arguments, "seed": _seed(settings.seed, position)}
            layer = build_layer(where, type(spec)(spec.type, arguments), "float32", hidden=tuple(OURS))
            _try(where, layer, image_shape)
            self.layers.append(layer)

    def __call__(self, pictures: Any, labels: Any, class_count: int) -> tuple[Any, Any]:
        """Changes a batch, as a part of a training step.

        Args:
            pictures: uint8 [n, height, width, channels].
            labels: int64 [n].

        Returns:
            Pictures as they were given, and labels: int64 [n], or if `mixes` float32 [n, classes] that sum to 1.
        """
        ops = load_keras().ops
        if self.mixes:
            labels = ops.one_hot(ops.reshape(labels, (-1,)), class_count, dtype="float32")
        for layer in self.layers:
            if layer.dtype != "uint8":
                pictures = ops.cast(pictures, "float32")
            if type(layer).__name__ in MIXING_LAYERS:
                pictures, labels = _mixed(layer, pictures, labels)
            else:
                pictures = layer(pictures, training=True)
        # What is served is bytes, so what is learned from is too.
        return ops.cast(ops.clip(ops.round(pictures), 0, 255), "uint8") if _is_float(pictures) else pictures, labels


def make_augmentation(settings: "TrainSettings", image_shape: tuple[int, int, int]) -> Augmentation | None:
    """What the settings ask for on pictures of that shape; None if that is nothing.

    Raises:
        SettingsError: a layer or an argument that can't be, or that doesn't fit the pictures.
    """
    found = Augmentation(settings, image_shape)
    return found if found.layers else None


def _mixed(layer: Any, pictures: Any, labels: Any) -> tuple[Any, Any]:
    """What the layer's own call does, which several devices can't divide if it gives a dictionary."""
    chances = layer.get_random_transformation(pictures, training=True)
    return layer.transform_images(pictures, chances, training=True), layer.transform_labels(labels, chances)


def _seed(seed: int, position: int) -> int:
    """A layer's own seed: two layers, and the same layer of another run, draw independently."""
    return int(np.random.SeedSequence((seed, position)).generate_state(1)[0] >> 1)


def _is_float(values: Any) -> bool:
    return load_keras().backend.standardize_dtype(values.dtype) != "uint8"


def _try(where: str, layer: Any, image_shape: tuple[int, int, int]) -> None:
    """Has the layer traced, without drawing anything: what it can't do is found before anything trains."""
    import keras
    from keras.src.backend import compute_output_spec

    shape = (2, *image_shape)

    def change(pictures: Any, labels: Any) -> Any:
        if type(layer).__name__ in MIXING_LAYERS:
            return _mixed(layer, pictures, labels)[0]
        return layer(pictures, training=True)

    try:
        layer.build(shape if type(layer).__name__ not in MIXING_LAYERS else {"images": shape, "labels": (2, 2)})
        compute_output_spec(change, keras.KerasTensor(shape), keras.KerasTensor((2, 2)))
    except Exception as error:  # Keras raises many kinds for pictures that a layer can't change
        height, width, channels = image_shape
        raise SettingsError(
            f"{where} doesn't take pictures of {height} x {width} x {channels} (height, width, channels): "
            f"{one_line(error, 300)}"
        ) from None


def _layer_class() -> type:
    """Builds the class when Keras is there to derive it from."""
    keras = load_keras()
    ops = keras.ops
    base: Any = keras.layers.Layer

    class ShiftAndFlip(base):
        """Moves each picture by up to `shift` pixels each way, what comes in at an edge being its reflection, and
        mirrors half of them: the two that lose no label on photographs, as in the ResNet paper
        (https://arxiv.org/abs/1512.03385, section 4.2). One gather does both, 1 % of a training step on a CPU."""

        def __init__(self, flip: bool, shift: int, seed: int):
            super().__init__(name="augment", dtype="uint8", trainable=False)
            self.flip, self.shift = flip, shift
            self.seeds = keras.random.SeedGenerator(seed)

        def build(self, shape: tuple) -> None:
            if self.shift >= min(shape[1:3]):
                raise SettingsError(
                    f"augment_shift: expected less than the picture's sides, {shape[1]} x {shape[2]}, "
                    f"received {self.shift}"
                )
            super().build(shape)

        def call(self, pictures: Any) -> Any:
            count = ops.shape(pictures)[0]
            _, height, width, channels = pictures.shape
            rows = _reflected(ops.arange(height) + self._offsets(count), height)
            columns = _reflected(ops.arange(width) + self._offsets(count), width)
            if self.flip:
                mirrored = keras.random.randint((count, 1), 0, 2, seed=self.seeds) == 1
                columns = ops.where(mirrored, width - 1 - columns, columns)
            first_row = ops.reshape(ops.arange(count) * height, (-1, 1))
            places = ops.expand_dims((first_row + rows) * width, 2) + ops.expand_dims(columns, 1)
            return ops.take(ops.reshape(pictures, (-1, channels)), places, axis=0)

        def _offsets(self, count: Any) -> Any:
            """int32 [n, 1], within -shift to shift."""
            return keras.random.randint((count, 1), -self.shift, self.shift + 1, seed=self.seeds)

    def _reflected(places: Any, size: int) -> Any:
        """Places beyond an edge turned back into the picture; the edge itself is not repeated."""
        return size - 1 - ops.abs(size - 1 - ops.abs(places))

    return ShiftAndFlip
