"""Where answers lie, and what was answered before.

    OUT/answers.json                      classes, format, and how many classes are told: alike in all answers below
    OUT/digits-3/model.json               the model that the answers below are from, proven by hash
    OUT/digits-3/answers-<digits>.jsonl   up to 10,000 answers; pictures that can't be read among them, with the reason
    OUT/digits-3/records/<digits>.json    what of these pictures is remembered: their marks, and counts for drift
    OUT/digits-3/drift/<time>-<digits>.*  a report on the answers since the report before (drift/)

A file of answers appears whole, under a name that follows from the pictures in it, and only if there is none of that
name; its record is written before, and counts from that moment on. So a run that is killed goes on with the file that
it was at. If several runs answer the same pictures at once, one writes each file; the others have worked in vain.
Runs that began on different listings can both answer a picture, if they are at it in the same minute: the two answers
are equal.

A new champion answers all pictures anew, in a folder of its own: answers of two models don't mix. The pictures of a
file of answers that is removed are answered again, and so are those whose record is; one that is packed, to
`.jsonl.gz`, still counts.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import pydantic

from components.core.errors import PipelineError, one_line
from components.core.storage import Corrupted, NotFound, PreconditionFailed, Store, open_store
from components.core.storage.errors import tell
from components.core.wording import listed
from components.predict.drift.tally import Counts
from components.predict.source import Picture

FORM_FILE = "answers.json"
MODEL_FILE = "model.json"
# A copy that a file manager has made, `answers-... (1).jsonl`, is none.
ANSWERS = re.compile(r"answers-([0-9a-f]{16})\.(jsonl|csv)(\.\w+)?")
MARK = np.dtype("<u8")
Known = TypeVar("Known", bound=pydantic.BaseModel)


class Form(pydantic.BaseModel):
    """What answers.json says: what all answers look like.

    Attributes:
        top: classes told of each picture.
    """

    class_names: list[str]
    answers_as: Literal["jsonl", "csv"]
    top: int

    @property
    def said(self) -> str:
        """As it is set, but for the classes."""
        return f"answers_as={self.answers_as} top={self.top}"


class AnsweringModel(pydantic.BaseModel):
    """What model.json says.

    Attributes:
        sha256: of the names and hashes of all the model's files.
    """

    name: str
    version: str
    sha256: str

    @property
    def said(self) -> str:
        """As people call it."""
        return f"{self.name} version {self.version}"


class Record(pydantic.BaseModel):
    """What is remembered of a file of answers."""

    marks: str = pydantic.Field(description="marks of its pictures (Picture.mark), end to end, in base64")
    counts: Counts


class Answers:
    """The answers of one model below one place.

    Attributes:
        seen: uint64 [n], ascending: the marks of all pictures that were answered.
        records: what is remembered of each file of answers, by its digits.
        lost: the digits of those of which nothing is remembered.
        folder: where this model's answers lie, below the place.

    Raises:
        PipelineError: the answers there are of another form, or of another model under this name.
        StorageError: nothing can be written there.
    """

    def __init__(self, out: str, model: AnsweringModel, form: Form):
        self.store, self.folder = open_store(out), f"{model.name}-{model.version}"
        known = _settled(self.store, FORM_FILE, form)
        if known.class_names != form.class_names:
            raise PipelineError(
                f"expected a model of the classes of the answers in {self.store.uri()}, {listed(known.class_names)}, "
                f"received one of {listed(form.class_names)}; give another OUT"
            )
        if known != form:
            where = self.store.uri()
            raise PipelineError(
                f"expected {known.said}, as the answers in {where} are, received {form.said}; give another OUT"
            )
        before = _settled(self.store, f"{self.folder}/{MODEL_FILE}", model)
        if before != model:
            raise PipelineError(
                f"expected {model.said} with sha256 {before.sha256}, from which the answers in "
                f"{self.store.uri(self.folder)} are, received sha256 {model.sha256}; give another OUT"
            )
        self.seen = np.empty(0, MARK)
        self.records: dict[str, Record] = {}
        self.lost: set[str] = set()
        self.refresh()

    def uri(self, key: str = "") -> str:
        """A place in this model's folder."""
        return self.store.uri(f"{self.folder}/{key}" if key else self.folder)

    def refresh(self) -> None:
        """Takes note of what others have answered since the last look."""
        there = (ANSWERS.fullmatch(stored.key.rpartition("/")[2]) for stored in self.store.files(self.folder))
        digits = {found[1] for found in there if found}
        new = sorted(digits - set(self.records) - self.lost)
        self.store.for_each(new, self._remember)
        found = [_marks(self.records[name]) for name in new if name in self.records]
        self.seen = np.union1d(self.seen, np.concatenate([self.seen, *found]))

    def unanswered(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Those of the pictures that this model has not answered as they are now."""
        if not len(self.seen) or not pictures:
            return list(pictures)
        marks = np.frombuffer(b"".join(picture.mark for picture in pictures), MARK)
        answered = self.seen[np.searchsorted(self.seen, marks).clip(max=len(self.seen) - 1)] == marks
        return [picture for picture, known in zip(pictures, answered, strict=True) if not known]

    def commit(self, pictures: Sequence[Picture], text: str, ending: str, counts: Counts) -> bool:
        """Writes a file of answers, and what is remembered of it; says whether it was the first to answer these."""
        marks = b"".join(picture.mark for picture in pictures)
        digits = hashlib.sha256(marks).hexdigest()[:16]
        record = Record(marks=base64.b64encode(marks).decode("ascii"), counts=counts)
        self.store.write_bytes(self._record(digits), record.model_dump_json().encode())
        try:
            self.store.write_bytes(f"{self.folder}/answers-{digits}.{ending}", text.encode(), if_absent=True)
        except PreconditionFailed:
            return False
        self.records[digits] = record
        self.seen = np.union1d(self.seen, _marks(record))
        return True

    def _record(self, digits: str) -> str:
        return f"{self.folder}/records/{digits}.json"

    def _remember(self, digits: str) -> None:
        key = self._record(digits)
        try:
            self.records[digits] = _parsed(self.store, key, Record)
        except (NotFound, Corrupted):
            self.lost.add(digits)
            tell(f"{self.store.uri(key)} is lost: pictures that only answers-{digits} has are answered again")


def answered_before(out: str) -> bool:
    """Whether any model's answers lie below a place: then a source without pictures is one that was emptied."""
    return any(stored.key.rpartition("/")[2].startswith("answers-") for stored in open_store(out).list())


def _settled(store: Store, key: str, wanted: Known) -> Known:
    """What the object says; if there is none it is made, to say what is wanted. Every later run finds the same."""
    try:
        store.write_bytes(key, wanted.model_dump_json(indent=2).encode() + b"\n", if_absent=True)
        return wanted
    except PreconditionFailed:
        return _parsed(store, key, type(wanted))


def _parsed(store: Store, key: str, kind: type[Known]) -> Known:
    try:
        return kind.model_validate_json(store.read_bytes(key))
    except ValueError as error:
        raise Corrupted(
            f"expected {store.uri(key)} as an earlier run wrote it, received something else ({one_line(error, 200)}); "
            "give another OUT, or remove that file alone"
        ) from None


def _marks(record: Record) -> np.ndarray:
    return np.frombuffer(base64.b64decode(record.marks), MARK)


def model_digest(files: dict[str, Any]) -> str:
    """A SHA-256 for a model, from the SHA-256 of each of its files by name."""
    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
