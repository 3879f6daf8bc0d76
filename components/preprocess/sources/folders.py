"""Reads an archive of class folders: one pass, every picture appended to one scratch file that can be read anywhere.

The copy costs the space of the pictures once more while the step runs; in exchange any picture of any archive, also a
compressed one, is one seek away, and the pictures can be decoded in their final, shuffled order.
"""

import array
import pathlib
import shutil
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from components.core.errors import PipelineError
from components.core.pictures.archives import MemberFile, iter_members
from components.core.pictures.names import hidden
from components.core.progress import Progress
from components.preprocess.sources.beside import READ, label_ending
from components.preprocess.sources.found import Found
from components.preprocess.sources.layout import Folder
from components.preprocess.sources.names import is_table
from components.preprocess.sources.payloads import InFile

REPLACED = "replaced by a later member of the same name"
BROKEN_LINK = "a link to no picture of the archive"
COPY_BYTES = 1 << 20


def find_packed(archive: pathlib.Path, called: str, scratch: pathlib.Path) -> Found:
    """Reads .tar, .tar.gz or .zip into files in the folder `scratch`.

    Hidden files, what programs leave in folders, and files that are no pictures by their ending are left out and
    counted. A hard or symbolic link is the picture that it leads to. The last of the members of one name counts.

    Raises:
        PipelineError: as iter_members does, there is no picture, or a link to a folder of pictures or to a table of
            labels: a class, a split or all labels would be missing.
    """
    found, links = Found(called), dict[str, str]()
    with (
        (scratch / "pictures").open("wb", buffering=COPY_BYTES) as payloads,
        (scratch / "names").open("wb", buffering=COPY_BYTES) as names,
        Progress("read", total=None, unit="pictures") as progress,
    ):
        pictures = _Pictures(found, payloads, names)
        for name, size, file in iter_members(archive, files_only=False):
            folder = found.picture_in(name)
            if folder is not None:
                pictures.add(name, folder, size, file)
                progress.advance(1)
            elif file.link:
                links[name] = file.link
            elif is_table(name):
                found.tables.setdefault(name, scratch / f"table-{len(found.tables)}")
                with found.tables[name].open("wb") as table:
                    shutil.copyfileobj(file, table, COPY_BYTES)
            elif label_ending(name):
                found.beside.add(name, file.read(READ))
    holding = ["/".join((*folder, "")) for folder in found.folder_numbers]
    for name, target in links.items():
        what = "a table of labels" if is_table(name) else ""
        what = "a folder" if any(folder.startswith(f"{target}/") for folder in holding) else what
        if what and not hidden(name.split("/"), ""):
            raise PipelineError(
                f"expected files and folders in {called}, received {name!a}, a link to {what}; put a copy in its place"
            )
    broken, replaced = pictures.settle_links_and_names()
    found.close(
        InFile(scratch / "pictures"), pictures.names_from, {BROKEN_LINK: broken & ~replaced, REPLACED: replaced}
    )
    return found


class _Pictures:
    """Encoded pictures end to end in one file, their names end to end in another, and what finds them again."""

    def __init__(self, found: Found, payloads: BinaryIO, names: BinaryIO):
        self.found, self.payloads, self.names = found, payloads, names
        self.name_ends, self.name_hashes, self.links = array.array("q"), array.array("q"), dict[int, bytes]()

    def add(self, name: str, folder: Folder, size: int, file: MemberFile) -> None:
        self.found.add(name, folder, self.payloads.tell(), size)
        if file.link:
            self.links[len(self.found) - 1] = file.link.encode("utf-8", "surrogateescape")
        elif size <= COPY_BYTES:
            self.payloads.write(file.read())
        else:
            shutil.copyfileobj(file, self.payloads, COPY_BYTES)
        encoded = name.encode("utf-8", "surrogateescape")
        self.names.write(encoded)
        self.name_hashes.append(hash(encoded))
        self.name_ends.append(self.names.tell())

    def settle_links_and_names(self) -> tuple[np.ndarray, np.ndarray]:
        """Gives each link the bytes of the picture that it leads to.

        Returns:
            bool [n]: whether it leads nowhere; bool [n]: whether a later picture has the same name.
        """
        hashes, offsets, sizes = np.frombuffer(self.name_hashes, np.int64), self.found.offsets, self.found.sizes
        count = len(hashes)
        replaced, broken = np.ones(count, bool), np.zeros(count, bool)
        replaced[count - 1 - np.unique(hashes[::-1], return_index=True)[1]] = False
        targets = dict.fromkeys(map(hash, self.links.values()), -1)
        for picture in np.flatnonzero(np.isin(hashes, list(targets))).tolist():
            targets[self.name_hashes[picture]] = picture  # the last of a name stays
        for picture, target in self.links.items():
            seen = {picture}
            found = targets[hash(target)]
            while found in self.links and found not in seen:  # a link to a link
                seen.add(found)
                found = targets[hash(self.links[found])]
            broken[picture] = found < 0 or found in self.links
            if not broken[picture]:
                offsets[picture], sizes[picture] = offsets[found], sizes[found]
        return broken, replaced

    def names_from(self, first: int, last: int) -> Iterator[str]:
        start = self.name_ends[first - 1] if first else 0
        with pathlib.Path(self.names.name).open("rb") as file:
            file.seek(start)
            for end in self.name_ends[first:last]:
                yield file.read(end - start).decode("utf-8", "surrogateescape")
                start = end
