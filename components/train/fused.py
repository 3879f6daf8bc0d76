"""What Keras computes in many passes over memory and can be had in one. Same mathematics, same variables.

TensorFlow has one kernel for Adam: nearly all of the article's 11 million weights lie in one Dense layer, and their
update is a sixth of its float32 step. And one for batch normalization: a fifth of a step of the `fast` architecture in
bfloat16 on a CPU (1.64 against 1.29 ms of CPU time a picture), as Keras casts to float32 and takes mean and variance by
themselves.

JAX looks for the largest value of a pooling's window once more on the way back, and scatters the gradient to it: on a
GPU five values are written a window for that, and all of them sorted if it is to be `deterministic`. By comparisons it
is one pass; on a CPU that saves a quarter of a step of `fast` in float32 (0.34 against 0.46 s of CPU time for 100).
"""

from typing import Any

import numpy as np

from components.core.framework import load_keras


def fused_layers() -> dict[type, type]:
    """The classes for Keras's that the model takes to train, by the backend."""
    layers = load_keras().layers
    if load_keras().backend.backend() == "jax":
        return {layers.MaxPooling2D: fused_max_pooling()}
    # Not max pooling, on a GPU neither: where layers augment, or if it is deterministic, XLA compiles nothing, and
    # TensorFlow finds the least of bytes on the processor alone: every batch would go there and back.
    return {layers.BatchNormalization: fused_batch_normalization()}


def fused_max_pooling() -> type:
    """Builds the class when Keras is there to derive it from."""
    keras = load_keras()
    ops = keras.ops
    base: Any = keras.layers.MaxPooling2D

    class FusedMaxPooling2D(base):
        """keras.layers.MaxPooling2D; if its windows touch and don't overlap, the gradient of each goes to the first of
        its largest values, as Keras has it, by comparisons alone."""

        def call(self, inputs: Any) -> Any:
            pool, (high, wide), (_, height, width, channels) = super().call, self.pool_size, inputs.shape
            rows, columns = height // high, width // wide
            over = height % high or width % wide  # what is left over at an edge is in no window if that is "valid"
            whole = rows and columns and (self.padding == "valid" or not over) and high * wide < 128  # places are bytes
            if not whole or tuple(self.strides) != (high, wide) or self.data_format != "channels_last":
                return pool(inputs)

            @ops.custom_gradient
            def pooled(values: Any) -> Any:
                largest = pool(values)
                windows = values[:, : rows * high, : columns * wide]
                windows = ops.reshape(windows, (-1, rows, high, columns, wide, channels))
                order = np.arange(high * wide, dtype=np.int8).reshape(high, 1, wide, 1)
                places = ops.where(windows == largest[:, :, None, :, None], order, high * wide)
                first = ops.min(places, axis=(2, 4), keepdims=True)

                def gradient(upstream: Any) -> Any:
                    found = ops.where(first == order, upstream[:, :, None, :, None], ops.zeros((), upstream.dtype))
                    found = ops.reshape(found, (-1, rows * high, columns * wide, channels))
                    return ops.pad(found, ((0, 0), (0, height % high), (0, width % wide), (0, 0)))

                return largest, gradient

            return pooled(inputs)

    return FusedMaxPooling2D


def fused_adam() -> type:
    """Builds the class when Keras is there to derive it from."""
    import keras
    import tensorflow as tf

    class FusedAdam(keras.optimizers.Adam):
        """keras.optimizers.Adam, the same formula (algorithm 1 of https://arxiv.org/abs/1412.6980 in the order of its
        section 2, epsilon outside the bias correction), computed by `ResourceApplyAdam`."""

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            if self.amsgrad or isinstance(gradient, tf.IndexedSlices):
                super().update_step(gradient, variable, learning_rate)
                return
            dtype = variable.dtype
            step = tf.cast(tf.convert_to_tensor(self.iterations) + 1, dtype)
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyAdam(
                var=_handle(variable),
                m=_handle(self._momentums[index]),
                v=_handle(self._velocities[index]),
                beta1_power=tf.pow(tf.cast(self.beta_1, dtype), step),
                beta2_power=tf.pow(tf.cast(self.beta_2, dtype), step),
                lr=tf.cast(learning_rate, dtype),
                beta1=tf.cast(self.beta_1, dtype),
                beta2=tf.cast(self.beta_2, dtype),
                epsilon=tf.cast(self.epsilon, dtype),
                grad=tf.cast(gradient, dtype),
            )

    def _handle(variable: Any) -> Any:
        return (variable.value if isinstance(variable, keras.Variable) else variable).handle

    return FusedAdam


def fused_batch_normalization() -> type:
    """Builds the class when Keras is there to derive it from."""
    import keras
    import tensorflow as tf

    class FusedBatchNormalization(keras.layers.BatchNormalization):
        """keras.layers.BatchNormalization, computed by `FusedBatchNormV3` where that can: over the last of four
        axes, with scale and offset, in the batch's own type."""

        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            fits = len(inputs.shape) == 4 and self.axis in (-1, 3) and self.scale and self.center and mask is None
            plain = not self.renorm and not self.synchronized and self.variable_dtype == "float32"
            if not (training and self.trainable and fits and plain):
                return super().call(inputs, training=training, mask=mask)
            result = tf.raw_ops.FusedBatchNormV3(
                x=inputs,
                scale=tf.convert_to_tensor(self.gamma),
                offset=tf.convert_to_tensor(self.beta),
                mean=tf.zeros([0]),
                variance=tf.zeros([0]),
                epsilon=self.epsilon,
                is_training=True,
            )
            values = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
            variance = result.batch_variance * (values - 1) / values  # the kernel's is the unbiased one, Keras's not
            for moving, batch in ((self.moving_mean, result.batch_mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + batch * (1 - self.momentum))
            return result.y

    return FusedBatchNormalization
