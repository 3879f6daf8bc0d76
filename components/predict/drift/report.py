"""Ends a batch of answers: compares it with what the model knows, and leaves a page and its facts beside the answers.

A report covers all files of answers that no report before it covers: those of a run that was killed before its report,
and of one that is still at work, as well as this run's own.
"""

import datetime
import functools
import json
import pathlib
import re
import secrets
import tempfile
from typing import NamedTuple

import numpy as np

from components.core.errors import PipelineError
from components.core.files import whole_file
from components.core.page.numbers import require_finite
from components.predict.answers import Answers
from components.predict.champion import Served
from components.predict.drift.compare import LEAST_PICTURES, Drift, compare
from components.predict.drift.page import write_drift_report
from components.predict.drift.tally import Counts
from components.predict.settings import AnswerSettings

FOLDER = "drift"
# Facts of a report by their name, after the time; any other file was put there by somebody.
FACTS = re.compile(r"\d{4}(-\d\d){5}-[0-9a-f]{6}\.json")


class Report(NamedTuple):
    """What was found, the measure that moved most first, and where the page lies."""

    drifts: list[Drift]
    place: str


def report_drift(answers: Answers, served: Served, settings: AnswerSettings, page_path: str = "") -> Report | None:
    """Writes the report; None if there is nothing to report on or to compare with, which a line tells.

    Raises:
        PipelineError: nothing tells whether more than max_drift has moved.
    """
    files = sorted(set(answers.records) - _covered(answers, page_path))
    if not files:
        return None
    if served.reference is None:
        if settings.max_drift < 1:
            raise PipelineError(
                f"expected a model that max_drift can be held against, received {served.model.said} without "
                "reference.json, as an export has it; the pictures are answered; give such a model, or no max_drift"
            )
        print(f"no drift report: {served.model.said} has no reference.json, as an export has it", flush=True)
        return None
    counts = functools.reduce(Counts.plus, (answers.records[name].counts for name in files))
    readable = counts.pictures - counts.unreadable
    if readable < LEAST_PICTURES:
        had = f"expected at least {LEAST_PICTURES} pictures, received {readable}"
        print(f"no drift report: {had}; the next one covers them", flush=True)
        return None
    found = {name: np.asarray(measured) for name, measured in counts.measures.items()}
    drifts = compare(served.reference, found, settings.drift_significance)
    require_finite(drifts, "drift")
    now = datetime.datetime.now(datetime.UTC)
    stem = f"{FOLDER}/{now:%Y-%m-%d-%H-%M-%S}-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory() as directory:
        page = pathlib.Path(directory) / "drift.html"
        write_drift_report(page, served, served.reference, counts, drifts, settings)
        answers.store.write_bytes(f"{answers.folder}/{stem}.html", page.read_bytes())
        if page_path:
            with whole_file(page_path) as copy:
                copy.write_bytes(page.read_bytes())
    answers.store.write_bytes(f"{answers.folder}/{stem}.json", _facts(files, counts, drifts, page_path))
    return Report(drifts, answers.uri(f"{stem}.html"))


def _facts(files: list[str], counts: Counts, drifts: list[Drift], page_path: str) -> bytes:
    numbers = ("p_value", "different", "moved", "low", "high", "chance")
    facts = {
        "files": files,
        "page": page_path,
        "pictures": counts.pictures,
        "unreadable": counts.unreadable,
        "measures": {drift.name: {name: getattr(drift, name) for name in numbers} for drift in drifts},
    }
    return json.dumps(facts, indent=2, allow_nan=False, default=bool).encode() + b"\n"


def _covered(answers: Answers, page_path: str) -> set[str]:
    """The files of answers that earlier reports cover. Reports have their facts written last.

    A pod that is tried again has the page of the one before: its report is made again, and fails it again.
    """
    covered: set[str] = set()
    store = answers.store

    def look(key: str) -> None:
        facts = json.loads(store.read_bytes(key))
        if not page_path or facts.get("page") != page_path:
            covered.update(facts["files"])

    there = [stored.key for stored in store.files(f"{answers.folder}/{FOLDER}")]
    keys = [key for key in there if FACTS.fullmatch(key.rpartition("/")[2])]
    store.for_each(keys, look)
    return covered
