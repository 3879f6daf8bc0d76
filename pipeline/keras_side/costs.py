"""What a model costs: operations and memory of one picture, layer by layer.

A multiplication and the addition that follows it count as two operations (FLOP), as a device's peak rate counts them:

    convolution   2 * output positions * kernel values    (kernel values: height * width * channels / groups * filters)
    dense         2 * inputs * units

(Molchanov et al., https://arxiv.org/abs/1611.06440, appendix A.1). A bias and an activation count one a value each,
pooling its window a value, normalization two a value, and what only moves values or is idle when the model answers
nothing.

Training costs about three times the forward pass: each product has two gradients, by the values and by the weights, and
either takes as much as the product itself.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

TRAINING_TIMES = 3
# Layers whose output is their input in another shape: it takes no memory of its own.
VIEWS = ("Flatten", "Reshape")
# The beginnings of names of layers that compute nothing when the model answers.
FREE = ("Cropping", "Dropout", "Gaussian", "AlphaDropout", "Input", "Permute", "Random", "Repeat", "Spatial",
        "UpSampling", "ZeroPadding", *VIEWS)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """One layer's share. `flops` of one picture's forward pass, None if they are not counted; `bytes` of its output,
    in the precision it has."""

    name: str
    type: str
    shape: tuple[int | None, ...]
    parameters: int
    flops: int | None
    bytes: int


def layer_costs(model: "keras.Model") -> list[LayerCost]:
    """The costs of the layers of a model that uses each once, in its order; a backbone counts as one layer."""
    costs = []
    for layer in model.layers:
        inside = _single(layer)
        flops = [_flops(each) for each in inside]
        cost = LayerCost(
            name=layer.name,
            type=type(layer).__name__,
            shape=tuple(layer.output.shape[1:]),
            parameters=layer.count_params(),
            flops=None if None in flops else sum(filter(None, flops)),
            bytes=sum(0 if type(each).__name__ in VIEWS else _bytes(each.output) for each in inside),
        )
        costs.append(cost)
    return costs


def working_bytes(model: "keras.Model") -> int:
    """The most that one picture's forward pass holds at a time: what a layer reads and what it writes."""
    layers = [each for layer in model.layers for each in _single(layer) if each.weights]
    return max(_bytes(layer.output) + _bytes(layer.input) for layer in layers)


def _single(layer: "keras.layers.Layer") -> list["keras.layers.Layer"]:
    """The layers of a backbone, or the layer itself."""
    inside = getattr(layer, "layers", None)
    return [layer] if inside is None else [single for each in inside for single in _single(each)]


def _flops(layer: "keras.layers.Layer") -> int | None:
    """The operations of one picture's forward pass; None for a layer with weights that nothing here knows."""
    kind = type(layer).__name__
    if kind.startswith(FREE):
        return 0
    outputs = _size(layer.output)
    inputs = _size(layer.input) if hasattr(layer.input, "shape") else outputs  # what several inputs make is as large
    if kind.startswith("Separable"):
        positions = outputs // layer.filters
        return 2 * positions * (_count(layer.depthwise_kernel) + _count(layer.pointwise_kernel)) + _ends(layer, outputs)
    if kind.startswith("Depthwise"):
        positions = outputs // _count(layer.kernel.shape[-2:])
        return 2 * positions * _count(layer.kernel) + _ends(layer, outputs)
    if kind.startswith("Conv") and kind.endswith("Transpose"):
        return 2 * (inputs // layer.kernel.shape[-1]) * _count(layer.kernel) + _ends(layer, outputs)
    if kind.startswith("Conv"):
        return 2 * (outputs // layer.filters) * _count(layer.kernel) + _ends(layer, outputs)
    if kind == "Dense":
        return 2 * (outputs // layer.units) * _count(layer.kernel) + _ends(layer, outputs)
    if "Pooling" in kind:
        return inputs if kind.startswith("Global") else outputs * _count(layer.pool_size)
    if kind.endswith("Normalization") or kind == "Rescaling":
        return 2 * outputs
    return None if layer.weights else outputs


def _ends(layer: "keras.layers.Layer", outputs: int) -> int:
    """A layer's bias and activation."""
    linear = layer.activation is None or layer.activation.__name__ == "linear"
    return outputs * (int(layer.use_bias) + int(not linear))


def variable_bytes(variables: Iterable[Any]) -> int:
    """The memory of weights, or of an optimizer's variables."""
    return sum(_count(variable) * _item_bytes(variable.dtype) for variable in variables)


def _count(values: Any) -> int:
    """How many values: of a shape, of a pool size, or of a weight."""
    return math.prod(getattr(values, "shape", values))


def _size(tensor: Any) -> int:
    return math.prod(tensor.shape[1:])


def _bytes(tensor: Any) -> int:
    return _size(tensor) * _item_bytes(tensor.dtype)


def _item_bytes(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize  # NumPy has no bfloat16
