"""What memory a training takes at the least, told before it is taken: large pictures in front of a Dense layer are the
usual way to ask for more than there is, and the system ends a process for that without a word."""

import math
from typing import Any, NamedTuple

import numpy as np

from components.core.framework import load_keras
from components.core.progress import amount
from components.train.device import Device
from components.train.errors import TooLittleMemoryError
from components.train.network.architecture import backbone_of, parse_architecture
from components.train.network.layer_list import LayerSpec
from components.train.network.model import build_layer
from components.train.optimizer import make_optimizer
from components.train.settings import TrainSettings

SIDES = (512, 384, 256, 224, 192, 128, 96, 64, 48, 32, 24, 16, 8)
# Layers that may give what they were given.
FREE = {"Flatten", "Reshape", "ReLU", "Activation", "Dropout"}


class Need(NamedTuple):
    """Bytes that a training takes at the least.

    Attributes:
        values: what the layers give for a batch, as far as it is kept for the way back.
        weights: the weights, and of those that train their gradient and what the optimizer keeps.
        largest: the layer with the most weights, for people.
    """

    values: float
    weights: float
    largest: str

    @property
    def total(self) -> float:
        return self.values + self.weights


def check_memory(
    settings: TrainSettings, image_shape: tuple[int, int, int], batch_size: int, policy: str, device: Device
) -> None:
    """Refuses a training that can't fit into the device's memory, if that is known.

    Raises:
        TooLittleMemoryError: says what it would take, and what smaller pictures would.
    """
    share, memory = math.ceil(batch_size / (device.count if device.gpus else device.processes)), device.memory
    layers, held = parse_architecture(settings.architecture), _held_of_a_weight(settings)
    lean = bool(device.gpus) and settings.backend == "jax"
    need = least_memory(layers, image_shape, share, policy, held, lean)
    if memory is None or need is None or need.total <= memory:
        return
    height, width, channels = image_shape
    advice = "try a smaller batch_size or other layers"
    for side in SIDES:
        smaller = least_memory(layers, (side, side, channels), share, policy, held, lean)
        if side < min(height, width) and smaller and smaller.total <= memory / 4:
            advice = f"image_size={side} would take {amount(smaller.total, 'B')}; or try a smaller batch_size"
            break
    raise TooLittleMemoryError(
        f"expected a training that fits into {amount(memory, 'B')} of memory, received pictures of {width} x {height} "
        f"that take {amount(need.total, 'B')} at least: {amount(need.values, 'B')} for a batch of {batch_size}, "
        f"{amount(need.weights, 'B')} for weights and their optimizer, most of it in {need.largest}; {advice}"
    )


def least_memory(
    layers: list[LayerSpec],
    image_shape: tuple[int, int, int],
    batch_size: int,
    policy: str,
    held: int,
    lean: bool = False,
) -> Need | None:
    """What the layers take for pictures of that shape; None if they don't fit each other, which build_model tells, or
    begin with a backbone: to know it would take another 3 to 40 seconds to build it.

    Args:
        held: values that are held of each weight.
        lean: whether all but products are computed once more on the way back, as XLA does for a GPU: what it compiles
            of `deep` for an H100 takes 552 MB of 64 pictures of 224 x 224 in bfloat16, not the 915 that it gives.
    """
    if backbone_of(layers):
        return None
    shape: tuple[Any, ...] = (None, *image_shape)
    width = 4 if policy == "float32" else 2
    values, weights = math.prod(image_shape) * width, {}
    try:
        for place, spec in enumerate(layers, start=1):
            where = f"layer {place} ({spec.type})"
            layer = build_layer(where, spec, policy)
            weights[where] = _kernel(layer, shape)
            shape = layer.compute_output_shape(shape)
            kept = weights[where] if lean else spec.type not in FREE
            values += math.prod(shape[1:]) * width if kept else 0
    except Exception:  # whatever it is, building the model finds it too, and says it better
        return None
    return Need(values * batch_size, held * 4 * sum(weights.values()), max(weights, key=weights.__getitem__))


def _held_of_a_weight(settings: TrainSettings) -> int:
    """The values that are held of each weight: itself, its gradient, and what the optimizer keeps, 2 by Adam. Of layers
    that stay frozen it is the weight alone; which those are is not looked at here, so it is that of all."""
    if settings.freeze and settings.freeze_epochs >= settings.epochs:
        return 1
    kernel = load_keras().Variable(np.zeros((1, 1, 2, 3), "float32"))
    optimizer = make_optimizer(settings, steps=1)
    optimizer.build([kernel])
    return 2 + sum(value.shape == kernel.shape for value in optimizer.variables)


def _kernel(layer: Any, shape: tuple[Any, ...]) -> int:
    """The weights of a Dense layer or a convolution; other layers have few."""
    if units := getattr(layer, "units", None):
        return shape[-1] * units
    if filters := getattr(layer, "filters", None):
        if multiplier := getattr(layer, "depth_multiplier", 0):  # a separable one: its pixels' kernel is the small one
            return shape[-1] * multiplier * filters
        return math.prod(layer.kernel_size) * shape[-1] // getattr(layer, "groups", 1) * filters
    return 0
