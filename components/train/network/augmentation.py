"""How training pictures are changed, as data: a list of Keras's own layers with their arguments, as an architecture is.

    [{RandomFlip: {mode: horizontal}}, {RandomRotation: {factor: 0.05}}, {MixUp: {alpha: 0.2}}]

Each layer changes every picture by a chance of its own, each time it is seen; but RandAugment draws which kinds of
change, and RandomGaussianBlur how much, once for a batch. Nothing here needs Keras, so that a typing mistake is found
before it is loaded; arguments are checked when the layers are made (augment.py).
"""

from components.core.errors import PipelineError, nearest
from components.train.network.architecture import MIXING_LAYERS
from components.train.network.layer_list import LayerSpec, parse_layers

# Layers that give each picture a chance of its own, keep its shape, and draw from a seed, under JAX without TensorFlow
# too; spelled out so that a mistake is found without the import. A test runs them all.
PICTURE_LAYERS = (
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "Solarization",
)
LAYERS = (*PICTURE_LAYERS, *MIXING_LAYERS)

ALIKE = "it changes every picture alike, so that training would see others than serving"
RESHAPES = "it changes the pictures' shape; image_size says what that is"
REFUSED = {
    "AugMix": "it draws from Python's own random numbers, and no run could be repeated; try RandAugment",
    "AutoContrast": ALIKE,
    "CLAHE": ALIKE,
    "CenterCrop": RESHAPES,
    "Equalization": ALIKE,
    "RandomElasticTransform": "JAX can't run it; try RandomRotation or RandomShear",
    "RandomCrop": f"{RESHAPES}, and try RandomTranslation or augment_shift",
    "Rescaling": ALIKE,
    "Resizing": RESHAPES,
}
ALONE = {
    "RandomColorJitter": "it changes nothing",
    "RandomShear": "it changes nothing",
    "Solarization": "it inverts every picture that is learned from, and none that is served",
}
OURS = {
    "seed": "it follows from the parameter seed and the layer's place",
    "dtype": "pictures are changed in float32, and are bytes again after that",
    "data_format": "pictures are height x width x channels",
    "value_range": "pictures have values from 0 to 255",
}
EXAMPLE = '[{"RandomFlip": {"mode": "horizontal"}}, {"RandomRotation": {"factor": 0.05}}]'


def parse_augmentation(text: str) -> list[LayerSpec]:
    """The layers that `text` lists; none if it is empty.

    Raises:
        PipelineError: text that is no list of layers, a layer that can't be used, or an argument that is not the
            user's to give.
    """
    if not text.strip():
        return []
    layers = parse_layers("augmentation", text, EXAMPLE)
    for position, layer in enumerate(layers, start=1):
        where = place_of(position, layer)
        if layer.type in REFUSED:
            raise PipelineError(f"{where} can't be used: {REFUSED[layer.type]}")
        if layer.type not in LAYERS:
            raise PipelineError(f"{where}: unknown layer; {nearest(layer.type, list(LAYERS))}")
        if layer.type in ALONE and not layer.arguments:
            raise PipelineError(f"{where}: expected arguments, since without any {ALONE[layer.type]}; give its factors")
        for name in layer.arguments:
            if name in OURS:
                raise PipelineError(f"{where}: expected no argument {name!r}, since {OURS[name]}; leave it out")
    return layers


def mixes_labels(text: str) -> bool:
    """Whether pictures are then of several classes, each by its share."""
    return any(layer.type in MIXING_LAYERS for layer in parse_augmentation(text))


def place_of(position: int, layer: LayerSpec) -> str:
    """How a message begins that is about a layer of the list, the first being 1."""
    return f"augmentation: layer {position} ({layer.type})"
