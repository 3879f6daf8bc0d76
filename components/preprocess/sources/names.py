"""What a name says of a file and of a folder: a picture, something to leave out, a split."""

import os
import re
from collections.abc import Sequence

from components.preprocess.report.wording import listed
from components.preprocess.sources.source import TEST, TRAIN, VALIDATION

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".avif", ".jp2")
    + (".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
)
# Folders that programs leave among people's own: macOS's zip, Synology's thumbnails, bins.
LEFT_BY_PROGRAMS = {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
HIDDEN = "hidden"
SPLITS = {
    "train": TRAIN,
    "training": TRAIN,
    "validation": VALIDATION,
    "validate": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "eval": TEST,
    "evaluation": TEST,
}
# What may stand beside such a word: train_images, Test Set.
BESIDE = {"set", "data", "dataset", "images", "image", "imgs", "img", "pictures", "photos", "split", "folder"}


def hidden(folders: Sequence[str], base: str) -> str:
    """Why a file or folder is nobody's picture, by its name and the folders that it lies in; empty if it may be one."""
    for folder in folders:
        if folder in LEFT_BY_PROGRAMS:
            return f"in {folder}, which a program has left there"
    return HIDDEN if base.startswith(".") or any(folder.startswith(".") for folder in folders) else ""


def ending_of(base: str) -> str:
    """`.jpg` of `Cat.JPG`; empty if there is none."""
    return os.path.splitext(base)[1].lower()  # noqa: PTH122, a path object is 5 times as slow


def endings(found: dict[str, int]) -> str:
    """`12 .heic and 1 .txt`, from how many files have each ending."""
    most = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:3]
    return " and ".join(f"{count:,} {listed([ending or 'without an ending'])}" for ending, count in most)


def splits_named(folders: Sequence[str]) -> dict[str, int]:
    """The split that each folder is by its name, of those that are one: train, Testing, val_images, seg_train.

    Other words count if they stand beside the split in all of them, as in seg_train and seg_test.
    """
    found = {}
    for folder in folders:
        words = re.findall(r"[a-z]+", folder.lower())
        others = [word for word in words if word not in SPLITS and word not in BESIDE]
        if len(named := [word for word in words if word in SPLITS]) == 1:
            found[folder] = SPLITS[named[0]], others
    shared = [others for _, others in found.values()]
    alike = len(shared) > 1 and all(others == shared[0] for others in shared)
    return {folder: split for folder, (split, others) in found.items() if alike or not others}
