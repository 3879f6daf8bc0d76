"""Reads a table of labels: CSV with a header or without, or JSON lines, as people and labelling tools write them.

image,label,split                        a header names the columns, in any order, beside others
cat/1.jpg,cat,train                      none: picture, label, split if there is one
TRAINING,gs://team/cat/1.jpg,cat         Vertex AI's CSV: the split first
{"imageGcsUri": ..., "classificationAnnotation": {"displayName": "cat"}}            Vertex AI
{"source-ref": ..., "animal": 0, "animal-metadata": {"class-name": "cat"}}          SageMaker Ground Truth
"""

import csv
import dataclasses
import itertools
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TextIO

from components.core.errors import PipelineError
from components.core.pictures.names import SUFFIXES, ending_of
from components.core.wording import listed
from components.preprocess.sources.columns import (
    LABELS,
    PATHS,
    SPLIT_NAMES,
    VERTEX_LABEL,
    VERTEX_SPLIT,
    column_of_splits,
    columns_told,
    first_of,
    split_of,
    text_at,
)
from components.preprocess.sources.names import SPLIT_WORDS
from components.preprocess.sources.source import TRAIN

LONGEST_LINE = 1 << 20
# What tables are written as that are read by no one here, by their first bytes, and how to write them instead.
OTHERS = {
    b"\xff\xfe": ("UTF-16", "save it as CSV UTF-8"),
    b"\xfe\xff": ("UTF-16", "save it as CSV UTF-8"),
    b"\x1f\x8b": ("gzip", "unpack it"),
    b"PK\x03\x04": ("a spreadsheet or a zip", "save it as CSV UTF-8"),
    b"\xd0\xcf\x11\xe0": ("a spreadsheet", "save it as CSV UTF-8"),
    b"PAR1": ("Parquet", "write it as CSV"),
    b"[": ("a JSON list", "write one object a line"),
}


@dataclasses.dataclass(frozen=True)
class LabelLine:
    """What one line says, or why it says nothing (`odd`). `split` is TRAIN if the line names none."""

    number: int
    path: str = ""
    label: str = ""
    split: int = TRAIN
    group: str = ""
    odd: str = ""


class Table(Protocol):
    """Labels of pictures, whatever form they have; `name` is for people."""

    @property
    def name(self) -> str: ...

    def lines(self, group_column: str = "") -> tuple[str, Iterator[LabelLine]]: ...

    def where(self, line: LabelLine) -> str: ...


