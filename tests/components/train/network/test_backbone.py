"""Networks of keras.applications as the first layer: what they see, what they take, what is refused, and a training."""

import inspect
import json

import keras
import numpy as np
import pytest

from components.core.artifacts.model import load_model
from components.core.errors import PipelineError
from components.core.files import sha256_of
from components.train.errors import SettingsError
from components.train.network.architecture import BACKBONES, EXPECTED, layer_names, parse_architecture
from components.train.network.backbone import build_backbone, load_backbone, scale_for
from components.train.network.layer_list import LayerSpec
from components.train.network.model import build_layers, build_model
from components.train.phases import Phase
from components.train.run import train
from components.train.settings import TrainSettings

SHAPE = (32, 32, 3)
SMALL = {"alpha": 0.25, "pooling": "avg"}
# The smallest network there is. 0.2 million weights.
LAYERS = [{"MobileNet": SMALL}, {"Dropout": {"rate": 0.1}}]


def parsed(layers) -> list[LayerSpec]:
    return parse_architecture(json.dumps(layers))


def test_every_network_of_keras_is_known():
    known = {name for name, value in vars(keras.applications).items() if inspect.isfunction(value)}
    assert set(BACKBONES) == known


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *[(module, "ResNet50") for module in ("resnet", "vgg16", "vgg19")],
        *[(module, "DenseNet121") for module in ("densenet",)],
        *[
            (module, "MobileNet")
            for module in (
                *(
                    "inception_resnet_v2",
                    "inception_v3",
                    "mobilenet",
                    "mobilenet_v2",
                    "nasnet",
                    "resnet_v2",
                    "xception",
                ),
            )
        ],
        *[(module, "MobileNetV3Small") for module in ("convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3")],
    ],
)
def test_pictures_are_scaled_as_kerass_own_preprocessing_does(module, name):
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)
    inputs = keras.Input((4, 4, 3), dtype="uint8")
    ours = keras.Model(inputs, scale_for(LayerSpec(name, {}), inputs))(pictures)
    theirs = getattr(keras.applications, module).preprocess_input(pictures.astype(np.float32))
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_what_lies_inside_is_scaled_in_float32_whatever_the_policy():
    """In bfloat16 a network with its own scaling would see pictures brighter than it is served."""
    network = build_backbone("", LayerSpec("MobileNetV3Small", {"minimalistic": True}), "mixed_bfloat16", SHAPE)
    computed = {type(layer).__name__: layer.compute_dtype for layer in network.layers}
    assert (computed["Rescaling"], computed["Conv2D"]) == ("float32", "bfloat16")
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("layers", "shape", "said"),
    [
        ([{"EfficientNetV2B9": {}}], SHAPE, "unknown layer; did you mean 'EfficientNetV2"),
        (["MobileNet"], (32, 32, 1), r"layer 1 \(MobileNet\) takes pictures of 3 channels, received 1; set color=rgb"),
        (["MobileNet"], (16, 16, 3), r"layer 1 \(MobileNet\): Input size must be at least 32x32"),
        ([{"MobileNet": {"alfa": 1}}], SHAPE, "unknown argument 'alfa'; did you mean 'alpha'"),
        ([{"MobileNet": {"classes": 7}}], SHAPE, "unknown argument 'classes'"),
        ([{"MobileNetV3Small": {"minimalistic": "false"}}], SHAPE, "minimalistic: expected true or false, received"),
        (["MobileNet"], SHAPE, "add Flatten or GlobalAveragePooling2D at the end"),
        (["ReLU", "MobileNet"], SHAPE, r"layer 2 \(MobileNet\): expected a network of keras.applications as the first"),
        ([{"VGG16": {"weights": "imagenet"}}], SHAPE, "weights: expected the URI or the absolute path of an .h5 file"),
        ([{"VGG16": {"weights": "gs://bucket/x.h5"}}], SHAPE, "sha256: expected that of gs://bucket/x.h5, 64 digits"),
        (
            [{"EfficientNetB0": {"weights": "gs://bucket/x.h5", "sha256": "0" * 64}}],
            SHAPE,
            "Keras corrects those of EfficientNetB0 as it fetches them itself, and only then; try EfficientNetV2B0",
        ),
    ],
)
def test_what_cannot_be_is_told_in_a_line(layers, shape, said):
    with pytest.raises(PipelineError, match=said):
        build_model(parsed(layers), shape, 10)


