"""Builds the Keras model from its description (architecture.py).

    uint8 pictures -> Rescaling(1/255) -> the layers of the architecture -> Dense(classes, softmax, float32)

(A backbone, which may be the first of the layers, has pictures scaled as it expects them: backbone.py.)

The first and the last are always ours, whatever the architecture says: the model takes the dataset's own bytes, so that
serving can't scale differently from training, and it answers with float32 probabilities whatever the precision of the
layers between.

The model that trains and the one that is saved are two, with the same weights in the same order: the one changes its
batches (training_model.py), the mean over a picture and its mirror image stands after the other, and only the one that
trains computes some layers in fewer passes (fused.py). It also leaves out the softmax: a loss that is computed from
probabilities ends at 16, and pictures beyond that teach nothing, as Keras on JAX has it (on TensorFlow it looks behind
the softmax by itself).
"""

import inspect
from typing import TYPE_CHECKING, Any

from components.core.errors import nearest, one_line
from components.core.framework import load_keras
from components.core.machine import out_of_memory
from components.train.errors import FitsNoPicturesError, SettingsError, TooLittleMemoryError, refuse_text_for_truth
from components.train.network.architecture import BACKBONES, backbone_of, layer_names
from components.train.network.backbone import build_backbone, scale_for
from components.train.network.layer_list import LayerSpec

if TYPE_CHECKING:
    import keras

# Layers that run code from their arguments or from files, that hold layers, or that are only there to be derived from.
REFUSED = {
    "Bidirectional", "FlaxLayer", "InputLayer", "InputSpec", "IntegerLookup", "JaxLayer", "Lambda", "Layer", "Pipeline",
    "RNN", "SpectralNormalization", "StackedRNNCells", "StringLookup", "TFSMLayer", "TextVectorization",
    "TimeDistributed", "TorchModuleWrapper", "Wrapper",
}  # fmt: skip
# What Keras's modules have that is no initializer, regularizer, constraint, or activation of one value.
NOT_ONE = ("get", "serialize", "deserialize", "glu", "threshold")
# What every Keras layer takes besides its own arguments.
COMMON_ARGUMENTS = ("activity_regularizer", "dtype", "name", "trainable")


def build_model(
    layers: list[LayerSpec],
    image_shape: tuple[int, int, int],
    class_count: int,
    policy: str = "float32",
    model_class: type | None = None,
    fused: bool = False,
    average_mirrored: bool = False,
    logits: bool = False,
) -> "keras.Model":
    """The model of `layers` for uint8 pictures of `image_shape` (height, width, channels).

    Args:
        policy: the Keras dtype policy of every layer that doesn't name its own dtype, for instance "mixed_bfloat16".
        model_class: of the model; keras.Model if None.
        fused: takes what computes the same in fewer passes, by the backend (fused.py).
        average_mirrored: answers with the mean over a picture and its mirror image, left and right changed.
        logits: answers with what a softmax makes probabilities of.

    Returns:
        A Keras model: uint8 [n, height, width, channels] -> float32 [n, class_count] probabilities, or logits.

    Raises:
        SettingsError: an unknown layer or argument, or shapes that don't fit; says which layer, by place and type.
        FitsNoPicturesError: they would fit no others either.
    """
    keras = load_keras()
    pictures = keras.Input(image_shape, dtype="uint8", name="pictures")
    scaled = scale_for(backbone_of(layers), pictures)
    values, built = scaled, []
    for position, (spec, name) in enumerate(zip(layers, layer_names(layers), strict=True), start=1):
        where = f"architecture: layer {position} ({spec.type})"
        # By Keras's own name it would be called by how many layers of its type this process has made before.
        named = LayerSpec(spec.type, {"name": name, **spec.arguments})
        layer = build_layer(where, named, policy, fused, image_shape)
        try:
            values = layer(values)
        except Exception as error:  # Keras and TensorFlow raise many kinds for a shape that doesn't fit
            if out_of_memory(error) is not None:
                raise TooLittleMemoryError(
                    f"{where}: expected memory for its weights, received {_shape(values.shape)} values a picture, for "
                    "which it takes more than there is; try a smaller image_size, or a pooling layer before it"
                ) from None
            raise (FitsNoPicturesError if _takes_another_rank(layer, values) else SettingsError)(
                f"{where} doesn't fit what it receives, {_shape(values.shape)}: {_reason(error)}"
            ) from None
        if not hasattr(values, "shape") or any(size is not None and size < 1 for size in values.shape):
            raise SettingsError(
                f"{where} expected one output with something left in it, received {values}; take a layer out"
            )
        _try_rules(where, layer)
        built.append(layer)
    if len(values.shape) != 2 or values.shape[1] is None:
        raise FitsNoPicturesError(
            "architecture: expected the last layer to give one row of values a picture, received "
            f"{_shape(values.shape)} from layer {len(layers)} ({layers[-1].type}); "
            "add Flatten or GlobalAveragePooling2D at the end"
        )
    activation = None if logits else "softmax"
    built.append(keras.layers.Dense(class_count, activation=activation, dtype="float32", name="classes"))
    answer = built[-1](values)
    if average_mirrored:
        mirrored = keras.ops.flip(scaled, axis=2)
        for layer in built:
            mirrored = layer(mirrored)
        answer = keras.layers.Average(dtype="float32", name="mean")([answer, mirrored])
    try:
        return (model_class or keras.Model)(pictures, answer, name="classifier")
    except ValueError as error:  # a name that Keras gave to another layer by itself
        raise SettingsError(f"architecture: {_reason(error)}") from None


