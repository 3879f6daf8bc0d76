"""A network of keras.applications as the first layer of an architecture: without its top, as one layer named backbone.

Its pictures are scaled as it expects them by layers before it or in it, so that the model takes bytes like any other.
Its weights come from the file that the architecture names, proven by SHA-256, or are made anew; Keras is never let to
fetch any. They are loaded once, as training begins: whatever is built afterwards has the trained ones.
"""

import inspect
import pathlib
import tempfile
from typing import TYPE_CHECKING, Any

from components.core.errors import PipelineError, nearest, one_line
from components.core.files import sha256_of
from components.core.framework import load_keras
from components.train.errors import SettingsError, refuse_text_for_truth
from components.train.network.architecture import BACKBONE, BACKBONES, backbone_of
from components.train.network.layer_list import LayerSpec

if TYPE_CHECKING:
    import keras

# What users set of a network's arguments is not among these: they are ours, or of its top.
OURS = {
    *("include_top", "include_preprocessing", "weights", "input_tensor", "input_shape", "name"),
    *("classes", "classifier_activation"),
}
# By keras.applications' imagenet_utils: means and spreads of ImageNet's pictures, of 1 and of 255.
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MEAN_BGR = (103.939, 116.779, 123.68)
FLOAT32 = ("Normalization", "Rescaling")


def scale_for(backbone: LayerSpec | None, pictures: Any) -> Any:
    """The pictures (a symbolic tensor of bytes) as what comes next expects them; without a backbone 0 to 1.

    In float32 whatever the policy: in bfloat16, 1/255 is 0.4 % more, and serving would see darker pictures.
    """
    keras = load_keras()
    scale: float | list[float] = 1 / 255
    offset: float | list[float] = 0.0
    match BACKBONES[backbone.type] if backbone else "":
        case "tf":
            scale, offset = 1 / 127.5, -1.0
        case "torch":
            scale = [1 / (255 * spread) for spread in SPREAD]
            offset = [-mean / spread for mean, spread in zip(MEAN, SPREAD, strict=True)]
        case "caffe":
            pictures = keras.ops.flip(pictures, axis=-1)
            scale, offset = 1.0, [-mean for mean in MEAN_BGR]
        case "inside":
            scale = 1.0
    return keras.layers.Rescaling(scale, offset, dtype="float32", name="scale")(pictures)


def build_backbone(where: str, spec: LayerSpec, policy: str, image_shape: tuple[int, int, int] | None) -> "keras.Model":
    """The network with weights made anew.

    Args:
        where: begins what is said if it can't be.
        policy: the dtype policy of its layers, but for those that scale pictures.
        image_shape: height, width, channels; None: of any size.

    Raises:
        SettingsError: an argument that it doesn't have or take, pictures that are not RGB, or too small for it.
    """
    keras = load_keras()
    if image_shape and image_shape[2] != 3:
        raise SettingsError(f"{where} takes pictures of 3 channels, received {image_shape[2]}; set color=rgb")
    make = getattr(keras.applications, spec.type)
    known = sorted({*inspect.signature(make).parameters, "name", "sha256", "weights"} - (OURS - {"name", "weights"}))
    arguments = {name: value for name, value in spec.arguments.items() if name not in ("name", "sha256", "weights")}
    for name in arguments:
        if name not in known:
            raise SettingsError(f"{where}: unknown argument {name!r}; {nearest(name, known)}")
    refuse_text_for_truth(where, make, arguments)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        network = make(include_top=False, weights=None, input_shape=image_shape or (None, None, 3), **arguments)
    except Exception as error:  # Keras raises many kinds for an argument, and for pictures that are too small
        raise SettingsError(f"{where}: {one_line(error, 300)}") from None
    finally:
        keras.config.set_dtype_policy(before)
    for layer in network.layers:
        if type(layer).__name__ in FLOAT32:
            layer.dtype_policy = keras.DTypePolicy("float32")
    # The name that Keras gives it chooses its blocks in some networks, so it is not theirs to set.
    return keras.Model(network.input, network.output, name=spec.arguments.get("name", BACKBONE))


def load_backbone(model: "keras.Model", layers: list[LayerSpec]) -> None:
    """Gives the model's backbone the weights of the file that the architecture names; nothing if it names none.

    Raises:
        PipelineError: there is no such file, or it has another SHA-256.
        SettingsError: the weights are of another network.
    """
    spec = backbone_of(layers)
    if not spec or "weights" not in spec.arguments:
        return
    from components.core.storage import NotFound, open_store  # as in architecture.py

    where, place = f"architecture: layer 1 ({spec.type})", spec.arguments["weights"]
    directory, _, name = place.rpartition("/")
    with tempfile.TemporaryDirectory(prefix="backbone-") as scratch:
        file = pathlib.Path(scratch) / name
        try:
            open_store(directory).download_file(name, file, "backbone")
        except NotFound:
            raise PipelineError(f"{where}: expected weights at {place}, received none; check the place") from None
        if (found := sha256_of(file)) != spec.arguments["sha256"]:
            raise PipelineError(
                f"{where}: expected {place} with sha256 {spec.arguments['sha256']}, received {found}; another file"
            )
        try:
            model.get_layer(spec.arguments.get("name", BACKBONE)).load_weights(file)
        except Exception as error:  # Keras raises many kinds for weights that don't fit
            raise SettingsError(f"{where}: {place} doesn't fit: {one_line(error, 300)}") from None
