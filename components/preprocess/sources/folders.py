"""Reads an archive of class folders: one pass, every picture appended to one scratch file that can be read anywhere.

The copy costs the space of the pictures once more while the step runs; in exchange any picture of any archive, also a
compressed one, is one seek away, and the pictures can be decoded in their final, shuffled order.
"""

import array
import collections
import os
import pathlib
import shutil
from typing import BinaryIO, Self

import numpy as np

from components.core.errors import PipelineError
from components.core.pictures.archives import iter_members
from components.core.progress import Progress
from components.preprocess.report.wording import printable
from components.preprocess.sources.layout import Folder, read_layout
from components.preprocess.sources.source import Source

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".avif", ".jp2")
    + (".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
)
HIDDEN, OTHER, UNSORTED = "hidden", "not a picture by its extension", "not inside a class folder"
COPY_BYTES = 1 << 20


def read_folders(archive: pathlib.Path, scratch: pathlib.Path) -> Source:
    """Reads .tar, .tar.gz or .zip; class folders as read_layout understands them.

    Hidden files and folders, __MACOSX, and files that are no pictures by their extension are left out and counted.

    Raises:
        PipelineError: as iter_members and read_layout do, or there is no picture.
    """
    pictures_in: dict[Folder, int] = {}
    ignored: collections.Counter[str] = collections.Counter()
    with _Pictures(scratch) as pictures, Progress("read", total=None, unit="pictures") as progress:
        for name, size, file in iter_members(archive, folders=True):
            *parents, base = name.split("/")  # of a folder, `name/`, the base is empty
            folder = tuple(part for part in parents if part != ".")
            if base.startswith(".") or any(part.startswith(".") or part == "__MACOSX" for part in folder):
                ignored[HIDDEN] += bool(base)
            elif not base:
                pictures_in.setdefault(folder, 0)
            elif os.path.splitext(base)[1].lower() not in SUFFIXES:  # noqa: PTH122, a path object is 5 times as slow
                pictures_in.setdefault(folder, 0)
                ignored[OTHER] += 1
            else:
                pictures_in[folder] = pictures_in.get(folder, 0) + 1
                pictures.add(name, folder, size, file)
                progress.advance(1)
    if not len(pictures):
        raise PipelineError(
            f"expected pictures ({' '.join(sorted(SUFFIXES))}) in {archive.name}, received {ignored.total():,} other "
            "files; check what was packed"
        )
    layout = read_layout(pictures_in)
    labels, given = pictures.by_folder(layout.places)
    kept = np.flatnonzero(labels >= 0)
    if len(kept) < len(labels):
        ignored[UNSORTED] = len(labels) - len(kept)
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

    def add(self, name: str, folder: Folder, size: int, file: BinaryIO) -> None:
        if size <= COPY_BYTES:
            self.payloads.write(file.read())
        else:
            shutil.copyfileobj(file, self.payloads, COPY_BYTES)
        encoded = name.encode("utf-8", "surrogateescape")
        self.names.write(encoded)
        self.offsets.append(self.end)
        self.sizes.append(size)
        self.folders.append(self.folder_numbers.setdefault(folder, len(self.folder_numbers)))
        self.end += size
        self.name_end += len(encoded)
        self.name_ends.append(self.name_end)

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
