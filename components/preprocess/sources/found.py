"""What lies in a source of picture files: pictures in folders, and what is left out and why."""

import array
import collections
import unicodedata
import zlib
from collections.abc import Callable, Mapping

import numpy as np

from components.core.errors import PipelineError
from components.core.pictures.names import SUFFIXES, ending_of, endings, hidden
from components.core.wording import printable
from components.preprocess.sources.layout import Folder, read_layout
from components.preprocess.sources.payloads import Payloads
from components.preprocess.sources.source import Source

UNSORTED = "not inside a class folder"
ENDINGS_TOLD = 12


class Found:
    """Pictures by their places, and how many of what lie in which folder. 24 bytes a picture.

    Attributes:
        offsets, sizes: where each picture's bytes are (payloads.py), and how many.
        folders: each picture's folder, a number in `folder_numbers`.
        name_sums: CRC-32 of each picture's own name, without its folders.
    """

    def __init__(self) -> None:
        self.offsets, self.sizes = array.array("q"), array.array("q")
        self.folders, self.name_sums = array.array("i"), array.array("I")
        self.folder_numbers: dict[Folder, int] = {}
        self.pictures_in: dict[Folder, int] = {}
        self.others_in: dict[Folder, collections.Counter[str]] = {}
        self.ignored: collections.Counter[str] = collections.Counter()

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
            self.others_in.setdefault(folder, collections.Counter())[ending_of(base)] += 1
            return None
        return folder

    def add(self, name: str, folder: Folder, offset: int, size: int) -> None:
        """Adds a picture in the folder that `picture_in` gave."""
        self.pictures_in[folder] += 1
        self.offsets.append(offset)
        self.sizes.append(size)
        self.folders.append(self.folder_numbers.setdefault(folder, len(self.folder_numbers)))
        self.name_sums.append(zlib.crc32(name.rpartition("/")[2].encode("utf-8", "surrogateescape")))

    def require_pictures(self, where: str) -> None:
        """Raises PipelineError if there are none."""
        if not len(self):
            held = endings(sum(self.others_in.values(), collections.Counter())) or "no files"
            raise PipelineError(
                f"expected pictures ({' '.join(sorted(SUFFIXES))}) in {where}, received {held}; check what was "
                "packed, or convert the files to .jpg or .png"
            )

    def source(self, payloads: Payloads, name: Callable[[int], str], out: Mapping[str, np.ndarray]) -> Source:
        """The pictures that lie in class folders.

        Args:
            name: of picture i of those that were found.
            out: pictures to leave out, reason -> bool [n]; none has two reasons.

        Raises:
            PipelineError: as read_layout does.
        """
        folders = np.frombuffer(self.folders, np.int32)
        left_out = np.zeros(len(self), bool)
        for mask in out.values():
            left_out |= mask
        remain = np.bincount(folders[~left_out], minlength=len(self.folder_numbers)).tolist()
        self.pictures_in.update((folder, remain[number]) for folder, number in self.folder_numbers.items())
        layout = read_layout(self.pictures_in, self.others_in)
        labels = np.full(len(self.folder_numbers), -1, np.int32)
        splits = np.zeros(len(self.folder_numbers), np.int8)
        for folder, place in layout.places.items():
            labels[self.folder_numbers[folder]], splits[self.folder_numbers[folder]] = place
        kept = np.flatnonzero((labels[folders] >= 0) & ~left_out)
        ignored = self.ignored + collections.Counter({reason: int(mask.sum()) for reason, mask in out.items()})
        ignored[UNSORTED] = len(self) - len(kept) - int(left_out.sum())
        others = sum(self.others_in.values(), collections.Counter())
        for ending, count in others.most_common(ENDINGS_TOLD):
            ignored[f"no picture by its ending: {printable(ending) or 'it has none'}"] = count
        ignored["no pictures by other endings"] = sum(count for _, count in others.most_common()[ENDINGS_TOLD:])
        return Source(
            class_names=[printable(name) for name in layout.class_names],
            labels=labels[folders[kept]],
            given=splits[folders[kept]],
            payloads=payloads,
            offsets=np.frombuffer(self.offsets, np.int64)[kept],
            sizes=np.frombuffer(self.sizes, np.int64)[kept],
            shape=None,
            name=lambda picture: name(int(kept[picture])),
            name_sums=np.frombuffer(self.name_sums, np.uint32)[kept],
            ignored={reason: count for reason, count in sorted(ignored.items()) if count},
        )
