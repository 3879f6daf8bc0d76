"""The model as data: a name, or a list of Keras layers with their arguments, read from JSON or YAML text.

    [{Conv2D: {filters: 32, kernel_size: 3, activation: relu}}, {MaxPooling2D: {}}, {Flatten: {}}]

    [{EfficientNetV2B0: {weights: /data/efficientnetv2-b0_notop.h5, sha256: ..., pooling: avg}}]

The list is the body of the model; its first entry may be a network of keras.applications (backbone.py). What stands
around it is always ours: pixels are scaled to [0, 1], or as that network expects them, before the first layer, and a
Dense layer with one softmax output a class follows the last (model.py). Nothing here needs Keras, so that a typing
mistake is found before TensorFlow is loaded.
"""

import collections
import re

from components.core.errors import PipelineError, nearest, shown
from components.core.wording import names_in
from components.train.network.layer_list import LayerSpec, parse_layers

# What each network of keras.applications expects its pictures as, by its `preprocess_input` in Keras 3.15; a test asks
# every one of them. tf: -1 to 1. torch: the mean and spread of ImageNet taken off. caffe: BGR, its mean taken off.
# inside: bytes, as the first layers of the network itself bring them to what it needs.
EXPECTED = {
    "caffe": ("ResNet50", "ResNet101", "ResNet152", "VGG16", "VGG19"),
    "tf": (
        *("InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "NASNetLarge", "NASNetMobile"),
        *("ResNet50V2", "ResNet101V2", "ResNet152V2", "Xception"),
    ),
    "torch": ("DenseNet121", "DenseNet169", "DenseNet201"),
    "inside": (
        *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
        *(f"EfficientNetB{number}" for number in range(8)),
        *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
        *("MobileNetV3Large", "MobileNetV3Small"),
    ),
}
BACKBONES = {name: kind for kind, names in EXPECTED.items() for name in names}
BACKBONE = "backbone"
# Keras corrects these weights as it fetches them itself, and only then.
CORRECTED = "EfficientNetB"
# The names of the layers that stand around the list (model.py).
OUR_NAMES = ("pictures", "scale", "classes", "mean")
# Layers that hand on what they receive, but for noise and shape.
HANDING_ON = {
    "ActivityRegularization", "AlphaDropout", "Dropout", "Flatten", "GaussianDropout", "GaussianNoise", "Identity",
    "Permute", "Reshape", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
}  # fmt: skip
# These put two pictures of a batch together, and their labels: a picture is then of two classes, each by its share.
MIXING_LAYERS = ("CutMix", "MixUp")
EXAMPLE = '[{"Conv2D": {"filters": 32, "kernel_size": 3}}, {"Flatten": {}}]'


def _conv(filters: int) -> LayerSpec:
    return LayerSpec("Conv2D", {"filters": filters, "kernel_size": 3, "activation": "relu"})


def _stages(*filters: int) -> list[LayerSpec]:
    """The shape of airbench's network (https://arxiv.org/abs/2404.00498, section 2), without its whitening layer: Muon
    did without (0.859 with or without it after 5 epochs)."""
    ending = LayerSpec("Rescaling", {"scale": 0.1})  # small answers at first, and slower to become certain
    return [*(layer for count in filters for layer in _stage(count)), LayerSpec("GlobalMaxPooling2D", {}), ending]


def _stage(filters: int) -> list[LayerSpec]:
    """Half the size, and two convolutions. Pooling comes before what it makes four times cheaper."""
    convolution = LayerSpec("Conv2D", {"filters": filters, "kernel_size": 3, "padding": "same", "use_bias": False})
    # A short training leaves no time for Keras's momentum of 0.99, which averages over the last hundred steps.
    normalization = LayerSpec("BatchNormalization", {"momentum": 0.8})
    activation = LayerSpec("ReLU", {})
    pooling = LayerSpec("MaxPooling2D", {})
    return [convolution, pooling, normalization, activation, convolution, normalization, activation]


def _halved(filters: int) -> list[LayerSpec]:
    """A convolution and half the size, of pictures of one pixel too."""
    convolution = LayerSpec("Conv2D", {"filters": filters, "kernel_size": 3, "padding": "same", "use_bias": False})
    normalization = LayerSpec("BatchNormalization", {"momentum": 0.9})
    return [convolution, normalization, LayerSpec("ReLU", {}), LayerSpec("MaxPooling2D", {"padding": "same"})]


ARCHITECTURES: dict[str, list[LayerSpec]] = {
    # The article's: on 32x32x3 pictures and ten classes 11,170,250 parameters, nearly all of them in the first Dense.
    "article": [
        _conv(32),
        _conv(64),
        _conv(128),
        LayerSpec("Flatten", {}),
        LayerSpec("Dense", {"units": 128, "activation": "relu"}),
    ],
    # Half as wide as airbench's: 493,000 parameters on CIFAR-10, 200 MFLOP to train with a picture.
    "fast": _stages(32, 128, 128),
    # As wide as airbench's: 1,963,000 parameters, 800 MFLOP; what that brings stands in the profile cifar10-fast.
    "wide": _stages(64, 256, 256),
    # For photographs of any size: 979,000 parameters, and at 224x224 1.7 GFLOP for an answer.
    "deep": [
        *[layer for filters in (32, 64, 128, 256, 256) for layer in _halved(filters)][:-1],
        LayerSpec("GlobalAveragePooling2D", {}),
        LayerSpec("Dropout", {"rate": 0.3}),
    ],
}


def parse_architecture(text: str) -> list[LayerSpec]:
    """The layers that `text` names or lists.

    Raises:
        PipelineError: an unknown name, text that is neither JSON nor YAML, or a list of something else than layers.
    """
    if text.strip() in ARCHITECTURES:
        return ARCHITECTURES[text.strip()]
    if not text.lstrip().startswith(("[", "-")):
        if text.strip() in BACKBONES:
            raise PipelineError(f"architecture: expected {text} in a list; try '[{{{text}: {{pooling: avg}}}}]'")
        known = nearest(text.strip(), list(ARCHITECTURES))
        listed = "" if known.endswith("?") else f", or a list of layers such as {EXAMPLE}"
        raise PipelineError(f"unknown architecture {text.strip()!r}; {known}{listed}")
    layers = parse_layers("architecture", text, EXAMPLE)
    if not layers:
        raise PipelineError(f"architecture: expected at least one layer, received an empty list; try {EXAMPLE}")
    taken = dict.fromkeys(OUR_NAMES, "a layer that is always added")
    for position, layer in enumerate(layers, start=1):
        called = f"layer {position} ({layer.type})"
        where = f"architecture: {called}"
        if layer.type in BACKBONES and position > 1:
            raise PipelineError(f"{where}: expected a network of keras.applications as the first layer; move it there")
        if layer.type in BACKBONES:
            _check_weights(where, layer)
        if layer.type in MIXING_LAYERS:  # labels stay as they are here: half a cat and half a dog would be a cat
            raise PipelineError(f"{where}: expected in augmentation, where it mixes labels too; move it there")
        if layer.type == "RandomElasticTransform":
            raise PipelineError(f"{where} can't be used: JAX can't run it; try RandomRotation or RandomShear")
        name = layer.arguments.get("name")
        if isinstance(name, str):  # else there is none, or one that Keras will refuse
            _check_name(where, name, taken)
            taken[name] = called
    _check_pixels(layers)
    _check_end(layers)
    return layers


def _check_weights(where: str, layer: LayerSpec) -> None:
    """Refuses a backbone's weights that nothing proves: what lies behind a name may change."""
    place, sha256 = layer.arguments.get("weights"), layer.arguments.get("sha256")
    if place is None and sha256 is None:
        return
    if not isinstance(place, str) or not place.endswith(".h5") or not place.startswith("/") and "://" not in place:
        raise PipelineError(
            f"{where}: weights: expected the URI or the absolute path of an .h5 file, received {shown(place)}; "
            "Keras's own are at https://keras.io/api/applications, and none are fetched unasked"
        )
    from components.core.storage import location  # needs more than Keras does, which is enough for other networks

    location.parse(place)
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise PipelineError(
            f"{where}: sha256: expected that of {place}, 64 digits, received {shown(sha256)}; sha256sum tells it"
        )
    if layer.type.startswith(CORRECTED):
        raise PipelineError(
            f"{where}: weights: Keras corrects those of {layer.type} as it fetches them itself, and only then; "
            "try EfficientNetV2B0"
        )


def backbone_of(layers: list[LayerSpec]) -> LayerSpec | None:
    """The network of keras.applications that the layers begin with, if they do."""
    return layers[0] if layers[0].type in BACKBONES else None


def layer_names(layers: list[LayerSpec]) -> list[str]:
    """What each layer is called: by its own name, else by its type and place among those of the type, `conv2d_1`."""
    seen: collections.Counter[str] = collections.Counter()
    names = []
    for layer in layers:
        # As Keras makes names of its classes'.
        if layer.type in BACKBONES:
            names.append(str(layer.arguments.get("name") or BACKBONE))
            continue
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", layer.type)).lower()
        names.append(str(layer.arguments.get("name") or (f"{kind}_{seen[kind]}" if seen[kind] else kind)))
        seen[kind] += 1
    return names


def frozen_places(freeze: str, layers: list[LayerSpec]) -> list[int]:
    """The places, from 0, of the layers that `freeze` means: the first so many, or those that it names.

    Raises:
        PipelineError: more layers than there are, or names that are none.
    """
    if freeze.isdecimal():
        if not 1 <= int(freeze) <= len(layers):
            raise PipelineError(
                f"freeze: expected 1 to {len(layers)}, as many layers as the architecture has, received {freeze}"
            )
        return list(range(int(freeze)))
    names = layer_names(layers)
    wanted = names_in(freeze)
    for name in wanted:
        if name not in names:
            raise PipelineError(f"freeze: unknown layer {name!r}; {nearest(name, names)}")
    return [place for place, name in enumerate(names) if name in wanted]


def _check_name(where: str, name: str, taken: dict[str, str]) -> None:
    """Keras finds a name that is there twice, or that can't be one, only as the whole model is put together."""
    if not re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.>-]*", name):  # TensorFlow finds it as the training begins
        raise PipelineError(
            f"{where}: name: expected letters from a to z, digits, _, . and -, beginning with a letter or digit, "
            f"received {shown(name)}"
        )
    if name in taken:
        raise PipelineError(f"{where} is named {shown(name)}, as {taken[name]} is; give it another name")


