"""Tells about a model before there is any data: its layers, and what a picture costs."""

import math
from collections.abc import Sequence
from typing import Any

import pydantic

from components.core.catalog import DATASETS
from components.core.progress import amount
from components.train.settings import TrainSettings
from pipeline.console import option, table
from pipeline.keras_side.ask import ask
from pipeline.keras_side.check import SOME_CLASSES, possible_shapes
from pipeline.keras_side.costs import TRAINING_TIMES, LayerCost, layer_costs, variable_bytes, working_bytes
from pipeline.parameters.parameters import Parameters

SOME_SHAPE = (32, 32, 3)
COLUMNS = ("layer", "type", "output", "parameters", "FLOP", "memory")


class ModelFacts(pydantic.BaseModel):
    """What a model is and costs. Operations (FLOP) and bytes are those of one picture unless a field says otherwise."""

    layers: list[LayerCost]
    precision: str
    device: str
    parameters: int
    trained_parameters: int
    weight_bytes: int
    forward_flops: int
    training_flops: int
    forward_bytes: int = pydantic.Field(description="what a layer reads and writes, of the layer that needs most")
    kept_bytes: int = pydantic.Field(description="every layer's output: what the backward pass needs")
    state_bytes: int = pydantic.Field(
        description="what training holds: weights, gradients, and what the optimizer keeps"
    )


def describe(parameters: Parameters, classes: int | None = None) -> str:
    """The layers, their parameters, and what a picture costs in operations and memory, as text for a terminal."""
    known = DATASETS[parameters.dataset]
    shapes, count = possible_shapes(parameters), classes or len(known.class_names)
    shape = (shapes or [SOME_SHAPE])[0]
    assumed = [
        *([] if len(shapes) == 1 else [f"pictures of {_shape(shape)} (set image_size and color)"]),
        *([] if count else [f"{SOME_CLASSES} classes (set {option('classes')})"]),
    ]
    count = count or SOME_CLASSES
    settings = parameters.model_dump(include=set(TrainSettings.model_fields))
    facts = ModelFacts(**ask("describe", settings=settings, image_shape=shape, class_count=count))
    return "\n".join(
        [
            f"{parameters.dataset}: pictures of {_shape(shape)}, {count} classes",
            *([f"assumed, as only the data can tell: {', '.join(assumed)}"] if assumed else []),
            "",
            _table(facts, parameters),
        ]
    )


def model_facts(settings: dict[str, Any], image_shape: Sequence[int], class_count: int) -> ModelFacts:
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
    forward = sum(layer.flops or 0 for layer in layers)
    return ModelFacts(
        layers=layers,
        precision=policy,
        device=device.name,
        parameters=model.count_params(),
        trained_parameters=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        weight_bytes=variable_bytes(model.weights),
        forward_flops=forward,
        training_flops=TRAINING_TIMES * forward,
        forward_bytes=working_bytes(model),
        kept_bytes=sum(layer.bytes for layer in layers),
        state_bytes=variable_bytes([*model.weights, *model.trainable_weights, *optimizer.variables]),
    )


def _table(facts: ModelFacts, parameters: Parameters) -> str:
    rows = [
        (
            layer.name,
            layer.type,
            _shape(layer.shape),
            f"{layer.parameters:,}",
            "?" if layer.flops is None else _flop(layer.flops),
            amount(layer.bytes, "B"),
        )
        for layer in facts.layers
    ]
    batch = parameters.batch_size
    auto = f", what {facts.device} does well" if parameters.precision == "auto" else ""
    exported = "; twice that as exported, with average_mirrored" if parameters.average_mirrored else ""
    told = [
        ("precision", f"{facts.precision}{auto}"),
        ("parameters", f"{facts.parameters:,}, of which {facts.trained_parameters:,} are trained"),
        ("weights", amount(facts.weight_bytes, "B")),
        ("forward", f"{_flop(facts.forward_flops)}FLOP a picture{exported}"),
        ("", f"{amount(facts.forward_bytes, 'B')} a picture at a time"),
        ("training", f"{_flop(facts.training_flops)}FLOP a picture, about three times the forward pass"),
        ("", f"{amount(facts.kept_bytes, 'B')} a picture, kept until the backward pass has used it"),
        (
            "memory",
            f"{amount(facts.state_bytes, 'B')} for weights, gradients and the optimizer's state, and "
            f"{amount(facts.kept_bytes * batch, 'B')} for a batch of {batch:,}",
        ),
    ]
    uncounted = sorted({layer.type for layer in facts.layers if layer.flops is None})
    notes = [("note", f"not counted: the FLOP of {', '.join(uncounted)}")] if uncounted else []
    lines = [f"{name:<12}{said}" for name, said in (*told, *notes)]
    return "\n".join([table(rows, COLUMNS), "", *lines])


def _shape(shape: Any) -> str:
    """`30 x 30 x 32`."""
    return " x ".join("any" if side is None else str(side) for side in shape)


def _flop(count: float) -> str:
    """`152.3 M`, with a space for the unit behind."""
    return amount(count, "B").removesuffix("B")
