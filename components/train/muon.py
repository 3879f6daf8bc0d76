"""Muon for convolutions (https://kellerjordan.github.io/posts/muon/).

Keras's own Muon orthogonalizes the update of weights with two dimensions and leaves all others to AdamW, so that in a
Conv2D network it is AdamW by another name. Here a convolution's kernel counts as the matrix that it is: one column a
filter. The layers that answer, and all vectors, stay with AdamW, as Muon's author advises.
"""

import re
from typing import Any

from components.core.framework import load_keras


def conv_muon() -> type:
    """Builds the class when Keras is there to derive it from."""
    keras = load_keras()
    ops = keras.ops
    base: Any = keras.optimizers.Muon

    class Muon(base):
        """keras.optimizers.Muon, its arguments and formulas, applied to the kernels of convolutions alone."""

        def _should_use_adamw(self, variable: Any) -> bool:
            # A depthwise kernel, whose filters see one channel each, is no matrix of filters: its last axis is 1.
            no_matrix = len(variable.shape) != 4 or variable.shape[-1] == 1
            return no_matrix or any(re.search(keyword, variable.path) for keyword in self.exclude_layers)

        def zeropower_via_newtonschulz5(self, kernel: Any, steps: int) -> Any:
            """float [height, width, channels, filters] -> the same shape, its filters near orthonormal, which
            `lr_adjust` then scales: both see a matrix [height * width * channels, filters]."""
            return super().zeropower_via_newtonschulz5(ops.reshape(kernel, (-1, kernel.shape[-1])), steps)

        def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
            self.assign_add(m, ops.add(gradient, m * (self.momentum - 1)))
            direction = ops.add(gradient, self.momentum * m) if self.nesterov else m
            update = self.zeropower_via_newtonschulz5(direction, self.ns_steps)
            self.assign_sub(variable, ops.reshape(self.lr_adjust(lr * update), variable.shape))

    return Muon
