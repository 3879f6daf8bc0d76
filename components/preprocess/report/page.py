"""The data report: one self-contained HTML page on what a model will learn from, to be looked at before training."""

import os
import pathlib
from typing import NamedTuple

import numpy as np

from components.core.artifacts.dataset import SPLITS, uneven
from components.core.page import Section, write_page
from components.core.page.numbers import require_finite
from components.core.wording import isolated
from components.preprocess.report.facts import DataFacts
from components.preprocess.report.notices import scarce

TEMPLATES = pathlib.Path(__file__).parent / "templates"


class ClassCount(NamedTuple):
    """A class's pictures: in all, and by split in the order of the splits."""

    name: str
    total: int
    by_split: list[int]


def write_data_report(path: str | os.PathLike, facts: DataFacts) -> None:
    """Writes the report on a data set to `path`, whole or not at all.

    Raises:
        PipelineError: a number is NaN or infinite; nothing is written.
    """
    require_finite(facts, "data")
    splits = {split: facts.info.splits[split] for split in SPLITS if split in facts.info.splits}
    classes = _classes(facts)
    write_page(
        path,
        TEMPLATES,
        "Data report",
        facts.info.called,
        _sections(facts),
        facts=facts,
        splits=splits,
        total=sum(split.count for split in splits.values()),
        classes=classes,
        uneven=uneven([row.total for row in classes]),
        largest=max((row.total for row in classes), default=0),
        scarce=scarce(facts, isolated),
        samples=facts.samples,
    )


def _sections(facts: DataFacts) -> list[Section]:
    return [
        Section("splits", "Splits"),
        Section("classes", "Class balance"),
        Section("samples", "Samples", wanted=bool(facts.samples)),
        Section("duplicates", "Duplicates across splits"),
        Section("in_two_classes", "Duplicates across classes", wanted=bool(facts.in_two_classes.count)),
        Section("left_out", "Left out"),
        Section("shapes", "Sizes and conversions"),
        Section("source", "Source"),
    ]


def _classes(facts: DataFacts) -> list[ClassCount]:
    """The classes, the rarest first."""
    counts = np.array([facts.info.splits[split].per_class for split in SPLITS if split in facts.info.splits])
    rows = [
        ClassCount(name, int(counts[:, k].sum()), counts[:, k].tolist())
        for k, name in enumerate(facts.info.class_names)
    ]
    return sorted(rows, key=lambda row: row.total)
