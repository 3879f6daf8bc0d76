"""Tells about a model before there is any data: `python -m pipeline.keras_side.describe`, in a process of its own.

Reads one JSON line from standard input: {"settings": TrainSettings, "image_shape": [h, w, c], "class_count": n}, and
prints one, a ModelFacts.
"""

import json
import math
import sys

import pydantic

from components.core.errors import one_line_errors
from components.train.settings import TrainSettings
from pipeline.keras_side.costs import TRAINING_TIMES, LayerCost, layer_costs, variable_bytes, working_bytes


class ModelFacts(pydantic.BaseModel):
    """What a model is and costs; operations (FLOP) and bytes are of one picture, but where it says otherwise."""

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
    state_bytes: int = pydantic.Field(description="of training: weights, gradients, and what the optimizer keeps")


def main() -> None:
    """Prints the facts, or one line that names the layer that can't be."""
    with one_line_errors():
        request = json.loads(sys.stdin.readline())
        settings = TrainSettings.checked(**request["settings"])
        facts = model_facts(settings, tuple(request["image_shape"]), request["class_count"])
        print(facts.model_dump_json())


def model_facts(settings: TrainSettings, image_shape: tuple[int, int, int], class_count: int) -> ModelFacts:
    """The model that these settings train on this machine.

    Raises:
        PipelineError: an unknown layer or argument, or shapes that don't fit.
    """
    from components.train.architecture import parse_architecture
    from components.train.device import choose_policy, find_device
    from components.train.model import build_model
    from components.train.optimizer import make_optimizer

    device = find_device("auto")
    policy = choose_policy(settings.precision, device)
    model = build_model(parse_architecture(settings.architecture), image_shape, class_count, policy)
    optimizer = make_optimizer(settings, steps=settings.epochs)
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


if __name__ == "__main__":
    main()