@dataclasses.dataclass(frozen=True)
class LabelTable:
    """A table that lies at `path`, and is called `name`."""

    path: pathlib.Path
    name: str

    def where(self, line: LabelLine) -> str:
        """The place of a line, for people."""
        return f"{self.name}, line {line.number}"

    def lines(self, group_column: str = "") -> tuple[str, Iterator[LabelLine]]:
        """Which columns were found, in words, and what each line says.

        Args:
            group_column: the header of the one that says which pictures belong together; empty: none does.

        Raises:
            PipelineError: it has no such columns, or is no such table. Also while the lines are read.
        """
        with self.path.open("rb") as file:
            start = file.read(1 << 10)
        for begins, (what, instead) in OTHERS.items():
            if start.startswith(begins):
                raise PipelineError(f"expected CSV or JSON lines in UTF-8 in {self.name}, received {what}; {instead}")
        if not start.strip():
            raise PipelineError(f"expected lines of path and label in {self.name}, received an empty file")
        read = self._json if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else self._csv
        return read(group_column)

    def _csv(self, group_column: str) -> tuple[str, Iterator[LabelLine]]:
        rows = self._rows()
        _, first = next(rows)
        path, label, split, header = self._columns(first)
        names = first if header else [f"column {column + 1}" for column in range(len(first))]
        group = self._group(group_column, names)
        words = columns_told(names[path], names[label], "" if split is None else names[split], names, group)

        def cell(row: list[str], column: int | None) -> str:
            return row[column] if column is not None and column < len(row) else ""

        def lines() -> Iterator[LabelLine]:
            again = self._rows()
            if header:
                next(again)
            for number, row in again:
                said = [cell(row, column) for column in (path, label, split, group)]
                if inside := max(text.count("\n") for text in said):
                    raise PipelineError(
                        f"expected CSV in {self.name}, received a quotation mark in line {number - inside} that is "
                        "not closed there; close or remove it"
                    )
                if any(row[len(first) :]):
                    yield LabelLine(number, odd=f"a cell more than the first line has: {listed(row[len(first) :])}")
                else:
                    yield _line(number, *said)

        return words, lines()

    def _read(self, file: TextIO) -> Iterator[str]:
        """The lines of a file. None is held that is as long as an archive lets one be, a gigabyte."""
        while line := file.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise PipelineError(
                    f"expected lines of at most {LONGEST_LINE:,} characters in {self.name}, received a longer one; is "
                    "it a table of labels?"
                )
            yield line

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """The rows that have something in them, each with the number of its line."""
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            first = next(line for line in self._read(file) if line.strip())
            file.seek(0)
            reader = csv.reader(self._read(file), delimiter=max(",;\t", key=first.count), skipinitialspace=True)
            try:
                for row in reader:
                    if any(cell.strip() for cell in row):
                        yield reader.line_num, [cell.strip() for cell in row]
            except csv.Error as error:
                where = f"line {reader.line_num}"
                raise PipelineError(f"expected CSV in {self.name}, received {error} in {where}; mend it") from None

    def _columns(self, first: list[str]) -> tuple[int, int, int | None, bool]:
        """Where path, label and split are, and whether the first row is a header."""
        pictures = [column for column, cell in enumerate(first) if ending_of(cell) in SUFFIXES]
        if len(first) < 2:
            raise PipelineError(
                f"expected columns of path and label in {self.name}, received one column: {listed(first)}; "
                "add labels, behind commas, semicolons or tabs"
            )
        if not pictures:
            path, label, split = (first_of(headers, first) for headers in (PATHS, LABELS, SPLIT_NAMES))
            if path is None or label is None:
                raise self._no_columns(first)
            if split is None:
                rows = (row for _, row in itertools.islice(self._rows(), 1, None))
                split = column_of_splits(rows, set(range(len(first))) - {path, label})
            return path, label, split, True
        path = pictures[0]
        before = path - 1 if path and split_of(first[path - 1]) is not None else None
        if path + 1 == len(first):
            if before is not None or path == 0:
                raise self._no_columns(first)
            return path, path - 1, None, False
        # Label, picture, split: or is there a class "train"?
        if before is None and path and first[path + 1].lower() in SPLIT_WORDS:
            raise self._no_columns(first)
        after = path + 2 if path + 2 < len(first) else None
        return path, path + 1, after if before is None else before, False

    def _group(self, wanted: str, names: list[str]) -> int | None:
        """Where the column of groups is; None if none is wanted."""
        if not wanted:
            return None
        if (found := first_of([wanted], names)) is None:
            raise PipelineError(
                f"expected the column {listed([wanted])} in {self.name} (group_column), received {listed(names, 12)}; "
                "name one of those"
            )
        return found

    def _json(self, group_column: str) -> tuple[str, Iterator[LabelLine]]:
        first: dict[str, Any] = {}  # what is there of each key, by the first line that has it
        for _, value in self._objects():
            if isinstance(value, dict):
                first.update((key, value[key]) for key in value if not first.get(key))
        path = first_of(PATHS, list(first))
        label = self._label_keys(first)
        if path is None or label is None:
            raise self._no_columns(list(first))
        keys = list(first)
        path_key = keys[path]
        found = first_of(SPLIT_NAMES, list(first))
        if found is None:
            objects = (value for _, value in self._objects() if isinstance(value, dict))
            rows = ([text_at(value, (key,)) for key in keys] for value in objects)
            found = column_of_splits(rows, set(range(len(keys))) - {path, keys.index(label[0])})
        split: Sequence[str] = (keys[found],) if found is not None else VERTEX_SPLIT
        has_split = found is not None or text_at(first, VERTEX_SPLIT)
        group = self._group(group_column, keys)
        group_key = () if group is None else (keys[group],)
        words = columns_told(path_key, ".".join(label), ".".join(split) if has_split else "", keys, group)

        def lines() -> Iterator[LabelLine]:
            for number, value in self._objects():
                if not isinstance(value, dict):
                    yield LabelLine(number, odd="no JSON object")
                else:
                    yield _line(number, *(text_at(value, key) for key in ((path_key,), label, split, group_key)))

        return words, lines()

    def _objects(self) -> Iterator[tuple[int, Any]]:
        """The JSON value of each line, None if it is none."""
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for number, line in enumerate(self._read(file), start=1):
                if line.strip():
                    try:
                        yield number, json.loads(line)
                    except (ValueError, RecursionError):
                        yield number, None

    def _label_keys(self, first: dict[str, Any]) -> Sequence[str] | None:
        found = first_of(LABELS, list(first))
        if found is not None and not isinstance(list(first.values())[found], dict):
            return (list(first)[found],)
        if text_at(first, VERTEX_LABEL):
            return VERTEX_LABEL
        truth = (key for key in first if key.endswith("-metadata") and text_at(first, (key, "class-name")))
        return next(((key, "class-name") for key in truth), None)

    def _no_columns(self, received: list[str]) -> PipelineError:
        return PipelineError(
            f"expected columns of path and label in {self.name}, received {listed(received)}; "
            "name them path and label in a first line"
        )


def _line(number: int, path: str, label: str, split: str, group: str) -> LabelLine:
    given = split_of(split)
    if not path:
        return LabelLine(number, odd="no path")
    if not label:
        return LabelLine(number, odd=f"no label for {path}")
    if given is None:
        return LabelLine(number, odd=f"the split {split!r}, which is none of train, validation and test, for {path}")
    return LabelLine(number, path, label, given, group)
