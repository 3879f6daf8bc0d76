"""Layers as data: a JSON or YAML list of Keras's layers with their arguments, of an architecture or an augmentation.

Nothing here needs Keras, so that a typing mistake is found before it is loaded.
"""

import dataclasses
from typing import Any

from components.core.errors import PipelineError, shown
from components.train import json_or_yaml

FLIPS = ("horizontal", "vertical", "horizontal_and_vertical")  # Keras takes any other for no flip at all


@dataclasses.dataclass(frozen=True)
class LayerSpec:
    """One layer: the name of a class in keras.layers, and the arguments for it."""

    type: str
    arguments: dict[str, Any]


def parse_layers(what: str, text: str, example: str) -> list[LayerSpec]:
    """The layers that a JSON or YAML list describes.

    Args:
        what: the parameter, for people.
        example: a list such as is expected.

    Raises:
        PipelineError: text that is neither JSON nor YAML, or a list of something else than layers.
    """
    try:
        value = json_or_yaml.loads(text)
    except ValueError as reason:
        raise PipelineError(
            f"{what}: expected a JSON or YAML list of layers, received text that is neither: {reason}"
        ) from None
    if not isinstance(value, list):
        raise PipelineError(f"{what}: expected a list of layers such as {example}, received {text!r}")
    layers = [_layer(what, position, entry, example) for position, entry in enumerate(value, start=1)]
    for position, layer in enumerate(layers, start=1):
        mode = layer.arguments.get("mode", FLIPS[0])
        if layer.type == "RandomFlip" and mode not in FLIPS:
            raise PipelineError(
                f"{what}: layer {position} (RandomFlip): expected mode {FLIPS[0]}, {FLIPS[1]} or {FLIPS[2]}, received "
                f"{shown(mode)}"
            )
    return layers


def _layer(what: str, position: int, entry: Any, example: str) -> LayerSpec:
    """`{Flatten: {}}`, or if there are no arguments also `{Flatten: }` and `Flatten`."""
    if isinstance(entry, str):
        return LayerSpec(entry, {})
    if isinstance(entry, dict) and len(entry) == 1:
        [(name, arguments)] = entry.items()
        arguments = {} if arguments is None else arguments
        if isinstance(name, str) and isinstance(arguments, dict) and all(isinstance(key, str) for key in arguments):
            return LayerSpec(name, arguments)
    raise PipelineError(
        f"{what}: expected layer {position} as one name with its arguments, as in {example}, received {entry!r}"
    )
