"""Which columns of a table of labels say what, by their headers and by what stands in them."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

from components.core.pictures.names import SUFFIXES, ending_of
from components.core.wording import listed
from components.preprocess.sources.names import SPLIT_WORDS
from components.preprocess.sources.source import TRAIN

# As headers and keys are compared: without blanks, dashes and capitals. The first that is there counts; the last are
# Vertex AI's, and SageMaker's of any name.
PATHS = (
    *("path", "filepath", "filename", "file", "image", "imagepath", "imagename", "imagefile", "imageuri"),
    *("imagegcsuri", "gcsfilepath", "gcsuri", "sourceref", "img", "imgpath", "picture", "photo", "uri", "url"),
    *("imageid", "idcode", "id"),
)
LABELS = (
    *("label", "labels", "class", "classname", "category", "labelname", "target", "tag", "classid", "diagnosis", "dx"),
    *("classificationannotation.displayname", "metadata.classname"),
)
SPLIT_NAMES = (
    *("split", "mluse", "set", "subset", "partition", "usage"),
    "dataitemresourcelabels.aiplatform.googleapis.com/mluse",
)
# How headers begin of what pictures may belong to together.
GROUPS = ("patient", "subject", "lesion", "study", "slide", "session", "video", "burst", "seq", "group")
# What says that a line has no split: Vertex AI's word, and none.
NO_SPLIT = ("", "unassigned")


@dataclasses.dataclass(frozen=True)
class LabelLine:
    """What one line says, or why it says nothing (`odd`). `split` is TRAIN if the line names none."""

    number: int
    path: str = ""
    label: str = ""
    split: int = TRAIN
    group: str = ""
    odd: str = ""


@dataclasses.dataclass(frozen=True)
class Columns:
    """Where a picture's name, its label, its split and its group stand in a row; what the table calls its columns."""

    names: Sequence[str]
    path: int
    label: int
    split: int | None
    group: int | None = None

    def cells(self, row: Sequence[str]) -> list[str]:
        """Those four of a row, empty if they are missing."""
        wanted = (self.path, self.label, self.split, self.group)
        return [row[column] if column is not None and column < len(row) else "" for column in wanted]

    def told(self) -> str:
        """Where they come from, in words; the split from nowhere if that is not told."""
        words = f"picture from {self._called(self.path)}, label from {self._called(self.label)}"
        words += f", group from {self._called(self.group)}" if self.group is not None else ""
        if self.split is not None:
            return f"{words}, split from {self._called(self.split)}"
        others = [name for column, name in enumerate(self.names) if column not in (self.path, self.label)]
        if alike := [name for name in others if {"fold", *SPLIT_WORDS} & {*re.findall("[a-z]+", name.lower())}]:
            words += f", no split from {listed(alike)}, which says other than train and test"
        together = [name for name in others if _bare(name).startswith(GROUPS)]
        if together and self.group is None:
            words += f", no group from {listed(together)} (group_column={listed(together[:1])} keeps each in one split)"
        return words

    def _called(self, column: int) -> str:
        return listed([self.names[column]])


def columns_by_header(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Columns | None:
    """The columns of a table with headers, or with keys; None if it says no path or no label."""
    path, label, split = (column_called(headers, names) for headers in (PATHS, LABELS, SPLIT_NAMES))
    if path is None or label is None:
        return None
    if split is None:
        split = _column_of_splits(rows, set(range(len(names))) - {path, label})
    return Columns(names, path, label, split)


def columns_by_picture(first: Sequence[str]) -> Columns | None:
    """The columns of a table without headers, by its first row: label and split stand beside the picture."""
    names = [f"column {column + 1}" for column in range(len(first))]
    path = next(column for column, cell in enumerate(first) if ending_of(cell) in SUFFIXES)
    before = path - 1 if path and split_of(first[path - 1]) is not None else None
    if path + 1 == len(first):
        return Columns(names, path, path - 1, None) if before is None and path else None
    # Label, picture, split: or is there a class "train"?
    if before is None and path and first[path + 1].lower() in SPLIT_WORDS:
        return None
    after = path + 2 if path + 2 < len(first) else None
    return Columns(names, path, path + 1, after if before is None else before)


def column_called(headers: Sequence[str], names: Sequence[str]) -> int | None:
    """The column of the first of these headers that is there; one with a dot may be the end of a key."""
    bare = [_bare(name) for name in names]
    for header in map(_bare, headers):
        for column, name in enumerate(bare):
            if name == header or ("." in header and name.endswith(header)):
                return column
    return None


def split_of(word: str) -> int | None:
    """The split that a word means, TRAIN if it says none; None if it means none."""
    return TRAIN if word.strip().lower() in NO_SPLIT else SPLIT_WORDS.get(word.strip().lower())


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def _column_of_splits(rows: Iterable[Sequence[str]], columns: set[int]) -> int | None:
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
