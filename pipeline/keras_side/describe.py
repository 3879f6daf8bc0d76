"""Tells about a model before there is any data: its layers, and what a picture costs."""

import math
from collections.abc import Sequence
from typing import Any

from components.core.catalog import DATASETS
from components.core.progress import amount
from components.train.settings import TrainSettings
from pipeline.console import option, table
from pipeline.keras_side.ask import ask
from pipeline.keras_side.check import SOME_CLASSES, possible_shapes
from pipeline.keras_side.costs import TRAINING_TIMES, layer_costs, variable_bytes, working_bytes
from pipeline.parameters.parameters import Parameters

SOME_SHAPE = (32, 32, 3)
COLUMNS = ("layer", "type", "output", "parameters", "FLOP", "memory")


def describe(parameters: Parameters, classes: int | None = None) -> str:
    """The layers, their parameters, and what a picture costs in operations and memory, as text for a terminal.

    Raises:
        PipelineError: an unknown layer or argument, or shapes that don't fit.
    """
    known = DATASETS[parameters.dataset]
    shapes, count = possible_shapes(parameters), classes or len(known.class_names)
    shape = (shapes or [SOME_SHAPE])[0]
    assumed = [
        *([] if len(shapes) == 1 else [f"pictures of {_shape(shape)} (set image_size and color)"]),
        *([] if count else [f"{SOME_CLASSES} classes (set {option('classes')})"]),
    ]
    count = count or SOME_CLASSES
    settings = parameters.model_dump(include=set(TrainSettings.model_fields))
    return "\n".join(
        [
            f"{parameters.dataset}: pictures of {_shape(shape)}, {count} classes",
            *([f"assumed, because it depends on the data: {', '.join(assumed)}"] if assumed else []),
            "",
            ask("describe", settings=settings, image_shape=shape, class_count=count),
        ]
    )


def described(settings: dict[str, Any], image_shape: Sequence[int], class_count: int) -> str:
    """The model that these settings of TrainSettings train on this machine, in the process that loads Keras."""
    from components.train.device import choose_policy, find_device
    from components.train.network.architecture import parse_architecture
    from components.train.network.model import build_model
    from components.train.optimizer import make_optimizer

    height, width, channels = image_shape
    checked, device = TrainSettings.checked(**settings), find_device("auto")
    policy = choose_policy(checked.precision, device)
    model = build_model(parse_architecture(checked.architecture), (height, width, channels), class_count, policy)
    optimizer = make_optimizer(checked, steps=checked.epochs)
    optimizer.build(model.trainable_variables)
    layers = layer_costs(model)
    rows = [
        (
            layer.name,
            layer.type,
            _shape(layer.shape),
            f"{layer.parameters:,}",
            "?" if layer.flops is None else _flop(layer.flops),
            amount(layer.bytes, "B"),
        )
        for layer in layers
    ]
    forward = sum(layer.flops or 0 for layer in layers)
    trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    kept = sum(layer.bytes for layer in layers)
    state = variable_bytes([*model.weights, *model.trainable_weights, *optimizer.variables])
    auto = f", chosen for {device.name}" if checked.precision == "auto" else ""
    exported = "; twice that when exported, because of average_mirrored" if checked.average_mirrored else ""
    told = [
        ("precision", f"{policy}{auto}"),
        ("parameters", f"{model.count_params():,}, of which {trained:,} are trained"),
        ("weights", amount(variable_bytes(model.weights), "B")),
        ("forward", f"{_flop(forward)}FLOP per picture{exported}"),
        ("", f"{amount(working_bytes(model), 'B')} of activations per picture, at the peak"),
        ("training", f"{_flop(TRAINING_TIMES * forward)}FLOP per picture, about three times the forward pass"),
        ("", f"{amount(kept, 'B')} of activations per picture, kept for the backward pass"),
        (
            "memory",
            f"{amount(state, 'B')} for weights, gradients and optimizer state, plus "
            f"{amount(kept * checked.batch_size, 'B')} for a batch of {checked.batch_size:,}",
        ),
    ]
    if uncounted := sorted({layer.type for layer in layers if layer.flops is None}):
        told.append(("note", f"not counted: the FLOP of {', '.join(uncounted)}"))
    return "\n".join([table(rows, COLUMNS), "", *(f"{name:<12}{said}" for name, said in told)])


def _shape(shape: Any) -> str:
    """`30 x 30 x 32`."""
    return " x ".join("any" if side is None else str(side) for side in shape)


def _flop(count: float) -> str:
    """`152.3 M`, with a space for the unit behind."""
    return amount(count, "B").removesuffix("B")
