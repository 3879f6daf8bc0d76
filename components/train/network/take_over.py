"""Takes over the weights of a trained model, up to where its layers agree with those of the new one.

Only arrays are read, from the HDF5 file inside a .keras file or from a .weights.h5 file: no code and no layer is ever
made of what the file says. Layers are known by type and place among those of the type, `conv2d_1`: the names that Keras
saves them under, which are the same in every process, as those of the layers themselves are not.
"""

import pathlib
import re
import tempfile
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

from components.core.errors import PipelineError, one_line
from components.core.pictures.packed import allowed_bytes
from components.core.start_place import WHOLE_MODEL
from components.train.errors import SettingsError

if TYPE_CHECKING:
    import keras

WEIGHTS_IN_KERAS = "model.weights.h5"
# A layer's arrays that are no weights: random numbers are each training's own.
NO_WEIGHTS = re.compile("seed_generator")

# A layer's arrays by their place in the file.
Arrays = dict[str, Any]


class Taken(NamedTuple):
    """The layers that were taken over, and those that were made anew."""

    kept: list[str]
    anew: list[str]


def take_over(model: "keras.Model", file: pathlib.Path, name: str, same_classes: bool) -> Taken:
    """Gives `model` the weights of a trained one, up to the first layer that differs; all from there on stay as made.

    Args:
        model: built by build_model with neither augmentation, fused kernels nor the mean over a mirrored picture.
        file: a .keras or .weights.h5 file.
        name: the trained model's, for people.
        same_classes: whether it may answer with the same classes. The last layer is kept only then, and only if all
            before it are.

    Raises:
        SettingsError: no layer fits, or one in the middle doesn't; names the layer.
        PipelineError: the file can't be read.
    """
    import h5py

    with tempfile.TemporaryDirectory() as scratch:
        target = pathlib.Path(scratch) / f"new.{WEIGHTS_IN_KERAS}"
        model.save_weights(target)
        try:
            with h5py.File(_weights_file(file, pathlib.Path(scratch))) as theirs, h5py.File(target, "r+") as ours:
                given, wanted = _layers(theirs), _in_order(_layers(ours), ours, model)
                taken = _compare(wanted, given, name, same_classes)
                for layer in taken.kept:
                    for path, array in wanted[layer].items():
                        array[...] = given[layer][path][...]
        except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise PipelineError(
                f"start_from: expected a file with the weights of Keras 3 in {name}, received one that can't be read: "
                f"{one_line(error, 200)}"
            ) from None
        model.load_weights(target)
    return taken


def _compare(wanted: dict[str, Arrays], given: dict[str, Arrays], name: str, same_classes: bool) -> Taken:
    """Which layers to keep."""
    *body, head = wanted
    kept: list[str] = []
    for layer in body:
        if not _agree(wanted[layer], given.get(layer)):
            break
        kept.append(layer)
    anew = body[len(kept) :]
    if not anew and same_classes and _agree(wanted[head], given.get(head)):
        return Taken([*kept, head], [])
    if not kept:
        raise SettingsError(
            f"start_from: no layer of {name} fits: {_difference(anew[0], wanted, given) if anew else 'there is none'}; "
            "give the architecture and image_size that it was trained with"
        )
    fits_again = [layer for layer in anew[1:] if _agree(wanted[layer], given.get(layer))]
    if fits_again:
        raise SettingsError(
            f"start_from: {_difference(anew[0], wanted, given)} of {name}, but {fits_again[0]} after it fits; give the "
            "architecture and image_size that it was trained with, at least up to there"
        )
    return Taken(kept, [*anew, head])


def _agree(ours: Arrays, theirs: Arrays | None) -> bool:
    return theirs is not None and _shapes(ours) == _shapes(theirs)


def _shapes(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    return {path: tuple(array.shape) for path, array in arrays.items()}


def _difference(layer: str, wanted: dict[str, Arrays], given: dict[str, Arrays]) -> str:
    """`layer dense takes weights of 512 x 128, not the 800 x 128`."""
    ours, theirs = _shapes(wanted[layer]), _shapes(given.get(layer, {}))
    if not theirs:
        return f"layer {layer} is not among the layers ({', '.join(given) or 'none'})"
    path = next(path for path in (*ours, *theirs) if ours.get(path) != theirs.get(path))
    both = (" x ".join(map(str, shapes[path])) if path in shapes else "none" for shapes in (ours, theirs))
    return "layer {} has weights of {}, not the {}".format(layer, *both)


def _weights_file(file: pathlib.Path, scratch: pathlib.Path) -> pathlib.Path:
    if file.suffix != WHOLE_MODEL:
        return file
    with zipfile.ZipFile(file) as archive:
        if archive.getinfo(WEIGHTS_IN_KERAS).file_size > allowed_bytes(file):
            raise ValueError("weights that unpack to far more than their file; it looks like an archive bomb")
        return pathlib.Path(archive.extract(WEIGHTS_IN_KERAS, scratch))


def _layers(file: Any) -> dict[str, Arrays]:
    """The arrays of each layer that has any, also of the layers in it. HDF5 would fetch what a link names from another
    file, one of this machine's own: no link of any kind is followed."""
    import h5py

    found: dict[str, Arrays] = {}

    def take(path: str, item: Any) -> None:
        top, _, below = path.partition("/")
        layer, _, array = below.partition("/")
        if top == "layers" and isinstance(item, h5py.Dataset) and not NO_WEIGHTS.search(array):
            found.setdefault(layer, {})[array] = item

    linked = file.visititems_links(lambda _, link: None if isinstance(link, h5py.HardLink) else link)
    file.visititems(take)
    if linked or any(array.external or array.is_virtual for arrays in found.values() for array in arrays.values()):
        raise ValueError("weights in another file")
    return found


def _in_order(layers: dict[str, Arrays], file: Any, model: "keras.Model") -> dict[str, Arrays]:
    """The layers in the model's order; the file has them by name."""
    saved = {file["layers"][layer]["vars"].attrs["name"]: layer for layer in layers}
    return {saved[layer.name]: layers[saved[layer.name]] for layer in model.layers if layer.name in saved}
