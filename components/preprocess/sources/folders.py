"""Reads an archive of class folders: one pass, every picture appended to one scratch file that can be read anywhere.

The copy costs the space of the pictures once more while the step runs; in exchange any picture of any archive, also a
compressed one, is one seek away, and the pictures can be decoded in their final, shuffled order.
"""

import array
import collections
import pathlib
import shutil
import unicodedata
from typing import Self

import numpy as np

from components.core.errors import PipelineError
from components.core.pictures.archives import MemberFile, iter_members
from components.core.progress import Progress
from components.preprocess.report.wording import printable
from components.preprocess.sources.layout import Folder, read_layout
from components.preprocess.sources.names import SUFFIXES, ending_of, endings, hidden
from components.preprocess.sources.source import Source

UNSORTED, REPLACED = "not inside a class folder", "replaced by a later member of the same name"
BROKEN_LINK = "a link to no picture of the archive"
ENDINGS_TOLD = 12
COPY_BYTES = 1 << 20


def read_folders(archive: pathlib.Path, scratch: pathlib.Path) -> Source:
    """Reads .tar, .tar.gz or .zip; class folders as read_layout understands them.

    Hidden files, what programs leave in folders, and files that are no pictures by their ending are left out and
    counted. A hard or symbolic link is the picture that it leads to. The last of the members of one name counts.

    Raises:
        PipelineError: as iter_members and read_layout do, or there is no picture.
    """
    pictures_in: dict[Folder, int] = {}
    others_in: dict[Folder, collections.Counter[str]] = {}
    ignored: collections.Counter[str] = collections.Counter()
    with _Pictures(scratch) as pictures, Progress("read", total=None, unit="pictures") as progress:
        for name, size, file in iter_members(archive, folders=True, links=True):
            *parents, base = name.split("/")  # of a folder, `name/`, the base is empty
            # macOS takes accents apart; the two spellings are one class.
            folder = tuple(part if part.isascii() else unicodedata.normalize("NFC", part) for part in parents)
            if why := hidden(folder, base):
                ignored[why] += bool(base)
                continue
            pictures_in.setdefault(folder, 0)
            if not base:
                continue
            if ending_of(base) in SUFFIXES:
                pictures_in[folder] += 1
                pictures.add(name, folder, size, file)
                progress.advance(1)
            else:
                others_in.setdefault(folder, collections.Counter())[ending_of(base)] += 1
    others = sum(others_in.values(), collections.Counter())
    if not len(pictures):
        held = endings(others) or "no files"
        raise PipelineError(
            f"expected pictures ({' '.join(sorted(SUFFIXES))}) in {archive.name}, received {held}; check what was "
            "packed, or convert the files to .jpg or .png"
        )
    broken, replaced = pictures.settle_links_and_names()
    for picture in np.flatnonzero(broken & ~replaced):
        pictures_in[pictures.folder(int(picture))] -= 1
    layout = read_layout(pictures_in, others_in)
    labels, given = pictures.by_folder(layout.places)
    kept = np.flatnonzero((labels >= 0) & ~broken & ~replaced)
    ignored[BROKEN_LINK], ignored[REPLACED] = int((broken & ~replaced).sum()), int(replaced.sum())
    ignored[UNSORTED] = len(labels) - len(kept) - ignored[BROKEN_LINK] - ignored[REPLACED]
    for ending, count in others.most_common(ENDINGS_TOLD):
        ignored[f"no picture by its ending: {printable(ending) or 'it has none'}"] = count
    ignored["no pictures by other endings"] = sum(count for _, count in others.most_common()[ENDINGS_TOLD:])
    return Source(
        class_names=[printable(name) for name in layout.class_names],
        labels=labels[kept],
        given=given[kept],
        path=pictures.path,
        offsets=np.frombuffer(pictures.offsets, np.int64)[kept],
        sizes=np.frombuffer(pictures.sizes, np.int64)[kept],
        shape=None,
        name=lambda picture: pictures.name(int(kept[picture])),
        ignored={reason: count for reason, count in sorted(ignored.items()) if count},
    )


