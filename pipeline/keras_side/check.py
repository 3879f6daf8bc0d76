"""Whether Keras can build the layers, the augmentation and the optimizer: asked before anything runs."""

import importlib.util
from typing import Any

from components.core.catalog import DATASETS
from components.core.errors import PipelineError
from components.export.formats.formats import FORMATS, parse_formats
from components.preprocess.settings import sides
from components.train.network.architecture import ARCHITECTURES, parse_architecture
from components.train.optimizer_spec import parse_optimizer
from components.train.settings import TrainSettings
from pipeline.keras_side.ask import StartPython, ask, start_python
from pipeline.parameters.parameters import Parameters

# What is taken if only the data can tell.
SOME_CLASSES = 10
SOME_SHAPE = (64, 64, 3)


def check_model(parameters: Parameters, start: StartPython = start_python) -> None:
    """Has Keras build the optimizer and the layers, on the shape of the pictures if that is known.

    A named architecture on pictures of their own size, and an optimizer without arguments, are known to fit and cost
    nothing; anything else costs the four seconds of loading Keras. Layers of the user's own that are to be exported as
    ONNX or for LiteRT are converted too, as they have no weights yet: two to ten seconds a format.

    Raises:
        PipelineError: an unknown layer or argument, shapes that don't fit, or a layer that a format can't carry; names
            the layer.
    """
    known_layers = parameters.architecture in ARCHITECTURES and parameters.image_size == "auto"
    if known_layers and not parse_optimizer(parameters.optimizer)[1] and not parameters.augmentation:
        return
    ask(
        "check",
        start,
        architecture=parameters.architecture,
        optimizer=parameters.optimizer,
        augmentation=parameters.augmentation,
        image_shape=picture_shape(parameters),
        some_shape=likely_shape(parameters, SOME_SHAPE),
        class_count=DATASETS[parameters.dataset].class_count or SOME_CLASSES,
        average_mirrored=parameters.average_mirrored,
        formats=[] if parameters.architecture in ARCHITECTURES else _converted(parameters.formats),
    )


def _converted(formats: str) -> list[str]:
    """The formats that layers are converted to, as far as this machine has what converts and runs them."""
    found = [name for name in parse_formats(formats) if FORMATS[name].packages]
    return [name for name in found if all(map(importlib.util.find_spec, FORMATS[name].packages))]


def picture_shape(parameters: Parameters) -> tuple[int, int, int] | None:
    """Height, width and channels as the model will get them; None if only the data can tell."""
    native = DATASETS[parameters.dataset].image_shape
    size = sides(parameters.image_size) or (native and native[:2])
    channels = {"rgb": 3, "grayscale": 1}.get(parameters.color) or (native and native[2])
    return (*size, channels) if size and channels else None


def likely_shape(parameters: Parameters, otherwise: tuple[int, int, int]) -> tuple[int, int, int]:
    """What stands in for pictures that only the data can tell: the size that was asked for, in color."""
    size = sides(parameters.image_size)
    return picture_shape(parameters) or ((*size, 3) if size else otherwise)


def check(
    architecture: str,
    optimizer: str,
    augmentation: str,
    image_shape: list[int] | None,
    class_count: int,
    average_mirrored: bool = False,
    formats: list[str] | None = None,
    some_shape: tuple[int, ...] = SOME_SHAPE,
) -> dict[str, Any]:
    """Builds them, in the process that loads Keras; the architecture's layers alone if there is no shape.

    Raises:
        PipelineError: names the layer or the argument.
    """
    from components.train.network.augment import make_augmentation
    from components.train.network.model import build_layers, build_model
    from components.train.optimizer import make_optimizer
    from pipeline.keras_side.carried import refuse_uncarried

    layers = parse_architecture(architecture)
    make_optimizer(TrainSettings.checked(optimizer=optimizer), steps=1)
    if image_shape is None:
        build_layers(layers)
    height, width, channels = image_shape or some_shape
    make_augmentation(TrainSettings.checked(augmentation=augmentation), (height, width, channels))
    try:
        model = build_model(layers, (height, width, channels), class_count, average_mirrored=average_mirrored)
    except PipelineError:
        if image_shape:
            raise
        return {}  # they may fit the pictures that come
    called = [f"layer {position} ({layer.type})" for position, layer in enumerate(layers, start=1)]
    refuse_uncarried(model, formats or [], called)
    return {}