def _try_rules(where: str, layer: "keras.layers.Layer") -> None:
    """Refuses regularizers and constraints that can't compute with a layer's weights: Keras asks them as it trains."""
    ops = load_keras().ops
    for weight in layer.trainable_weights:
        for rule in filter(None, (weight.regularizer, weight.constraint)):
            try:
                rule(ops.zeros(weight.shape))
            except Exception as error:  # Keras and its backends raise many kinds
                name, shape = type(rule).__name__, " x ".join(map(str, weight.shape))
                raise SettingsError(f"{where}: {name} can't take weights of {shape}: {_reason(error)}") from None


def _takes_another_rank(layer: "keras.layers.Layer", values: Any) -> bool:
    """Whether the layer takes values of another number of dimensions; that follows from the layers alone."""
    rank, spec = len(values.shape), layer.input_spec
    specs = [each for each in (spec if isinstance(spec, list | tuple) else [spec]) if each is not None]
    return any(
        (each.ndim or rank) != rank or not (each.min_ndim or rank) <= rank <= (each.max_ndim or rank) for each in specs
    )


def build_layers(layers: list[LayerSpec]) -> None:
    """Builds each layer by itself, without a shape: finds unknown layers and arguments before there are pictures."""
    for position, spec in enumerate(layers, start=1):
        build_layer(f"architecture: layer {position} ({spec.type})", spec, "float32")


def build_layer(
    where: str,
    spec: LayerSpec,
    policy: str,
    fused: bool = False,
    image_shape: tuple[int, int, int] | None = None,
    hidden: tuple[str, ...] = (),
) -> "keras.layers.Layer":
    """A layer by itself, without weights yet unless it is a backbone; `where` begins what is said if it can't be.

    Args:
        image_shape: of the pictures, for a backbone; None: of any size.
        hidden: arguments that a user is not told of.
    """
    if spec.type in BACKBONES:
        return build_backbone(where, spec, policy, image_shape)
    cls = _layer_class(where, spec.type)
    if fused:
        from components.train.fused import fused_layers

        cls = fused_layers().get(cls, cls)
    _check_arguments(where, spec, cls, hidden)
    try:
        arguments = {name: _argument(name, value) for name, value in spec.arguments.items()}
        # What moves or resizes pictures does so in float32: in bfloat16 TensorFlow has no gradient of most of it.
        own = "float32" if spec.type.startswith(("AugMix", "Rand", "Resizing", "UpSampling2D")) else policy
        return cls(**{"dtype": own, **arguments})
    except Exception as error:  # Keras raises many kinds for a bad argument
        raise SettingsError(f"{where}: {_reason(error)}") from None


