"""Which picture has which label, by the lines of a table."""

import collections
import hashlib
import itertools
import unicodedata
from collections.abc import Sequence

import numpy as np

from components.core.artifacts.dataset import SPLITS
from components.core.errors import PipelineError
from components.core.pictures.names import SUFFIXES, ending_of
from components.core.wording import listed
from components.preprocess.sources.columns import LabelLine
from components.preprocess.sources.found import Found, Table
from components.preprocess.sources.label_table import Lines
from components.preprocess.sources.names import same_name
from components.preprocess.sources.source import OddLines

NO_LINE = "not in the table of labels"
# A table's first lines, by which it is decided what stands before the pictures' names in its paths.
LOOKED_AT = 1000
TWICE = -2


class Labels:
    """Labels and splits of all pictures of several parts, one part's after another's.

    Attributes:
        places: where each part's pictures are among all.
        labels: int32 [n], a number in `class_numbers`; -1 for none.
        splits: int8 [n].
        groups: uint64 [n], a number for each picture's group; 0 for none.
        unlabelled: what a picture without a label is.
        tables: the names of the tables that were understood alike, by how, in words.
        notices: what else was understood.
    """

    def __init__(self, parts: Sequence[Found], unlabelled: str = NO_LINE, group_column: str = ""):
        ends = list(itertools.accumulate(map(len, parts)))
        self.places = [slice(end - len(part), end) for end, part in zip(ends, parts, strict=True)]
        self.parts, self.unlabelled, self.group_column = list(parts), unlabelled, group_column
        count = sum(map(len, parts))
        self.labels, self.splits = np.full(count, -1, np.int32), np.zeros(count, np.int8)
        self.groups = np.zeros(count, np.uint64)
        self.class_numbers: dict[str, int] = {}
        self.odd_lines = OddLines()
        self.tables: dict[str, list[str]] = {}
        self.notices: list[str] = []

    def take(self, table: Table, parts: Sequence[Found]) -> None:
        """Labels the pictures of `parts` by a table. 200 bytes a picture while it lasts.

        Raises:
            PipelineError: as the table's reader does, none of its paths is that of a picture, or a label is no UTF-8.
        """
        words, lines = table.lines(self.group_column)
        # A table may name pictures as Kaggle's do, by an id.
        with_ending = any(ending_of(line.path) in SUFFIXES for line in itertools.islice(lines(), LOOKED_AT))
        pictures = self._by_name(parts, with_ending)
        before = _before_the_names(table, lines, pictures)
        said_in, differing = np.zeros(len(self.labels), np.int32), set()
        for line in lines():
            self.odd_lines.of += 1
            where = table.where(line)
            path = _comparable(line.path)
            picture = pictures.get(path.removeprefix(before), -1) if path.startswith(before) else -1
            if line.odd or picture < 0:
                unknown = "no picture of that name" if picture == -1 else "several pictures of that name"
                self.odd_lines.add(where, line.odd or f"{unknown}: {line.path}")
                continue
            name = unicodedata.normalize("NFC", line.label)
            if name not in self.class_numbers:
                _require_text(name, table.name, where)
            said = self.class_numbers.setdefault(name, len(self.class_numbers)), line.split, group_number(line.group)
            if not said_in[picture]:
                self.labels[picture], self.splits[picture], self.groups[picture] = said
                said_in[picture] = line.number
            elif said != (self.labels[picture], self.splits[picture], self.groups[picture]):
                differing.add(picture)
                self.odd_lines.add(where, f"{line.path} is {_said(line)}, and not so in line {said_in[picture]}")
        self.labels[list(differing)] = -1
        self.tables.setdefault(words, []).append(table.name)

    def told(self) -> list[str]:
        """What was understood, in sentences without their ends."""
        tables = ((listed(list(dict.fromkeys(names))), words) for words, names in self.tables.items())
        return [f"labels are from {names}: {words}" for names, words in tables] + self.notices

    def settle(self) -> list[str]:
        """Numbers the classes in the order of their names, and returns those.

        Raises:
            PipelineError: there are fewer than two.
        """
        names = list(self.class_numbers)
        used = [names[number] for number in np.unique(self.labels[self.labels >= 0]).tolist()]
        if len(used) < 2:
            raise PipelineError(f"expected at least two classes, received {listed(used) or 'none'}; check the labels")
        numbers = {name: number for number, name in enumerate(sorted(used))}
        renumbered = np.array([*(numbers.get(name, -1) for name in names), -1], np.int32)
        self.labels = renumbered[self.labels]
        return sorted(used)

    def _by_name(self, parts: Sequence[Found], with_ending: bool) -> dict[str, int]:
        """All pictures by their names below what is common to those of their part; TWICE if that is not one picture."""
        found: dict[str, int] = {}
        for part in parts:
            start, above = self.places[self.parts.index(part)].start, len("/".join((*part.top, "")))
            there = ~part.left_out
            for picture, name in enumerate(part.names(0, len(part))):
                if there[picture]:
                    below = _comparable(name)[above:]
                    below = below if with_ending else below[: -len(ending_of(below))]
                    found[below] = TWICE if below in found else start + picture
        return found


