"""The data sets known by name: where their originals lie, what proves them, and what their classes are called."""
import dataclasses
from typing import Literal

from components.core.raw import RawFormat


@dataclasses.dataclass(frozen=True)
class Original:
    """One file of a data set as its authors published it. `mirrors` are tried in turn."""

    name: str
    mirrors: tuple[str, ...]
    md5: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class KnownDataset:
    """A data set that `dataset=NAME` fetches by itself; `image_folder` has no originals, only a SOURCE."""

    format: RawFormat
    originals: tuple[Original, ...]
    # Empty where the files themselves name the classes (CIFAR's meta file, the folders of pictures).
    class_names: tuple[str, ...] = ()
    # How validation pictures are chosen where the user does not say: the article takes Keras's way, the last fraction.
    validation: Literal["stratified", "last"] = "stratified"