def _layer_class(where: str, name: str) -> Any:
    """Keras's class of that name."""
    if name in REFUSED:
        raise SettingsError(
            f"{where} can't be used in an architecture: it would run code or other layers; write plain layers"
        )
    layers = load_keras().layers
    known = {
        name: value
        for name, value in vars(layers).items()
        if inspect.isclass(value) and issubclass(value, layers.Layer) and name not in REFUSED
    }
    if name not in known:
        raise SettingsError(f"{where}: unknown layer; {nearest(name, [*known, *BACKBONES])}")
    return known[name]


def _check_arguments(where: str, spec: LayerSpec, cls: Any, hidden: tuple[str, ...]) -> None:
    """Refuses arguments that the class does not take, and what Keras takes for something else than it says."""
    takes = {
        name
        for name, parameter in inspect.signature(cls.__init__).parameters.items()
        if parameter.kind == parameter.POSITIONAL_OR_KEYWORD and name != "self"
    }
    refuse_text_for_truth(where, cls.__init__, spec.arguments)
    for name in spec.arguments:
        if name not in {*takes, *COMMON_ARGUMENTS}:
            told = sorted({*takes, *COMMON_ARGUMENTS} - set(hidden))
            raise SettingsError(f"{where}: unknown argument {name!r}; {nearest(name, told)}")
    if (dtype := spec.arguments.get("dtype")) in ("bfloat16", "float16"):
        raise SettingsError(
            f"{where}: dtype: expected mixed_{dtype}, whose weights stay float32, received {dtype}, whose own are "
            "too coarse to learn: Adam changes none of them in bfloat16"
        )
    if spec.type == "Normalization" and not {"mean", "variance"} <= spec.arguments.keys():
        raise SettingsError(
            f"{where}: expected mean and variance, as nothing adapts it to pictures here, and it would change nothing; "
            "dataset.json has mean and std (whose square is the variance), or try BatchNormalization"
        )
    if "value_range" in takes - spec.arguments.keys() - set(hidden):
        raise SettingsError(
            f"{where}: expected value_range, which is [0, 1] for pictures in an architecture, received none, for which "
            "Keras takes 0 to 255; give it, or put the layer into augmentation"
        )


def _argument(name: str, value: Any) -> Any:
    """Turns a description into what Keras takes: `{"L2": {"l2": 0.001}}` for a regularizer into keras.regularizers.L2.

    Only names exported by the Keras module of that kind are looked up; Keras's own deserialisation, which can import
    by name, is never reached.
    """
    keras = load_keras()
    for kind in ("initializer", "regularizer", "constraint", "activation"):
        if not name.endswith(kind) or value is None:
            continue
        module = getattr(keras, f"{kind}s")
        known = [key for key in vars(module) if not key.startswith("_") and key not in NOT_ONE]
        if isinstance(value, str):
            chosen, arguments = value, None
        elif isinstance(value, dict) and len(value) == 1:
            [(chosen, arguments)] = value.items()
        else:
            raise ValueError(f"{name}: expected a name, or one name with its arguments, received {value!r}")
        if chosen not in known:
            raise ValueError(f"{name}: unknown {kind} {chosen!r}; {nearest(str(chosen), known)}")
        if arguments is None:
            return chosen
        if kind == "activation" or any(isinstance(part, dict) for part in arguments.values()):
            raise ValueError(f"{name}: expected plain values, received {value!r}")
        return getattr(module, chosen)(**arguments)
    if isinstance(value, dict):
        raise ValueError(f"{name}: expected a plain value, received {value!r}")
    return tuple(value) if isinstance(value, list) else value


def _shape(shape: tuple[int | None, ...]) -> str:
    """`30 x 30 x 32`: the shape of one picture's values."""
    return " x ".join("any" if size is None else str(size) for size in shape[1:]) or "one value"


def _reason(error: Exception) -> str:
    """Keras's reason as one line, without the traceback-like remarks it appends."""
    text = str(error).partition("\n\nArguments received by")[0]
    return one_line(text) or type(error).__name__
