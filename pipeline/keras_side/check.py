"""Whether Keras can build the layers, the augmentation and the optimizer: asked before anything runs."""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from components.core.catalog import DATASETS
from components.core.revision import code_revision
from components.export.formats.formats import FORMATS, parse_formats
from components.preprocess.settings import sides
from components.train.errors import FitsNoPicturesError, SettingsError
from components.train.network.architecture import ARCHITECTURES, parse_architecture
from components.train.optimizer_spec import parse_optimizer
from components.train.settings import TrainSettings
from pipeline.keras_side.ask import StartPython, ask, start_python
from pipeline.parameters.parameters import Parameters

# The settings of TrainSettings that decide what is built.
BUILT_BY = {"architecture", "optimizer", "augmentation", "average_mirrored"}
# What is taken if only the data can tell.
SOME_CLASSES = 10
SOME_SHAPE = (64, 64, 3)


def check_model(parameters: Parameters, start: StartPython = start_python, fitting: pathlib.Path | None = None) -> None:
    """Has Keras build the optimizer and the layers, on the shapes that the pictures may have if those are known.

    A named architecture on pictures of their own size, and an optimizer without arguments, are known to fit and cost
    nothing; anything else costs the four seconds of loading Keras. Layers of the user's own that are to be exported as
    ONNX or for LiteRT are converted too, as they have no weights yet: two to ten seconds a format.

    Args:
        fitting: the directory that remembers what fits, so that it is asked once.

    Raises:
        PipelineError: an unknown layer or argument, shapes that don't fit, or a layer that a format can't carry; names
            the layer.
    """
    known_layers = parameters.architecture in ARCHITECTURES and parameters.image_size == "auto"
    if known_layers and not parse_optimizer(parameters.optimizer)[1] and not parameters.augmentation:
        return
    shapes = possible_shapes(parameters)
    packages = {name: FORMATS[name].packages for name in parse_formats(parameters.formats)}
    # As far as this machine has what converts and runs them.
    converted = [name for name, needed in packages.items() if needed and all(map(importlib.util.find_spec, needed))]
    about = {
        "settings": parameters.model_dump(include=BUILT_BY),
        "image_shapes": shapes,
        "class_count": len(DATASETS[parameters.dataset].class_names) or SOME_CLASSES,
        "formats": [] if parameters.architecture in ARCHITECTURES else converted,
    }
    known = fitting and fitting / _digest(about)
    if known and known.exists():
        return
    fit = f"that the layers fit pictures of {shapes[0][0]} x {shapes[0][1]}" if shapes else "the layers"
    print(f"checking {fit}: Keras takes some seconds to start", flush=True)
    ask("check", start, **about)
    if known:
        with contextlib.suppress(OSError):  # a folder that can't be written to is told of by whoever needs it
            known.parent.mkdir(parents=True, exist_ok=True)
            known.touch()


def _digest(about: dict[str, Any]) -> str:
    """The digest of all that the answer follows from: what is asked, our code, and the version of Keras."""
    code = [file.read_text("utf-8") for file in sorted(pathlib.Path(__file__).parent.glob("*.py"))]
    known = [about, code, code_revision(), importlib.metadata.version("keras")]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def possible_shapes(parameters: Parameters) -> list[tuple[int, int, int]]:
    """All the shapes that the pictures may come in, in color first; empty if only the data can tell."""
    native = DATASETS[parameters.dataset].image_shape
    size = sides(parameters.image_size) or (native and native[:2])
    channels = {"rgb": (3,), "grayscale": (1,)}.get(parameters.color) or ((native[2],) if native else (3, 1))
    return [(*size, count) for count in channels] if size else []


def build_all(
    settings: dict[str, Any], image_shapes: Sequence[Sequence[int]], class_count: int, formats: Sequence[str] = ()
) -> None:
    """Builds what these settings of TrainSettings say, in the process that loads Keras.

    Layers that fit one of the shapes may be trained. If there are none, only those are refused that fit no pictures.

    Raises:
        PipelineError: names the layer or the argument.
    """
    from components.train.network.augment import make_augmentation
    from components.train.network.model import build_layers, build_model
    from components.train.optimizer import make_optimizer
    from components.train.phases import refuse_unknown_layers
    from pipeline.keras_side.carried import refuse_uncarried

    checked = TrainSettings.checked(**settings)
    layers = parse_architecture(checked.architecture)
    make_optimizer(checked, steps=1)
    if not image_shapes:
        build_layers(layers)
    shapes = [(height, width, channels) for height, width, channels in image_shapes or [SOME_SHAPE]]
    make_augmentation(checked, shapes[0])
    refusals: list[SettingsError] = []
    for shape in shapes:
        try:
            model = build_model(layers, shape, class_count, average_mirrored=checked.average_mirrored)
            break
        except SettingsError as refused:
            refusals.append(refused)
    else:
        if image_shapes or isinstance(refusals[0], FitsNoPicturesError):
            raise refusals[0]
        return  # they may fit the pictures that come
    refuse_unknown_layers(checked.optimizer, model)
    called = [f"layer {position} ({layer.type})" for position, layer in enumerate(layers, start=1)]
    refuse_uncarried(model, formats, called)