def test_without_a_shape_the_arguments_are_checked():
    build_layers(parsed(LAYERS))
    with pytest.raises(SettingsError, match=r"layer 1 \(MobileNet\): "):
        build_layers(parsed([{"MobileNet": {"alpha": "x"}}]))


def test_weights_come_from_a_file_that_is_proven(tmp_path):
    network = build_backbone("", LayerSpec("MobileNet", SMALL), "float32", SHAPE)
    file = tmp_path / "mine.weights.h5"
    network.save_weights(file)

    def loaded(sha256: str, **changes) -> list[np.ndarray]:
        layers = parsed([{"MobileNet": {**SMALL, **changes, "weights": str(file), "sha256": sha256}}])
        model = build_model(layers, SHAPE, 10)
        load_backbone(model, layers)
        return model.get_layer("backbone").get_weights()

    pairs = zip(loaded(sha256_of(file)), network.get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
    with pytest.raises(PipelineError, match=f"with sha256 {'0' * 64}, received {sha256_of(file)}"):
        loaded("0" * 64)
    with pytest.raises(SettingsError, match=r"layer 1 \(MobileNet\): .*mine.weights.h5 doesn't fit: "):
        loaded(sha256_of(file), alpha=0.5)


@pytest.mark.usefixtures("eagerly")
def test_a_backbone_is_started_from_frozen_trained_and_loaded(dataset, tmp_path, monkeypatch):
    """BatchNormalization in it keeps its statistics while it is frozen; bfloat16; a head of other layers after it."""
    random = np.random.default_rng(1)
    pictures = random.integers(0, 256, (8, *SHAPE)).astype(np.uint8)
    place = dataset({"train": (pictures, np.arange(8) % 2)}, class_count=2)
    ancestor = build_model(parsed(LAYERS), SHAPE, 2)
    normalization(ancestor).set_weights(
        [random.uniform(1, 2, array.shape) for array in normalization(ancestor).weights]
    )
    ancestor.save(tmp_path / "ancestor.keras")

    before_each_phase = []
    prepare = Phase.prepare

    def noted(phase: Phase, model: keras.Model, *arguments) -> None:
        before_each_phase.append(normalization(model).get_weights())
        prepare(phase, model, *arguments)

    monkeypatch.setattr(Phase, "prepare", noted)
    settings = {"architecture": json.dumps(LAYERS), "batch_size": 4, "precision": "bfloat16", "optimizer": "sgd"}
    ahead = {"epochs": 2, "freeze": "backbone", "freeze_epochs": 1, "start_from": str(tmp_path / "ancestor.keras")}
    train(TrainSettings(**settings, **ahead, verbose="0"), place, str(tmp_path / "model"), str(tmp_path / "board"))
    made = load_model(tmp_path / "model" / "model.keras")
    frozen, thawed, trained = *before_each_phase, normalization(made).get_weights()
    given = normalization(ancestor).get_weights()
    assert all(np.array_equal(one, other) for one, other in zip([*given, *given], [*frozen, *thawed], strict=True))
    assert not any(np.array_equal(one, other) for one, other in zip(thawed, trained, strict=True))
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert record["started_from"]["kept"] == ["functional", "dense"]
    assert layer_names(parsed(LAYERS)) == ["backbone", "dropout"]
    assert made.predict(pictures, verbose=0).shape == (8, 2)
    assert set(EXPECTED) == {"caffe", "tf", "torch", "inside"}


def normalization(model: keras.Model) -> keras.layers.Layer:
    """The first BatchNormalization in the backbone."""
    return model.get_layer("backbone").get_layer("conv1_bn")