def _check_pixels(layers: list[LayerSpec]) -> None:
    """Refuses to scale pixels of 0 to 255, as Keras's own examples begin: here they come in from 0 to 1."""
    for position, layer in enumerate(layers, start=1):
        if not layer.type.startswith(("CenterCrop", "Normalization", "Random", "Rescaling", "Resizing")):
            return
        scale, mean = layer.arguments.get("scale", 1), layer.arguments.get("mean", 0)
        means = [value for value in (mean if isinstance(mean, list) else [mean]) if isinstance(value, int | float)]
        if isinstance(scale, int | float) and 0 < scale < 0.01 or max(means, default=0) > 1:
            raise PipelineError(
                f"architecture: layer {position} ({layer.type}): expected pixels of 0 to 1, as they come in, received "
                f"{layer.arguments}, which is for 0 to 255; take the layer out, or give what fits 0 to 1"
            )
        if layer.type == "Rescaling":
            return


def _check_end(layers: list[LayerSpec]) -> None:
    """Refuses a softmax of the user's own at the end, whatever hands it on from there."""
    for position, layer in reversed(list(enumerate(layers, start=1))):
        activation = layer.arguments.get("activation")
        if isinstance(activation, dict):
            activation = next(iter(activation), None)
        if layer.type == "Softmax" or activation == "softmax":
            raise PipelineError(
                f"architecture: layer {position} ({layer.type}) ends in a softmax, but the Dense layer with one "
                "softmax output a class is always added; take it out of the list"
            )
        if layer.type not in HANDING_ON:
            return