class _Pictures:
    """Encoded pictures end to end in one file, their names end to end in another, and what finds them again."""

    def __init__(self, scratch: pathlib.Path):
        self.path, self.names_path = scratch / "pictures", scratch / "names"
        self.offsets, self.sizes, self.name_ends = array.array("q"), array.array("q"), array.array("q")
        self.name_hashes, self.links = array.array("q"), dict[int, bytes]()
        self.folders = array.array("i")
        self.folder_numbers: dict[Folder, int] = {}
        self.end = self.name_end = 0

    def __enter__(self) -> Self:
        self.payloads = self.path.open("wb", buffering=COPY_BYTES)
        self.names = self.names_path.open("wb", buffering=COPY_BYTES)
        return self

    def __exit__(self, *error: object) -> None:
        self.payloads.close()
        self.names.close()

    def __len__(self) -> int:
        return len(self.offsets)

    def add(self, name: str, folder: Folder, size: int, file: MemberFile) -> None:
        if file.link:
            self.links[len(self)] = file.link.encode("utf-8", "surrogateescape")
        elif size <= COPY_BYTES:
            self.payloads.write(file.read())
        else:
            shutil.copyfileobj(file, self.payloads, COPY_BYTES)
        encoded = name.encode("utf-8", "surrogateescape")
        self.names.write(encoded)
        self.name_hashes.append(hash(encoded))
        self.offsets.append(self.end)
        self.sizes.append(size)
        self.folders.append(self.folder_numbers.setdefault(folder, len(self.folder_numbers)))
        self.end += size
        self.name_end += len(encoded)
        self.name_ends.append(self.name_end)

    def settle_links_and_names(self) -> tuple[np.ndarray, np.ndarray]:
        """Gives each link the bytes of the picture that it leads to.

        Returns:
            bool [n]: whether it leads nowhere; bool [n]: whether a later picture has the same name.
        """
        hashes = np.frombuffer(self.name_hashes, np.int64)
        replaced, broken = np.ones(len(self), bool), np.zeros(len(self), bool)
        replaced[len(self) - 1 - np.unique(hashes[::-1], return_index=True)[1]] = False
        wanted = dict.fromkeys(map(hash, self.links.values()), -1)
        for picture in np.flatnonzero(np.isin(hashes, list(wanted)) & ~replaced).tolist():
            wanted[self.name_hashes[picture]] = picture
        for picture, target in self.links.items():
            seen = {picture}
            found = wanted[hash(target)]
            while found in self.links and found not in seen:  # a link to a link
                seen.add(found)
                found = wanted[hash(self.links[found])]
            broken[picture] = found < 0 or found in self.links
            if not broken[picture]:
                self.offsets[picture], self.sizes[picture] = self.offsets[found], self.sizes[found]
        return broken, replaced

    def folder(self, picture: int) -> Folder:
        """The folder of a picture."""
        return next(folder for folder, number in self.folder_numbers.items() if number == self.folders[picture])

    def by_folder(self, places: dict[Folder, tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        """For each picture the label (int32, -1 where its folder has no place) and split (int8) of its folder."""
        labels, splits = np.full(len(self.folder_numbers), -1, np.int32), np.zeros(len(self.folder_numbers), np.int8)
        for folder, place in places.items():
            labels[self.folder_numbers[folder]], splits[self.folder_numbers[folder]] = place
        folders = np.frombuffer(self.folders, np.int32)
        return labels[folders], splits[folders]

    def name(self, picture: int) -> str:
        start = self.name_ends[picture - 1] if picture else 0
        with self.names_path.open("rb") as file:
            file.seek(start)
            return printable(file.read(self.name_ends[picture] - start).decode("utf-8", "surrogateescape"))
