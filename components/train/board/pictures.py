"""Pictures for TensorBoard while training runs: the confusion matrix, and what the model takes some pictures for.

Both are of the first pictures of the validation split, which lies in random order: up to MOST_PICTURES, so that it
costs a fraction of an epoch, and at EPOCHS epochs, as TensorBoard keeps ten pictures a tag.
"""

import math
from typing import Any

import numpy as np

from components.core.artifacts.dataset import DatasetInfo
from components.core.artifacts.dataset_reading import batches, split_count
from components.core.board.drawing import AXES, Shown, confusion_picture, drawn_names, picture_sheet
from components.core.framework import load_keras
from components.train.board.events import EventFiles
from components.train.settings import TrainSettings

keras = load_keras()
Callback: Any = keras.callbacks.Callback

MOST_PICTURES, MOST_BYTES = 1000, 32 << 20
SHOWN = 24
EPOCHS = 9


class ValidationPictures(Callback):
    """Draws after the first epoch, now and then, and after the last.

    Args:
        images, labels: uint8 [n, height, width, channels] and int64 [n].
    """

    def __init__(
        self,
        board: EventFiles,
        settings: TrainSettings,
        images: np.ndarray,
        labels: np.ndarray,
        class_names: list[str],
    ):
        super().__init__()
        self.board, self.images, self.labels, self.class_names = board, images, labels, class_names
        self.every = math.ceil(settings.epochs / EPOCHS)
        self.chunk = min(settings.batch_size, len(labels))  # which fits into the device's memory
        self.drawn = 0

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if epoch == 0 or (epoch + 1) % self.every == 0:
            self._draw(epoch + 1)

    def on_train_end(self, logs: dict | None = None) -> None:
        if self.drawn != (last := len(self.board.log.history)):
            self._draw(last)

    def _draw(self, epoch: int) -> None:
        self.drawn = epoch
        starts = range(0, len(self.labels), self.chunk)
        # Compiled for one shape: the last chunk is filled up by its own pictures once more.
        shape = (self.chunk, *self.images.shape[1:])
        logits = [self.model.predict_on_batch(np.resize(self.images[at : at + self.chunk], shape)) for at in starts]
        probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(np.concatenate(logits)[: len(self.labels)]))
        predicted = probabilities.argmax(axis=1)
        count = len(self.class_names)
        confusion = np.bincount(self.labels * count + predicted, minlength=count**2).reshape(count, count)
        names, legend = drawn_names(self.class_names)
        answers = zip(self.images[:SHOWN], predicted, probabilities, self.labels, strict=False)
        shown = [Shown(picture, names[guess], values[guess], names[true]) for picture, guess, values, true in answers]
        events = self.board.runs["validation"]
        events.image("confusion matrix", confusion_picture(confusion, names), epoch, f"{AXES} {legend}")
        events.image("predictions", picture_sheet(shown), epoch, legend)


def validation_pictures(
    board: EventFiles, settings: TrainSettings, directory: str, info: DatasetInfo
) -> list[ValidationPictures]:
    """The callback, in a list; an empty one if there is no validation split."""
    if not split_count(info, "validation"):
        return []
    count = max(SHOWN, min(MOST_PICTURES, MOST_BYTES // int(np.prod(info.image_shape))))
    images, labels = next(batches(directory, info, "validation", count))
    return [ValidationPictures(board, settings, images, labels, info.class_names)]