def _require_text(label: str, table: str, where: str) -> None:
    """Refuses a class whose name would be other letters in the model: spreadsheets write CSV in an older alphabet."""
    if not label.isascii() and any("\ud800" <= letter <= "\udfff" for letter in label):
        raise PipelineError(
            f"expected UTF-8 in {table}, received the label {listed([label])} in other bytes ({listed([where])}); save "
            "it as CSV UTF-8"
        )


def _before_the_names(table: Table, lines: Lines, pictures: dict[str, int]) -> str:
    """The part of the table's paths before the pictures' names: nothing, a folder, or a bucket and a prefix."""
    looked_at = itertools.islice((line for line in lines() if not line.odd), LOOKED_AT)
    befores = (_before(_comparable(line.path), pictures) for line in looked_at)
    seen = collections.Counter(before for before in befores if before is not None)
    if not seen:
        example = min(lines(), key=lambda line: bool(line.odd), default=LabelLine(0))
        said = example.odd or example.path
        what = f"for instance {listed([said])} ({table.where(example)})" if said else "no lines of them"
        below = f"/{_comparable(example.path)}"
        called = next((name for name in pictures if name.endswith(below)), "")  # Kaggle's train.csv is of train/
        mend = f"take {listed([called.removesuffix(below)])} as the source, or a list of such folders"
        if not called:
            called, mend = next(iter(pictures), ""), "if the folders are the classes, rename the table"
        raise PipelineError(
            f"expected paths of pictures in {table.name}, received none that is there, {what}; the pictures are called "
            f"as {listed([called])}; {mend}"
        )
    return seen.most_common(1)[0][0]


def _before(path: str, pictures: dict[str, int]) -> str | None:
    """The part of a path before a picture's name at its end, the shortest; None if it ends in none."""
    starts = [0, *(at + 1 for at, character in enumerate(path) if character == "/")]
    return next((path[:start] for start in starts if path[start:] in pictures), None)


def _comparable(path: str) -> str:
    """A path as names of files are compared: slashes, no `./` before it, accents put together."""
    return unicodedata.normalize("NFC", path.replace("\\", "/").removeprefix("./"))


def _said(line: LabelLine) -> str:
    return f"{line.label} ({', '.join(filter(None, (SPLITS[line.split], line.group)))})"


def group_number(name: str) -> int:
    """A number for a group, the same in every table and source; 0 for none. 7 is 7.0, and P7 is p7: who keeps too much
    together learns less, who keeps too little together learns from what is tested."""
    plain = same_name(name)
    return int.from_bytes(hashlib.sha256(plain.encode("utf-8", "surrogateescape")).digest()[:8]) if plain else 0
