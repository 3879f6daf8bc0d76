"""Whether a file is a picture or something to leave out, by its name; and what stands in the place of one."""

import os
from collections.abc import Sequence

from components.core.wording import listed

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".avif", ".jp2")
    + (".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
)
# Folders that programs leave among people's own, in lower case: macOS's zip, Synology's thumbnails, bins, snapshots.
LEFT_BY_PROGRAMS = {"__macosx", "@eadir", "system volume information", "lost+found"}
LEFT_BY_PROGRAMS |= {"$recycle.bin", "recycler", "#recycle", "@recycle", "#snapshot", "~snapshot"}
LEFT_BY_PROGRAMS |= {"icon\r"}  # a file, with which a Mac shows a folder's icon; a key that is refused otherwise
HIDDEN = "hidden"
# What a clone has in the place of a file if Git LFS is not installed, and what it is called.
LFS_POINTER, LFS = b"version https://git-lfs", "a pointer of Git LFS; fetch the file itself, by `git lfs pull`"


def hidden(folders: Sequence[str], base: str) -> str:
    """Why a file or folder is nobody's picture, by its name and the folders that it lies in; empty if it may be one."""
    for folder in folders:
        if folder.lower() in LEFT_BY_PROGRAMS:
            return f"in {folder}, which a program has left there"
    return HIDDEN if base.startswith(".") or any(folder.startswith(".") for folder in folders) else ""


def ending_of(base: str) -> str:
    """`.jpg` of `Cat.JPG`; empty if there is none."""
    return os.path.splitext(base)[1].lower()  # noqa: PTH122, a path object is 5 times as slow


def endings(found: dict[str, int]) -> str:
    """`12 .heic and 1 .txt`, from how many files have each ending."""
    most = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:3]
    return " and ".join(f"{count:,} {listed([ending or 'without an ending'])}" for ending, count in most)
