"""Which test pictures champion and challenger are compared on: those that neither has learned from.

A model answers a picture it has learned from better than it will answer any in use. So the pictures that the champion
was trained or validated on are left out, whatever data set, split or seed it had them from, and so are copies of the
challenger's own. What a model was started from has learned for it. All are known by the pictures' hashes. Who has
learned from one picture of a group, as of a patient, is asked none of them. Copies among the test pictures, as of a
class that was filled up with them, count once: they are one chance, not several.
"""

import dataclasses

import numpy as np

from components.core.artifacts.dataset import DatasetInfo
from components.core.artifacts.picture_hashes import learned_in_test, split_hashes
from components.core.artifacts.served_model import Description

# The interval of an accuracy on 30 pictures is some 30 points wide, and no lead of less than 6 pictures, 20 points, can
# be told from chance on them. What is decided on fewer is decided by who took the photographs.
LEAST_ASKED = 30


@dataclasses.dataclass(frozen=True)
class Asked:
    """The test pictures of a comparison.

    Attributes:
        mask: bool [n], which of the test split.
        hashes: uint64 [k], theirs.
        groups: uint64 [k], equal for the pictures of one group.
        other: why there are too few; empty: there are enough.
    """

    mask: np.ndarray
    hashes: np.ndarray
    groups: np.ndarray
    other: str = ""


@dataclasses.dataclass(frozen=True)
class Duel:
    """What a comparison is decided on.

    Attributes:
        asked: bool (n,), the pictures of the test split that both were asked.
        answers: float (k, classes), the champion's.
        look: the number of this comparison among all that were made on these pictures.
        groups: uint64 (k,), equal for the pictures of one group; None: each is one of its own.
    """

    asked: np.ndarray
    answers: np.ndarray
    look: int
    groups: np.ndarray | None = None


def asked_pictures(dataset_path: str, info: DatasetInfo, learned: np.ndarray) -> Asked:
    """Chooses them.

    Args:
        learned: uint64 [m], the hashes of what champion and challenger have learned from.

    Raises:
        PipelineError: the dataset artifact's hashes can't be read.
    """
    test, groups = (split_hashes(dataset_path, info, "test", of_groups) for of_groups in (False, True))
    mask = np.zeros(len(test), bool)
    mask[np.unique(test, return_index=True)[1]] = True
    mask &= ~learned_in_test(dataset_path, info, learned)
    count, other = int(mask.sum()), ""
    if count < LEAST_ASKED:
        of_all = f" of {len(test):,}" if count < len(test) else ""
        other = (
            f"there are only {count:,} test pictures{of_all} that neither has learned from, and a comparison takes "
            f"{LEAST_ASKED}"
        )
    return Asked(mask, test[mask], groups[mask], other)


def class_not_asked(labels: np.ndarray, asked: np.ndarray, class_names: list[str]) -> str:
    """Why these pictures do not tell the balanced accuracy: a class of the test split has none among them. Or nothing.

    Args:
        labels: int64 [n], of the test split.
        asked: bool [n], which of its pictures both are asked.
    """
    pictures = np.bincount(labels)
    missing = np.flatnonzero((pictures > 0) & (np.bincount(labels[asked], minlength=len(pictures)) == 0))
    if not len(missing):
        return ""
    return f"none of the test pictures of {class_names[missing[0]]} is one that neither has learned from"


def differently_made(described: Description, info: DatasetInfo) -> str:
    """Why the data set's pictures are not what the champion is served, or nothing.

    They lie in the data set in their final shape. Another shape, or another way to it, can't be made of that any more.
    """
    if described.image_shape != info.image_shape:
        shapes = (" x ".join(map(str, shape)) for shape in (described.image_shape, info.image_shape))
        return "it takes pictures of {}, this data set has {}".format(*shapes)
    if info.resized and described.resize != info.resize:
        made = {"crop": "cropped", "resize": "stretched"}
        return (
            f"it is served {made[described.resize]} pictures, and {info.resized:,} of this data set's "
            f"were {made[info.resize]}"
        )
    return ""
