"""What is fused computes what Keras's layers and optimizers compute; Adam's test is test_optimizer.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.train.fused import fused_batch_normalization, fused_max_pooling


def one_step(layer: keras.layers.Layer, values: np.ndarray) -> list[np.ndarray]:
    """Output, gradients of input, scale and offset, and the moving mean and variance after one training step."""
    layer.build(values.shape)
    layer.gamma.assign(np.linspace(0.5, 2, values.shape[-1]))
    layer.beta.assign(np.linspace(-1, 1, values.shape[-1]))
    inputs = tf.constant(values)
    weights = tf.constant(np.random.default_rng(1).normal(size=values.shape), "float32")
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = layer(inputs, training=True)
        loss = tf.reduce_sum(tf.cast(output, "float32") * weights)
    gradients = tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])
    found = [output, *gradients, layer.moving_mean.value, layer.moving_variance.value, layer(inputs)]
    return [tf.cast(value, "float32").numpy() for value in found]


@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-4), ("mixed_bfloat16", 0.1)])
def test_batch_normalization_is_kerass(policy: str, tolerance: float) -> None:
    values = np.random.default_rng(0).normal(2, 3, (8, 5, 5, 3)).astype("float32")
    options = {"momentum": 0.8, "epsilon": 0.01, "dtype": policy}
    ours = one_step(fused_batch_normalization()(**options), values)
    theirs = one_step(keras.layers.BatchNormalization(**options), values)
    for our, their in zip(ours, theirs, strict=True):
        assert our == pytest.approx(their, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize(
    "options",
    [
        *({"axis": 1}, {"scale": False}, {"center": False}, {"renorm": True}, {"trainable": False}),
        *({"dtype": "float64"}, {"dtype": "bfloat16"}, {"dtype": "float16"}),
    ],
)
def test_what_the_kernel_cannot_do_is_left_to_keras(options: dict) -> None:
    values = np.random.default_rng(0).normal(2, 3, (4, 6, 6, 6)).astype("float32")
    ours, theirs = fused_batch_normalization()(**options), keras.layers.BatchNormalization(**options)
    assert np.array_equal(ours(values, training=True), theirs(values, training=True))


@pytest.mark.parametrize("options", [{}, {"pool_size": (2, 3)}, {"pool_size": 3, "strides": 2}, {"padding": "same"}])
def test_max_pooling_and_its_gradient_are_kerass(options: dict) -> None:
    """7 x 11 leaves some over at the edges, and of three values many are the largest of their windows."""
    values = tf.constant(np.random.default_rng(0).integers(0, 3, (4, 7, 11, 2)), "float32")
    found = []
    for layer in (fused_max_pooling()(**options), keras.layers.MaxPooling2D(**options)):
        with tf.GradientTape() as tape:
            tape.watch(values)
            output = layer(values)
            loss = tf.reduce_sum(output * np.random.default_rng(1).normal(size=output.shape).astype("float32"))
        found.append([output.numpy(), tape.gradient(loss, values).numpy()])
    for our, their in zip(*found, strict=True):
        assert np.array_equal(our, their)


@pytest.mark.parametrize(("size", "own", "window"), [(8, 0, 2), (9, 1, 2), (11, 0, 11), (12, 1, 12)])
def test_windows_that_fill_the_picture_are_compared_by_either_padding(size: int, own: int, window: int) -> None:
    """Those of 128 pixels and more are not, as a byte holds no place in them."""
    layer = fused_max_pooling()(window, padding="same")

    @tf.function
    def gradient(values: tf.Tensor) -> tf.Tensor:
        return tf.gradients(layer(values), values)

    operations = gradient.get_concrete_function(tf.TensorSpec((1, size, size, 2))).graph.get_operations()
    assert sum(operation.type == "MaxPoolGrad" for operation in operations) == own
