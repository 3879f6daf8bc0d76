"""Asks a SavedModel what a server's clients will ask it: what is about to be published must answer all of that."""

import io
import pathlib

import numpy as np

from components.core.artifacts.served_model import BYTES, PICTURES
from components.core.errors import PipelineError
from components.core.framework import load_keras
from components.core.pictures.thumbnail import as_image

RUBBISH = b"\x89PNG, or so it says"


def smoke_test(saved_model: str | pathlib.Path, pictures: np.ndarray) -> list[str]:
    """Loads a version directory by its signatures and sends it a batch, one picture, files, and rubbish.

    Args:
        pictures: uint8 [n, height, width, channels], two or more, of the shape the model takes.

    Returns:
        What was asked, in words.

    Raises:
        PipelineError: an answer was no answer, or rubbish was answered, or nothing was after the rubbish.
    """
    load_keras()
    import tensorflow as tf

    loaded = tf.saved_model.load(str(saved_model))
    by_pixels, by_files = loaded.signatures[PICTURES], loaded.signatures[BYTES]

    def asked(what: str, given: dict, like: np.ndarray | None = None, count: int = 1) -> np.ndarray:
        probabilities = (by_files if "image_bytes" in given else by_pixels)(**given)["probabilities"].numpy()
        if len(probabilities) != count or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
            raise _failure(f"a row of probabilities for {what}", f"an answer of shape {probabilities.shape}")
        if like is not None and not np.allclose(probabilities, like, atol=1e-4):
            raise _failure(f"the same answer for {what} as before", "another one")
        return probabilities

    height, width = pictures.shape[1:3]
    odd = (2 * width + 3, height + 1)
    batch = asked("a batch", {"images": tf.constant(pictures)}, count=len(pictures))
    asked("one picture", {"images": tf.constant(pictures[:1])}, like=batch[:1])
    files = tf.constant([_file(picture, "PNG") for picture in pictures])
    asked("PNG files", {"image_bytes": files}, like=batch, count=len(pictures))
    asked("a JPEG file of another size", {"image_bytes": tf.constant([_file(pictures[0], "JPEG", odd)])})
    try:
        by_files(image_bytes=tf.constant([RUBBISH]))
    except tf.errors.InvalidArgumentError:
        pass
    else:
        raise _failure("an error for bytes that are no picture", "an answer")
    asked("a batch after rubbish", {"images": tf.constant(pictures)}, like=batch, count=len(pictures))
    return [
        f"a batch of {len(pictures)}",
        "one picture",
        f"{len(pictures)} PNG files",
        f"a JPEG file of {odd[0]} x {odd[1]} pixels",
        "bytes that are no picture (an error)",
        "the batch once more",
    ]


def _failure(expected: str, received: str) -> PipelineError:
    return PipelineError(
        f"expected the SavedModel to give {expected}, as its clients will ask for, received {received}"
    )


def _file(picture: np.ndarray, kind: str, size: tuple[int, int] | None = None) -> bytes:
    image = as_image(picture)
    file = io.BytesIO()
    (image.resize(size) if size else image).save(file, kind)
    return file.getvalue()
