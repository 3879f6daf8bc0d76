"""Whether the formats that a run is to export can carry its layers: tried by the converters themselves, before anything
is trained. A list of what they can't do would be wrong with their next version."""

import pathlib
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from components.core.errors import PipelineError, one_line
from components.core.framework import load_keras
from components.export.formats.converted import write_litert, write_onnx, write_plain
from components.export.formats.formats import FORMATS
from components.export.formats.runtimes import open_runtime

if TYPE_CHECKING:
    import keras

# Where a converter's or a runtime's own words begin and end, in our errors about an export.
OWN_WORDS, ADVICE = "received one that ", "; leave "
LONGEST_REASON = 200
# Enough to give int8 a range, as nobody looks at the answers.
PICTURES = 4


def refuse_uncarried(model: "keras.Model", formats: Sequence[str], names: list[str]) -> None:
    """Converts the model, with whatever weights it has, to each format that is converted, and runs that once.

    Args:
        names: what to call the layers between the scaling and the last, such as `layer 2 (Conv2D)`.

    Raises:
        PipelineError: a format can't carry it; names the layer, if it is one alone.
    """
    for name in formats:
        if not FORMATS[name].packages or (why := _refusal(model, name)) is None:
            continue
        start = [layer.name for layer in model.layers].index("scale") + 1
        for layer, called in zip(model.layers[start:], names, strict=False):
            if (alone := _refusal(_alone(layer), name)) is not None:
                why = f"architecture: {called} can't be carried by {name}: {alone}"
                break
        else:
            why = f"architecture: the layers can't be carried by {name}: {why}"
        raise PipelineError(f"{why}; take another layer, or leave {name} out of formats")


def _alone(layer: "keras.layers.Layer") -> "keras.Model":
    """A model of that layer, as it is used."""
    keras = load_keras()
    inputs = keras.Input(layer.input.shape[1:], dtype="uint8")
    return keras.Model(inputs, layer(keras.layers.Rescaling(1 / 255)(inputs)))


def _refusal(model: "keras.Model", name: str) -> str | None:
    """Why the format can't carry the model; None if it can."""
    pictures = np.random.default_rng(0).integers(0, 256, (PICTURES, *model.input_shape[1:])).astype(np.uint8)
    with tempfile.TemporaryDirectory() as scratch:
        plain, path = pathlib.Path(scratch) / "plain", pathlib.Path(scratch) / "model"
        try:
            if name == "onnx":
                write_onnx(model, path)
            else:
                write_plain(model, plain)
                write_litert(plain, path, pictures if name == "litert_int8" else None)
            open_runtime(name, path)(pictures)
        except PipelineError as refused:
            said = str(refused).partition(ADVICE)[0]
            return (said.partition(OWN_WORDS)[2] or said)[:LONGEST_REASON]
        except Exception as error:  # each runtime has its own kinds
            return one_line(error, LONGEST_REASON)
    return None
