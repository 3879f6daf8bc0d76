"""What lies in one source of picture files: pictures in folders, tables of labels, and what is left out and why."""

import array
import collections
import os
import pathlib
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from components.core.errors import PipelineError
from components.core.pictures.names import SUFFIXES, ending_of, endings, hidden
from components.core.wording import listed
from components.preprocess.sources.beside import LabelsBeside
from components.preprocess.sources.label_table import LabelTable
from components.preprocess.sources.layout import Folder
from components.preprocess.sources.payloads import Payloads

# Labels of pictures, whatever form they have.
Table = LabelTable | LabelsBeside
ARCHIVES = {".zip", ".tar", ".gz", ".tgz"}


class Found:
    """Pictures by their places, and how many of what lie in which folder. 24 bytes a picture.

    Attributes:
        called: the source's own name, for people.
        place: where it came from, as far as that is known.
        offsets, sizes: where each picture's bytes are (payloads.py), and how many.
        folders: each picture's folder, a number in `folder_numbers`.
        name_sums: CRC-32 of each picture's own name, without its folders.
        beside: labels that lie beside the pictures, a file each.
        tables: what may be a table of labels, by its name in the source.
        payloads: what the pictures are read from.
        names: of pictures from one up to another, as they are in the source.
        out: pictures to leave out, reason -> bool [n]; none has two reasons.
    """

    payloads: Payloads
    names: Callable[[int, int], Iterator[str]]

    def __init__(self, called: str) -> None:
        self.called = self.place = called
        self.offsets, self.sizes = array.array("q"), array.array("q")
        self.folders, self.name_sums = array.array("i"), array.array("I")
        self.folder_numbers: dict[Folder, int] = {}
        self.pictures_in: dict[Folder, int] = {}
        self.others_in: dict[Folder, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        self.ignored: collections.Counter[str] = collections.Counter()
        self.beside = LabelsBeside(called, lambda: self.names(0, len(self)))
        self.tables: dict[str, pathlib.Path] = {}
        self.out: Mapping[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.offsets)

    def picture_in(self, name: str) -> Folder | None:
        """The folder of a picture, by the name of a file; None if it is no picture, which is counted, and for a folder,
        whose name ends in a slash."""
        *parents, base = name.split("/")  # of a folder the base is empty
        # macOS takes accents apart; the two spellings are one class.
        folder = tuple(part if part.isascii() else unicodedata.normalize("NFC", part) for part in parents)
        if why := hidden(folder, base):
            self.ignored[why] += bool(base)
            return None
        self.pictures_in.setdefault(folder, 0)
        if not base:
            return None
        if ending_of(base) not in SUFFIXES:
            self.others_in[folder][ending_of(base)] += 1
            return None
        return folder

    def add(self, name: str, folder: Folder, offset: int, size: int) -> None:
        """Adds a picture in the folder that `picture_in` gave."""
        self.offsets.append(offset)
        self.sizes.append(size)
        self.folders.append(self.folder_numbers.setdefault(folder, len(self.folder_numbers)))
        self.name_sums.append(zlib.crc32(name.rpartition("/")[2].encode("utf-8", "surrogateescape")))

    def close(
        self,
        payloads: Payloads,
        names: Callable[[int, int], Iterator[str]],
        out: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Ends the search: says how pictures are read and called, and which are left out after all.

        Raises:
            PipelineError: there is no picture.
        """
        self.payloads, self.names, self.out = payloads, names, out or {}
        if not len(self):
            others = self.others
            advice = "check what was packed, or convert the files to .jpg or .png"
            if others.keys() & ARCHIVES:
                advice = "archives in there are not read: unpack them, or name them as the source, several as a list"
            raise PipelineError(
                f"expected pictures ({' '.join(sorted(SUFFIXES))}) in {self.called}, received "
                f"{endings(others) or 'no files'}; {advice}"
            )
        remain = np.bincount(np.frombuffer(self.folders, np.int32)[~self.left_out], minlength=len(self.folder_numbers))
        self.pictures_in.update((folder, int(remain[number])) for folder, number in self.folder_numbers.items())

    @property
    def left_out(self) -> np.ndarray:
        """Whether a picture is left out: bool [n]."""
        return np.logical_or.reduce([np.zeros(len(self), bool), *self.out.values()])

    @property
    def others(self) -> collections.Counter[str]:
        """How many files are no pictures, by their endings."""
        return sum(self.others_in.values(), collections.Counter())

    @property
    def top(self) -> Folder:
        """The folders that all pictures lie in."""
        folders = list(self.folder_numbers)
        return folders[0][: len(os.path.commonprefix(folders))]

    @property
    def tables_above(self) -> list[str]:
        """The tables that lie beside the pictures or in a folder above them all; others are of something else."""
        above = ["/".join(self.top[:depth]) for depth in range(len(self.top) + 1)]
        return [name for name in self.tables if name.rpartition("/")[0] in above]

    def table(self) -> Table | None:
        """The table of labels above the pictures; else the labels that lie beside each.

        Raises:
            PipelineError: there are two.
        """
        names = self.tables_above
        if len(names) > 1:
            raise PipelineError(
                f"expected one table of labels in {self.called}, received {listed(names)}; remove or rename the others"
            )
        if not names:
            ending = self.beside.used(len(self.folder_numbers))
            for others in self.others_in.values() if ending else ():
                others.pop(f".{ending}", None)
            return self.beside if ending else None
        *folder, base = unicodedata.normalize("NFC", names[0]).split("/")
        self.others_in[tuple(folder)][ending_of(base)] -= 1
        return LabelTable(self.tables[names[0]], names[0])
