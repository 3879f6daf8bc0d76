"""The model as data: what a profile says is what Keras would have built from the same words."""

import json
import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from components.core.errors import PipelineError
from components.train.network.architecture import layer_names, parse_architecture
from components.train.network.augment import make_augmentation
from components.train.network.model import build_model
from components.train.network.training_model import training_model_class
from components.train.settings import TrainSettings

SHAPE = (12, 12, 4)


def build(layers: list[Any], **options: Any) -> keras.Model:
    return build_model(parse_architecture(json.dumps(layers)), SHAPE, 3, **options)


def pictures(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE), np.uint8)


def test_article_is_the_articles_model() -> None:
    model = build_model(parse_architecture("article"), (32, 32, 3), 10)
    assert model.count_params() == 11_170_250
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["InputLayer", "Rescaling", "Conv2D", "Conv2D", "Conv2D", "Flatten", "Dense", "Dense"]
    assert model.layers[4].output.shape == (None, 26, 26, 128)


@pytest.mark.parametrize("side", [1, 33])
def test_deep_takes_pictures_of_any_size(side: int) -> None:
    assert build_model(parse_architecture("deep"), (side, side, 1), 2).count_params() < 1_000_000


def test_the_model_takes_bytes_and_gives_probabilities() -> None:
    model = build(["Flatten"])
    assert model.input.dtype == "uint8"
    answer = model(pictures()).numpy()
    assert answer.shape == (5, 3)
    assert answer.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-6)
    kernel, bias = model.layers[-1].get_weights()
    logits = pictures().reshape(5, -1) / 255 @ kernel + bias
    assert answer == pytest.approx(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), abs=1e-5)


def test_a_mixed_policy_keeps_weights_and_answers_in_float32() -> None:
    model = build([{"Dense": {"units": 4}}, "Flatten"], policy="mixed_bfloat16")
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    assert model.layers[2].compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_pixels_are_scaled_in_float32_whatever_the_precision(policy: str) -> None:
    """1/255 in bfloat16 is 0.4 % more: a model would train on brighter pictures than it serves."""
    model = build([{"ReLU": {}}, "Flatten"], policy=policy)
    seen = keras.Model(model.input, model.layers[2].output)(pictures())
    assert keras.backend.standardize_dtype(seen.dtype) == policy.removeprefix("mixed_")
    assert np.mean(np.asarray(seen, "float32")) == pytest.approx(pictures().mean() / 255, rel=2e-3)


# Every argument of keras.layers.Conv2D, as a profile would give it, and what that is in Keras's own words.
CONV2D = [
    ("filters", 6, 6),
    ("kernel_size", [3, 2], (3, 2)),
    ("strides", [2, 1], (2, 1)),
    ("padding", "same", "same"),
    ("data_format", "channels_first", "channels_first"),
    ("dilation_rate", 2, 2),
    ("groups", 2, 2),
    ("activation", "leaky_relu", "leaky_relu"),
    ("use_bias", False, False),
    ("kernel_initializer", "he_normal", "he_normal"),
    ("kernel_initializer", {"RandomUniform": {"maxval": 0.1}}, keras.initializers.RandomUniform(maxval=0.1)),
    ("bias_initializer", "ones", "ones"),
    ("kernel_regularizer", {"L2": {"l2": 0.001}}, keras.regularizers.L2(0.001)),
    ("bias_regularizer", "l1", "l1"),
    ("activity_regularizer", {"L1L2": {"l1": 0.1, "l2": 0.2}}, keras.regularizers.L1L2(0.1, 0.2)),
    ("kernel_constraint", {"MaxNorm": {"max_value": 0.5}}, keras.constraints.MaxNorm(0.5)),
    ("bias_constraint", "non_neg", "non_neg"),
    ("name", "eyes", "eyes"),
    ("trainable", False, False),
    ("dtype", "float64", "float64"),
]  # fmt: skip


def test_a_mirrored_model_answers_with_the_mean_of_both(tmp_path: pathlib.Path) -> None:
    layers = parse_architecture('[{"Conv2D": {"filters": 4, "kernel_size": 3}}, "BatchNormalization", "Flatten"]')
    plain = build_model(layers, SHAPE, 3)
    mirrored = build_model(layers, SHAPE, 3, average_mirrored=True)
    mirrored.set_weights(plain.get_weights())
    mirrored.save(tmp_path / "model.keras")
    given = pictures()
    expected = (plain.predict(given, verbose=0) + plain.predict(given[:, :, ::-1], verbose=0)) / 2
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.predict(given, verbose=0) == pytest.approx(expected, abs=1e-6)


