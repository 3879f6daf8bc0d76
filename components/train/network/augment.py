"""Makes a training picture a little different each time it is seen: moved by some pixels, mirrored or not.

It is a layer in front of the training model, so it runs where the model runs, on any backend; the model that is saved
has none of it.
"""

from typing import TYPE_CHECKING, Any

from components.core.framework import load_keras
from components.train.errors import SettingsError

if TYPE_CHECKING:
    import keras

    from components.train.settings import TrainSettings


def make_augmentation(settings: "TrainSettings") -> "keras.layers.Layer | None":
    """The layer that the settings ask for: uint8 [n, height, width, channels] -> the same, changed while training.

    None if nothing is asked for.
    """
    if not settings.augment_flip and not settings.augment_shift:
        return None
    return _layer_class()(settings.augment_flip, settings.augment_shift, settings.seed)


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

        def call(self, pictures: Any, training: bool = False) -> Any:
            if not training:
                return pictures
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
