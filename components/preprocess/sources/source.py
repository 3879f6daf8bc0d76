"""The pictures of a raw artifact, in source order, whatever format they came in.

The index costs about 40 bytes a picture in memory; the pictures themselves and their names lie in scratch files.
"""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from components.core.errors import PipelineError
from components.core.wording import printable
from components.preprocess.sources.payloads import InFile, Payloads

# What `given` says of a picture, as an index into components.core.artifacts.dataset.SPLITS.
TRAIN, VALIDATION, TEST = 0, 1, 2
LISTED = 1000


class Quarantined(NamedTuple):
    """One picture that could not be read, or an odd line of labels: its name in the source, and why, in one line."""

    name: str
    reason: str


@dataclasses.dataclass
class OddLines:
    """Lines of a table that label nothing: how many of how many, and the first of them."""

    count: int = 0
    of: int = 0
    first: list[Quarantined] = dataclasses.field(default_factory=list)

    def add(self, where: str, why: str) -> None:
        """Counts one more."""
        self.count += 1
        if len(self.first) < LISTED:
            self.first.append(Quarantined(printable(where), printable(why)))


@dataclasses.dataclass(frozen=True)
class Source:
    """Every picture there is, and where its bytes lie.

    Attributes:
        class_names: by label.
        labels: int32 [n].
        given: int8 [n], the split the source itself puts the picture in: TRAIN, VALIDATION or TEST; TRAIN if it
            says nothing.
        payloads: what the pictures are read from; the bytes of picture i are at offsets[i], sizes[i] of them (int64
            [n]).
        shape: height, width, channels if those bytes are pixels; None if they are encoded picture files.
        name: what the source calls picture i.
        name_sums: uint32 [n], a number for each picture's own name, the same in a folder, an archive and a store.
        groups: uint64 [n], a number for what each picture belongs to, as its patient, 0 for nothing; None if no table
            says that of any.
        ignored: what else lay in the source, reason -> number of files.
        odd_lines: of the tables of labels.
        notices: how such tables were understood, each a sentence without its end.
    """

    class_names: list[str]
    labels: np.ndarray
    given: np.ndarray
    payloads: Payloads
    offsets: np.ndarray
    sizes: np.ndarray
    shape: tuple[int, int, int] | None
    name: Callable[[int], str]
    name_sums: np.ndarray
    groups: np.ndarray | None = None
    ignored: dict[str, int] = dataclasses.field(default_factory=dict)
    odd_lines: OddLines = dataclasses.field(default_factory=OddLines)
    notices: list[str] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)


def pixel_source(
    class_names: Sequence[str],
    labels: np.ndarray,
    given: np.ndarray,
    path: pathlib.Path,
    shape: tuple[int, int, int],
    files: Sequence[tuple[str, int]],
    places: np.ndarray | None = None,
) -> Source:
    """A source whose pictures are pixels already, uint8 of one shape, one after another in one file.

    Args:
        class_names: by label; if there are none, the labels' own digits.
        files: (name, number of pictures) of the files they came from; pictures are called `name[number]`, from 0.
        places: int64 [n], where in the file each picture lies, counted in pictures; by default in the source's order.

    Raises:
        PipelineError: a label that is no class.
    """
    names = list(class_names) or [str(label) for label in range(int(labels.max(initial=-1)) + 1)]
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(names):
        raise PipelineError(
            f"expected labels of 0 to {len(names) - 1} in {files[0][0]}, received {labels.min()} to {labels.max()}; "
            "check that this is the data set it is said to be"
        )
    size = math.prod(shape)

    def name(picture: int) -> str:
        for file, count in files:
            if picture < count:
                return f"{file}[{picture}]"
            picture -= count
        raise IndexError(picture)

    return Source(
        class_names=names,
        labels=labels.astype(np.int32, copy=False),
        given=given,
        payloads=InFile(path),
        offsets=(np.arange(len(labels)) if places is None else places) * size,
        sizes=np.full(len(labels), size, np.int64),
        shape=shape,
        name=name,
        name_sums=np.arange(len(labels), dtype=np.uint32),
    )