def test_what_only_training_needs_adds_no_weights() -> None:
    """So that the saved model takes the training model's weights as they are."""
    layers = parse_architecture('[{"Conv2D": {"filters": 4, "kernel_size": 3}}, "BatchNormalization", "Flatten"]')
    augmentation = make_augmentation(TrainSettings(augment_flip=True, augmentation='["MixUp"]'), SHAPE)
    trained = training_model_class(augmentation, np.ones(3, np.float32))
    training = build_model(layers, SHAPE, 3, "mixed_bfloat16", trained, fused=True)
    saved = build_model(layers, SHAPE, 3)
    assert [weight.shape for weight in training.weights] == [weight.shape for weight in saved.weights]


def test_a_mixed_picture_weighs_by_its_shares_of_the_classes() -> None:
    classes = np.array([1, 10, 100], np.float32)
    mixing = make_augmentation(TrainSettings(augmentation='[{"MixUp": {"alpha": 1}}]'), SHAPE)
    layers = parse_architecture('["Flatten"]')
    model = build_model(layers, SHAPE, 3, model_class=training_model_class(mixing, classes))
    _, shares, weights = (np.asarray(each) for each in model.changed((pictures(), np.arange(5) % 3)))
    assert weights == pytest.approx(shares @ classes, rel=1e-5)
    assert set(weights) - set(classes)


@pytest.mark.parametrize(("name", "described", "meant"), CONV2D, ids=[f"{name}-{value}" for name, value, _ in CONV2D])
def test_every_argument_of_conv2d_is_kerass(name: str, described: Any, meant: Any) -> None:
    base = {"filters": 4, "kernel_size": 3, "name": "conv"}
    model = build([{"Conv2D": {**base, name: described}}, "Flatten"])
    ours = model.layers[2]
    theirs = keras.layers.Conv2D(**{**base, name: meant})
    scaled = pictures().astype("float32") / 255
    theirs.build(scaled.shape)
    assert ours.get_config() | {"dtype": None} == theirs.get_config() | {"dtype": None}
    assert ours.dtype == theirs.dtype
    assert ours.count_params() == theirs.count_params()
    theirs.set_weights(ours.get_weights())
    assert ours(scaled).numpy() == pytest.approx(theirs(scaled).numpy(), abs=1e-6)
    assert [float(loss) for loss in ours.losses] == pytest.approx([float(loss) for loss in theirs.losses])


def test_no_argument_of_conv2d_is_left_out() -> None:
    import inspect

    arguments = set(inspect.signature(keras.layers.Conv2D.__init__).parameters) - {"self", "kwargs"}
    assert arguments <= {name for name, _, _ in CONV2D}


