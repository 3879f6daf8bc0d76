"""Which columns of a table of labels say what, by their headers and by what stands in them."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from components.core.wording import listed
from components.preprocess.sources.names import SPLIT_WORDS
from components.preprocess.sources.source import TRAIN

# As headers and keys are compared: without blanks, dashes and capitals. The first that is there counts.
PATHS = (
    *("path", "filepath", "filename", "file", "image", "imagepath", "imagename", "imagefile", "imageuri"),
    *("imagegcsuri", "gcsfilepath", "gcsuri", "sourceref", "img", "imgpath", "picture", "photo", "uri", "url"),
    *("imageid", "idcode", "id"),
)
LABELS = ("label", "labels", "class", "classname", "category", "labelname", "target", "tag")
SPLIT_NAMES = ("split", "mluse", "set", "subset", "partition", "usage")
VERTEX_LABEL = ("classificationAnnotation", "displayName")
VERTEX_SPLIT = ("dataItemResourceLabels", "aiplatform.googleapis.com/ml_use")
# How headers begin of what pictures may belong to together.
GROUPS = ("patient", "subject", "video", "burst", "sequence", "group")
# What says that a line has no split: Vertex AI's word, and none.
NO_SPLIT = ("", "unassigned")


def columns_told(path: str, label: str, split: str, names: Sequence[str], group: int | None) -> str:
    """Where a picture's name, its label, its group and its split come from; its split from nowhere if that is empty."""
    words = f"picture from {listed([path])}, label from {listed([label])}"
    words += f", group from {listed([names[group]])}" if group is not None else ""
    if split:
        return f"{words}, split from {listed([split])}"
    others = [name for name in names if name not in (path, label)]
    if alike := [name for name in others if {"fold", *SPLIT_WORDS} & {*re.findall("[a-z]+", name.lower())}]:
        words += f", no split from {listed(alike)}, which says other than train and test"
    together = [name for name in others if _bare(name).startswith(GROUPS)]
    if together and group is None:
        words += f", no group from {listed(together)} (group_column={listed(together[:1])} keeps each in one split)"
    return words


def split_of(word: str) -> int | None:
    """The split that a word means, TRAIN if it says none; None if it means none."""
    return TRAIN if word.strip().lower() in NO_SPLIT else SPLIT_WORDS.get(word.strip().lower())


def first_of(headers: Sequence[str], names: Sequence[str]) -> int | None:
    """Which column the first of these headers that is there has."""
    bare = [_bare(name) for name in names]
    return next((bare.index(_bare(header)) for header in headers if _bare(header) in bare), None)


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def column_of_splits(rows: Iterable[list[str]], columns: set[int]) -> int | None:
    """The column that holds nothing but words of splits, train and another among them, whatever its header is: one of
    which all cells are valid says something else."""
    found: dict[int, set[int]] = {column: set() for column in sorted(columns)}
    for row in rows:
        for column in [column for column in found if column < len(row)]:
            word = row[column].lower()
            if word in SPLIT_WORDS:
                found[column].add(SPLIT_WORDS[word])
            elif word not in NO_SPLIT:
                del found[column]
        if not found:
            break
    return next((column for column, splits in found.items() if {TRAIN} < splits), None)


def text_at(value: Any, keys: Sequence[str]) -> str:
    """The text at `keys`, from the outermost in; empty if there is none, for which Python also writes NaN."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, str | int | float) else ""
