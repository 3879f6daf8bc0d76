"""Whether Keras can build the layers and the optimizer: asked before anything runs."""

from typing import Any

from components.core.catalog import DATASETS
from components.preprocess.settings import sides
from components.train.network.architecture import ARCHITECTURES, parse_architecture
from components.train.optimizer_spec import parse_optimizer
from components.train.settings import TrainSettings
from pipeline.keras_side.ask import StartPython, ask, start_python
from pipeline.parameters.parameters import Parameters

# How many, if only the data can tell.
SOME_CLASSES = 10


def check_model(parameters: Parameters, start: StartPython = start_python) -> None:
    """Has Keras build the optimizer and the layers, on the shape of the pictures if that is known.

    A named architecture on pictures of their own size, and an optimizer without arguments, are known to fit and cost
    nothing; anything else costs the four seconds of loading Keras.

    Raises:
        PipelineError: an unknown layer or argument, or shapes that don't fit; names the layer.
    """
    known_layers = parameters.architecture in ARCHITECTURES and parameters.image_size == "auto"
    if known_layers and not parse_optimizer(parameters.optimizer)[1]:
        return
    ask(
        "check",
        start,
        architecture=parameters.architecture,
        optimizer=parameters.optimizer,
        image_shape=picture_shape(parameters),
        class_count=DATASETS[parameters.dataset].class_count or SOME_CLASSES,
    )


def picture_shape(parameters: Parameters) -> tuple[int, int, int] | None:
    """Height, width and channels as the model will get them; None if only the data can tell."""
    native = DATASETS[parameters.dataset].image_shape
    size = sides(parameters.image_size) or (native and native[:2])
    channels = {"rgb": 3, "grayscale": 1}.get(parameters.color) or (native and native[2])
    return (*size, channels) if size and channels else None


def check(architecture: str, optimizer: str, image_shape: list[int] | None, class_count: int) -> dict[str, Any]:
    """Builds them, in the process that loads Keras; the layers alone if there is no shape.

    Raises:
        PipelineError: names the layer or the argument.
    """
    from components.train.network.model import build_layers, build_model
    from components.train.optimizer import make_optimizer

    layers = parse_architecture(architecture)
    if image_shape is None:
        build_layers(layers)
    else:
        height, width, channels = image_shape
        build_model(layers, (height, width, channels), class_count)
    make_optimizer(TrainSettings.checked(optimizer=optimizer), steps=1)
    return {}
