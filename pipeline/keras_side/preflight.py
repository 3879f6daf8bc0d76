"""What can be known to fail is refused before anything runs."""

import json
import subprocess
import sys

from components.core.catalog import DATASETS
from components.core.errors import PipelineError
from components.preprocess.settings import sides
from components.train.architecture import ARCHITECTURES
from components.train.optimizer_spec import parse_optimizer
from pipeline import ROOT
from pipeline.parameters.parameters import Parameters

# Where only the data can tell.
SOME_CLASSES = 10


def check_model(parameters: Parameters) -> None:
    """Has Keras build the layers, on the shape of the pictures where that is known, and the optimizer.

    A named architecture on pictures of their own size, and an optimizer without arguments, are known to fit and cost
    nothing; anything else costs the four seconds of loading Keras, in a process of its own.

    Raises:
        PipelineError: an unknown layer or argument, or shapes that don't fit; names the layer.
    """
    known_layers = parameters.architecture in ARCHITECTURES and parameters.image_size == "auto"
    if known_layers and not parse_optimizer(parameters.optimizer)[1]:
        return
    known = DATASETS[parameters.dataset]
    request = {
        "architecture": parameters.architecture,
        "optimizer": parameters.optimizer,
        "image_shape": image_shape(parameters),
        "class_count": known.class_count or SOME_CLASSES,
    }
    checked = subprocess.run(
        [sys.executable, "-m", "pipeline.keras_side.check"],
        input=json.dumps(request) + "\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if checked.returncode:
        said = (checked.stderr.strip().splitlines() or ["the check of the architecture ended without a word"])[-1]
        raise PipelineError(said.removeprefix("error: "))


def image_shape(parameters: Parameters) -> tuple[int, int, int] | None:
    """Height, width, channels as the model will get them; None where only the data can tell."""
    native = DATASETS[parameters.dataset].image_shape
    size = sides(parameters.image_size) or (native and native[:2])
    channels = {"rgb": 3, "grayscale": 1}.get(parameters.color) or (native and native[2])
    return (*size, channels) if size and channels else None
