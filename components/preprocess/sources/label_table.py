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
import math
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

from components.core.errors import PipelineError
from components.core.pictures.names import SUFFIXES, ending_of
from components.core.wording import listed
from components.preprocess.sources.columns import (
    Columns,
    LabelLine,
    column_called,
    columns_by_header,
    columns_by_picture,
    split_of,
)

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
# The number of a line, and its cells; None if it is no JSON object.
Row = tuple[int, Sequence[str] | None]
Lines = Callable[[], Iterator[LabelLine]]
# The first line's cells or the keys, which columns they are, and what gives the rows from the first on.
Understood = tuple[list[str], Columns | None, Callable[[], Iterator[Row]]]


@dataclasses.dataclass(frozen=True)
class LabelTable:
    """A table that lies at `path`, and is called `name` by people."""

    path: pathlib.Path
    name: str

    def where(self, line: LabelLine) -> str:
        """The place of a line, for people."""
        return f"{self.name}, line {line.number}"

    def lines(self, group_column: str = "") -> tuple[str, Lines]:
        """Which columns were found, in words, and what each line says, from the first on as often as it is called.

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
        is_csv = not start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
        names, columns, rows = self._csv() if is_csv else self._json()
        if columns is None:
            raise PipelineError(
                f"expected columns of path and label in {self.name}, received {listed(names)}; name them path and "
                "label in a first line"
            )
        if group_column:
            columns = dataclasses.replace(columns, group=column_called([group_column], columns.names))
            if columns.group is None:
                raise PipelineError(
                    f"expected the column {listed([group_column])} in {self.name} (group_column), received "
                    f"{listed(list(columns.names), 12)}; name one of those"
                )
        return columns.told(), lambda: (self._line(columns, number, row, is_csv) for number, row in rows())

    def _line(self, columns: Columns, number: int, row: Sequence[str] | None, is_csv: bool) -> LabelLine:
        if row is None:
            return LabelLine(number, odd="no JSON object")
        if any(more := row[len(columns.names) :]):
            return LabelLine(number, odd=f"a cell more than the first line has: {listed(list(more))}")
        path, label, split, group = said = columns.cells(row)
        if is_csv and (inside := max(text.count("\n") for text in said)):
            raise PipelineError(
                f"expected CSV in {self.name}, received a quotation mark in line {number - inside} that is not closed "
                "there; close or remove it"
            )
        if not path:
            return LabelLine(number, odd="no path")
        if not label:
            return LabelLine(number, odd=f"no label for {path}")
        if (given := split_of(split)) is None:
            return LabelLine(
                number, odd=f"the split {split!r}, which is none of train, validation and test, for {path}"
            )
        return LabelLine(number, path, label, given, group)

    def _csv(self) -> Understood:
        _, first = next(self._rows(), (0, []))
        if not first:
            raise PipelineError(f"expected lines of path and label in {self.name}, received an empty file")
        if len(first) < 2:
            raise PipelineError(
                f"expected columns of path and label in {self.name}, received one column: {listed(first)}; "
                "add labels, behind commas, semicolons or tabs"
            )
        if any(ending_of(cell) in SUFFIXES for cell in first):
            return first, columns_by_picture(first), self._rows

        def below() -> Iterator[tuple[int, list[str]]]:
            return itertools.islice(self._rows(), 1, None)

        return first, columns_by_header(first, (row for _, row in below())), below

    def _json(self) -> Understood:
        names = list(dict.fromkeys(name for _, said in self._objects() for name in said or ()))

        def rows() -> Iterator[Row]:
            for number, said in self._objects():
                yield number, None if said is None else [said.get(name, "") for name in names]

        return names, columns_by_header(names, (row for _, row in rows() if row)), rows

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
            first = next((line for line in self._read(file) if line.strip()), "")
            file.seek(0)
            reader = csv.reader(self._read(file), delimiter=max(",;\t", key=first.count), skipinitialspace=True)
            try:
                for row in reader:
                    if any(cell.strip() for cell in row):
                        yield reader.line_num, [cell.strip() for cell in row]
            except csv.Error as error:
                where = f"line {reader.line_num}"
                raise PipelineError(f"expected CSV in {self.name}, received {error} in {where}; fix it") from None

    def _objects(self) -> Iterator[tuple[int, dict[str, str] | None]]:
        """What each line says by its keys, and by `outer.inner` of an object inside; None if it is no object."""
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for number, line in enumerate(self._read(file), start=1):
                if line.strip():
                    yield number, texts(line)


def texts(line: str) -> dict[str, str] | None:
    """The texts in a JSON object, and in those inside it, by their keys, with a dot between two; None if it is none."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    found: dict[str, str] = {}
    for key, value in said.items():
        inside = {f"{key}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {key: value}
        found.update((name, _text(each)) for name, each in inside.items())
    return found


def _text(value: Any) -> str:
    """A value as text; empty if it is none, for which Python also writes NaN."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() else value if math.isfinite(value) else None
    return str(value).strip() if isinstance(value, str | int | float) else ""
