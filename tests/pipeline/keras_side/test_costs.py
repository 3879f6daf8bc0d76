"""A model's operations against TensorFlow's own count of its graph, and against those worked out by hand."""

import json
import re

import pytest

from components.train.network.architecture import parse_architecture
from components.train.network.model import build_model
from pipeline.keras_side.costs import layer_costs, variable_bytes, working_bytes
from pipeline.keras_side.describe import described

CONVOLUTION = {"Conv2D": {"filters": 8, "kernel_size": 3}}


def counted_by_tensorflow(model) -> int:
    """Of the forward pass of one picture, as TensorFlow's profiler counts the operations of a graph."""
    import tensorflow as tf

    function = tf.function(lambda pictures: model(pictures, training=False), autograph=False)
    graph = function.get_concrete_function(tf.TensorSpec([1, *model.input_shape[1:]], tf.uint8)).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder
    asked = options(options.float_operation()).with_empty_output().build()
    return tf.compat.v1.profiler.profile(graph, options=asked).total_float_ops


@pytest.mark.parametrize(
    "layers",
    [
        "article",
        [{"Conv2D": {"filters": 8, "kernel_size": [5, 3], "strides": 2, "padding": "same", "use_bias": False}}],
        [{"Conv2D": {"filters": 8, "kernel_size": 3, "dilation_rate": 2}}],
        [CONVOLUTION, {"DepthwiseConv2D": {"kernel_size": 3, "depth_multiplier": 2}}],
        [CONVOLUTION, {"SeparableConv2D": {"filters": 16, "kernel_size": 3, "activation": "relu"}}],
        [CONVOLUTION, {"MaxPooling2D": {"pool_size": 3}}, {"AveragePooling2D": {"pool_size": 2}}],
        [CONVOLUTION, "Flatten", {"Dropout": {"rate": 0.5}}, {"Dense": {"units": 64, "activation": "relu"}}],
    ],
    ids=str,
)
def test_operations_are_those_tensorflow_counts(layers) -> None:
    text = layers if isinstance(layers, str) else json.dumps([*layers, "Flatten"])
    model = build_model(parse_architecture(text), (32, 32, 3), 10)
    counted = sum(cost.flops for cost in layer_costs(model))
    # It leaves out activations, and counts a softmax as five a value: 2 % here, and any convolution wrong is more.
    assert counted == pytest.approx(counted_by_tensorflow(model), rel=0.02)


@pytest.mark.parametrize(
    ("layer", "flops"),
    [
        # By hand, from pictures of 8 x 8 x 4: positions * kernel values * 2.
        ({"Conv2D": {"filters": 6, "kernel_size": 3, "groups": 2, "use_bias": False}}, 6 * 6 * (3 * 3 * 2 * 6) * 2),
        ({"Conv2DTranspose": {"filters": 6, "kernel_size": 3, "use_bias": False}}, 8 * 8 * (3 * 3 * 4 * 6) * 2),
        ({"Conv2D": {"filters": 6, "kernel_size": 1, "activation": "relu"}}, 8 * 8 * 6 * (4 * 2 + 2)),
        ({"BatchNormalization": {}}, 8 * 8 * 4 * 2),
        ({"ReLU": {}}, 8 * 8 * 4),
        ({"GlobalMaxPooling2D": {}}, 8 * 8 * 4),
        ({"ZeroPadding2D": {}}, 0),
    ],
    ids=str,
)
def test_operations_are_those_worked_out_by_hand(layer, flops: int) -> None:
    end = [] if "Global" in str(layer) else ["Flatten"]
    model = build_model(parse_architecture(json.dumps([layer, *end])), (8, 8, 4), 10)
    assert layer_costs(model)[2].flops == flops


def test_a_layer_that_nothing_is_known_of_is_told() -> None:
    text = '["Flatten", {"Dense": {"units": 16}}, {"Reshape": {"target_shape": [4, 4]}}, {"GRU": {"units": 4}}]'
    costs = layer_costs(build_model(parse_architecture(text), (8, 8, 1), 10))
    assert [cost.type for cost in costs if cost.flops is None] == ["GRU"]


@pytest.mark.parametrize(("policy", "item"), [("float32", 4), ("mixed_bfloat16", 2), ("mixed_float16", 2)])
def test_memory_is_that_of_the_precision(policy: str, item: int) -> None:
    model = build_model(parse_architecture("article"), (32, 32, 3), 10, policy)
    costs = {cost.name.partition("_")[0]: cost for cost in layer_costs(model)}
    assert costs["pictures"].bytes == 32 * 32 * 3
    assert costs["scale"].bytes == 32 * 32 * 3 * 4  # float32 always: 1/255 in bfloat16 is 0.4 % too bright
    assert costs["conv2d"].bytes == 26 * 26 * 128 * item  # the third one
    assert costs["flatten"].bytes == 0  # the same values in another shape
    assert costs["classes"].bytes == 10 * 4
    # The third convolution reads 28 x 28 x 64 and writes 26 x 26 x 128.
    assert working_bytes(model) == (28 * 28 * 64 + 26 * 26 * 128) * item
    assert variable_bytes(model.weights) == sum(weight.nbytes for weight in model.get_weights())


@pytest.mark.parametrize(("optimizer", "state"), [("sgd", "6.7"), ("adam", "13.0")])
def test_what_is_told_is_of_the_model_that_trains(optimizer: str, state: str) -> None:
    """906 parameters of four bytes, and of those 778 that are trained, a gradient and what the optimizer keeps."""
    settings = {"optimizer": optimizer, "architecture": '["Flatten", "BatchNormalization"]'}
    told = described(settings, (8, 8, 1), 10)
    assert "parameters  906, of which 778 are trained\nweights     3.6 kB\n" in told
    assert f"memory      {state} kB for weights" in told
    forward, training = map(float, re.findall(r"([\d.]+) kFLOP", told))
    assert training == pytest.approx(3 * forward, rel=0.05)