@pytest.mark.parametrize(
    "layers",
    [
        [{"MaxPooling2D": {}}, "BatchNormalization", {"Dropout": {"rate": 0.5}}, "Flatten"],
        [{"SeparableConv2D": {"filters": 8, "kernel_size": 3}}, "ReLU", "GlobalAveragePooling2D"],
        [{"RandomFlip": {"mode": "horizontal"}}, {"DepthwiseConv2D": {"kernel_size": 3}}, "Flatten"],
        [{"Conv2D": {"filters": 4, "kernel_size": 3}}, {"RandomRotation": {"factor": 0.1}}, "Flatten"],
        [{"Reshape": {"target_shape": [24, 24]}}, {"LSTM": {"units": 4}}],
        [{"Conv2D": {"filters": 4, "kernel_size": 3}}, {"UpSampling2D": {"interpolation": "lanczos3"}}, "Flatten"],
        [{"Conv2D": {"filters": 4, "kernel_size": 3}}, {"UpSampling2D": {"interpolation": "bicubic"}}, "Flatten"],
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("error:Gradients do not exist")
def test_other_layers_train(layers: list[Any]) -> None:
    model = build(layers, policy="mixed_bfloat16")
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    assert np.isfinite(model.train_on_batch(pictures(), np.arange(5) % 3))


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (["Konv2D"], "layer 1 (Konv2D): unknown layer; did you mean 'Conv2D'?"),
        (["Flatten", "Lambda"], "layer 2 (Lambda) can't be used in an architecture"),
        ([{"TFSMLayer": {"filepath": "/tmp/x"}}], "layer 1 (TFSMLayer) can't be used"),
        (["deserialize"], "layer 1 (deserialize): unknown layer"),
        ([{"Conv2D": {"filters": 4, "kernelsize": 3}}], "unknown argument 'kernelsize'; did you mean 'kernel_size'?"),
        ([{"Conv2D": {"filters": 4}}], "layer 1 (Conv2D): "),
        ([{"Conv2D": {"filters": -4, "kernel_size": 3}}], "layer 1 (Conv2D): "),
        ([{"Dense": {"units": 4, "activation": "rellu"}}], "unknown activation 'rellu'; did you mean 'relu'?"),
        ([{"LSTM": {"units": 4, "recurrent_activation": "glu"}}], "recurrent_activation: unknown activation 'glu'"),
        ([{"Dense": {"units": 4, "kernel_regularizer": {"L3": {}}}}], "kernel_regularizer: unknown regularizer 'L3'"),
        ([{"Dense": {"units": 4, "bias_constraint": {"class_name": "MaxNorm", "config": {}}}}], "expected a name"),
        ([{"Dense": {"units": {"class_name": "x"}}}], "units: expected a plain value"),
        ([{"Conv2D": {"filters": 4, "kernel_size": 9}}, {"Conv2D": {"filters": 4, "kernel_size": 9}}, "Flatten"],
         "layer 2 (Conv2D) doesn't fit what it receives, 4 x 4 x 4: "),
        (["Flatten", {"Conv2D": {"filters": 4, "kernel_size": 3}}], "layer 2 (Conv2D) doesn't fit what it receives"),
        (["Flatten", {"Dense": {"units": 10**13}}], "layer 2 (Dense): expected memory for its weights, received"),
        ([{"Conv2D": {"filters": 4, "kernel_size": 3, "groups": 3}}], "layer 1 (Conv2D)"),
        ([{"MaxPooling2D": {"pool_size": 20}}, "Flatten"], "layer 1 (MaxPooling2D)"),
        ([{"Conv2D": {"filters": 4, "kernel_size": 3}}], "received 10 x 10 x 4 from layer 1 (Conv2D); add Flatten"),
        ([{"Normalization": {"mean": 0.5}}, "Flatten"], "layer 1 (Normalization): expected mean and variance"),
        ([{"Conv2D": {"filters": 4, "kernel_size": 3, "kernel_regularizer": "OrthogonalRegularizer"}}, "Flatten"],
         "layer 1 (Conv2D): OrthogonalRegularizer can't take weights of 3 x 3 x"),
        ([{"Conv2D": {"filters": 4, "kernel_size": 3, "bias_constraint": {"MaxNorm": {"max_value": "2"}}}}, "Flatten"],
         "layer 1 (Conv2D): MaxNorm can't take weights of 4: "),
        (["Flatten", {"Dense": {"units": 4, "bias_constraint": {"UnitNorm": {"axis": 1}}}}],
         "layer 2 (Dense): UnitNorm can't take weights of 4: "),
        (["Flatten", {"Dense": {"units": 4, "use_bias": "false"}}], "use_bias: expected true or false, received"),
        (["Flatten", {"Dense": {"units": 4, "trainable": "false"}}], "trainable: expected true or false, received"),
        (["Flatten", {"Dense": {"units": 4, "dtype": "bfloat16"}}], "dtype: expected mixed_bfloat16, whose weights"),
        ([{"RandomBrightness": {"factor": 0.2}}, "Flatten"], "layer 1 (RandomBrightness): expected value_range, which"),
        ([{"StringLookup": {"vocabulary": "/etc/passwd"}}], "layer 1 (StringLookup) can't be used in an architecture"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused_in_one_line(layers: list[Any], said: str) -> None:
    with pytest.raises(PipelineError) as refused:
        build(layers)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 500


def test_layers_have_the_names_that_freeze_knows() -> None:
    """However many the process has made before: Muon's exclude_layers goes by them too."""
    layers = parse_architecture(
        '[{"Conv2D": {"filters": 4, "kernel_size": 3}}, "BatchNormalization", "ReLU", "Flatten"]'
    )
    for fused in (False, True):
        model = build_model(layers, SHAPE, 3, fused=fused)
        assert [layer.name for layer in model.layers[2:-1]] == layer_names(layers)


def test_a_name_that_keras_gives_by_itself_may_be_taken() -> None:
    with pytest.raises(PipelineError, match="^architecture: .*flatten"):
        build([{"Dense": {"units": 3, "name": "flatten"}}, "Flatten"])
