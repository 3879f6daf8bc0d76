"""The SavedModel that is published: how it is asked, what lies beside it, and how to load it as a server does."""

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from components.core.errors import PipelineError, one_line
from components.core.framework import load_keras

if TYPE_CHECKING:
    import numpy as np

# Its signatures. The first takes `images`, uint8 [batch, height, width, channels], the second `image_bytes`, string
# [batch], JPEG or PNG files; both give `probabilities`, float32 [batch, classes].
PICTURES, BYTES = "serving_default", "encoded"
# The graph: servers take a directory that has it for a model.
SAVED_MODEL = "saved_model.pb"
# The directory that the format leaves to its users; servers ignore it.
EXTRAS = "assets.extra"
# What made an export, and the hashes of its files; beside its SavedModel.
EXPORT_MANIFEST = "manifest.json"
# What a Description says.
DESCRIPTION = f"{EXTRAS}/model.json"


class Description(pydantic.BaseModel):
    """What lies beside a model and tells its classes; all else that is called so is somebody else's."""

    class_names: list[str]
    image_shape: tuple[int, int, Literal[1, 3]]
    resize: Literal["crop", "resize"] = "crop"


def read_description(directory: str | pathlib.Path) -> Description | None:
    """What a version directory says of itself; None if it says nothing, as one that was made elsewhere."""
    try:
        return Description.model_validate_json((pathlib.Path(directory) / DESCRIPTION).read_bytes())
    except (OSError, ValueError):
        return None


def load_answering(directory: str | pathlib.Path) -> "Callable[[np.ndarray], np.ndarray]":
    """`load_served` of arrays: uint8 pictures [n, height, width, channels] to float32 probabilities [n, classes]."""
    served = load_served(directory)
    import tensorflow as tf

    return lambda pictures: served(tf.constant(pictures)).numpy()


def load_served(directory: str | pathlib.Path) -> Callable[[Any], Any]:
    """Loads a version directory; the result takes tensors of pictures and gives tensors of probabilities.

    A SavedModel is a program that TensorFlow runs: load only what is trusted as much as the code.

    Raises:
        PipelineError: it can't be loaded, or has not the signature.
    """
    load_keras()
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(directory))
    except Exception as error:  # TensorFlow raises many kinds for files it can't read
        reason = one_line(error, 300)
        raise PipelineError(
            f"expected a SavedModel in {directory}, received one that can't be loaded: {reason}"
        ) from None
    signature = loaded.signatures.get(PICTURES)
    if signature is None or "probabilities" not in signature.structured_outputs:
        raise PipelineError(f"expected a SavedModel whose signature {PICTURES} gives probabilities in {directory}")

    def answer(pictures: Any) -> Any:
        # `loaded` must live as long as its signatures are asked.
        return loaded.signatures[PICTURES](images=pictures)["probabilities"]

    return answer
