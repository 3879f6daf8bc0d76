"""The model artifact, which train writes and evaluate, choose and export read.

model.keras     the best epoch's weights: uint8 pictures [batch, height, width, channels] in, float32 probabilities
                [batch, classes] out, every layer in float32
training.json   history by epoch, every parameter, versions, device, throughput, the data set it was trained on, and
                the model it was started from, if there is one
learned.npy     the hashes of the pictures that it has learned from (picture_hashes.py), as far as they are known

The model artifact of a sweep's trial also holds trial.json (trial.py).
"""

import pathlib
from typing import Any

import pydantic

from components.core.artifacts.dataset import DatasetInfo
from components.core.errors import PipelineError, one_line
from components.core.files import read_json
from components.core.framework import load_keras

MODEL_FILE = "model.keras"
TRAINING_FILE = "training.json"


class Training(pydantic.RootModel[dict[str, Any]]):
    """What training.json says."""


def model_file(artifact: str | pathlib.Path) -> pathlib.Path:
    """The model of a model artifact."""
    return pathlib.Path(artifact) / MODEL_FILE


def read_training(artifact: str | pathlib.Path) -> dict[str, Any]:
    """How the model of an artifact was trained: what training.json says.

    Raises:
        PipelineError: there is none, or it can't be read.
    """
    return read_json(Training, pathlib.Path(artifact) / TRAINING_FILE, "a model artifact", "run train first").root


def load_model(path: str | pathlib.Path) -> Any:
    """Loads a .keras file, uncompiled, without running code from it.

    Raises:
        PipelineError: there is no such file, or Keras can't read it.
    """
    keras = load_keras()
    path = pathlib.Path(path)
    if not path.is_file():
        raise PipelineError(f"expected a model artifact with {path.name}, received none at {path}; run train first")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a file it can't read
        reason = one_line(error, 300)
        raise PipelineError(f"expected a Keras model in {path}, received one that can't be loaded: {reason}") from None


def load_fitting_model(path: str | pathlib.Path, info: DatasetInfo) -> Any:
    """Loads a .keras file that takes the data set's pictures and answers with its classes.

    Raises:
        PipelineError: as load_model, or the model was made for other pictures or another number of classes.
    """
    model = load_model(path)
    expected, received = tuple(info.image_shape), tuple(model.input_shape[1:])
    if received != expected:
        raise PipelineError(
            f"expected a model for pictures of {expected} (height, width, channels) as in the data set, received one "
            f"for {received}; train on this data set"
        )
    if model.output_shape[-1] != len(info.class_names):
        raise PipelineError(
            f"expected a model with {len(info.class_names)} classes as in the data set, received one with "
            f"{model.output_shape[-1]}; train on this data set"
        )
    return model
