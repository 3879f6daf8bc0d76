"""The evaluation report: one self-contained HTML page, for who has to decide whether a model is good enough.

A section is a template in templates/ and a line in `_sections`. What a template can't say in a line or two is worked
out here.
"""

import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from components.core.page import Section, write_page
from components.core.page.numbers import require_finite
from components.evaluate.facts import EvaluationFacts
from components.evaluate.measures import macro_auc, paired_difference_interval, wilson_interval
from components.evaluate.report_charts import calibration_charts, learning_charts, roc_charts

TEMPLATES = pathlib.Path(__file__).parent / "templates"
MATRIX_CLASSES = 30  # a bigger confusion matrix can't be read; its largest entries are listed
LISTED = 30  # rows shown at once of a list that may be long


class Confusion(NamedTuple):
    """Pictures of one class taken for another: how many, and what share of their class that is."""

    true: int
    predicted: int
    times: int
    share: float


class Duel(NamedTuple):
    """A class as champion and challenger find it: shares of its test pictures."""

    index: int
    champion: float
    challenger: float
    support: int


class Row(NamedTuple):
    """A class as the per-class table shows it; `worst` is its most frequent confusion."""

    index: int
    precision: float
    recall: float
    f1: float
    support: int
    auc: float | None
    worst: Confusion | None


def write_report(path: str | os.PathLike, facts: EvaluationFacts) -> None:
    """Writes the report of an evaluation to `path`, whole or not at all.

    All pictures given are shown: some twenty of each kind keep the page small.

    Raises:
        PipelineError: a number is NaN or infinite; nothing is written.
    """
    require_finite(facts, "evaluation")
    confusions = frequent_confusions(facts.confusion)
    absent = [name for name, score in zip(facts.class_names, facts.per_class, strict=True) if not score.support]
    write_page(
        path,
        TEMPLATES,
        "Evaluation report",
        facts.title,
        _sections(facts),
        facts=facts,
        interval=wilson_interval(facts.correct, facts.count),
        same_answer=max(score.support for score in facts.per_class) / facts.count,
        macro_f1=float(np.mean([score.f1 for score in facts.per_class])),
        macro_auc=macro_auc(facts.roc),
        absent=absent,
        confusions=confusions,
        row_shares=facts.confusion / np.maximum(facts.confusion.sum(axis=1, keepdims=True), 1),
        matrix_shown=len(facts.class_names) <= MATRIX_CLASSES,
        rows=_rows(facts, confusions),
        listed=LISTED,
        failed=[check for check in facts.behaviour if not check.passed],
        versus=versus(facts),
        learning_charts=learning_charts(facts),
        roc_charts=roc_charts(facts),
        calibration_charts=calibration_charts(facts.calibration),
    )


def frequent_confusions(confusion: np.ndarray) -> list[Confusion]:
    """Every pair of classes confused at least once, the most frequent first."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    true, predicted = np.nonzero(wrong)
    times = wrong[true, predicted]
    shares = times / confusion.sum(axis=1)[true]
    order = np.argsort(-times, kind="stable")
    return [Confusion(int(true[i]), int(predicted[i]), int(times[i]), float(shares[i])) for i in order]


def versus(facts: EvaluationFacts) -> dict[str, Any] | None:
    """What the section on champion and challenger shows beyond the facts; None where no champion was measured."""
    champion = facts.gate.champion if facts.gate else None
    if champion is None:
        return None
    better, worse, count = champion.only_challenger, champion.only_champion, facts.count
    classes = [
        Duel(k, before.recall, now.recall, now.support)
        for k, (before, now) in enumerate(zip(champion.per_class, facts.per_class, strict=True))
        if now.support
    ]
    return {
        "difference": facts.accuracy - champion.accuracy,
        "difference_interval": paired_difference_interval(better, worse, count),
        "champion_interval": wilson_interval(champion.correct, count),
        "champion_f1": float(np.mean([score.f1 for score in champion.per_class])),
        "both": facts.correct - better,
        "neither": count - facts.correct - worse,
        "classes": sorted(classes, key=lambda duel: duel.challenger - duel.champion),
    }


def _sections(facts: EvaluationFacts) -> list[Section]:
    sections = [
        Section("champion", "Champion and challenger", "champion.html"),
        Section("learning", "How it learned", "learning.html"),
        Section("confusions", "What it confuses", "confusions.html"),
        Section("classes", "Class by class", "classes.html"),
        Section("mistakes", "Most confident mistakes", "mistakes.html"),
        Section("successes", "Least confident successes", "successes.html"),
        Section("calibration", "Calibration", "calibration.html"),
        Section("roc", "ROC by class", "roc.html"),
        Section("behaviour", "How it behaves", "behaviour.html"),
        Section("facts", "Data and training", "facts.html"),
    ]
    known = {
        "champion": facts.gate is not None and facts.gate.champion is not None,
        "learning": any(facts.history.values()),
        "behaviour": bool(facts.behaviour),
    }
    return [section for section in sections if known.get(section.anchor, True)]


def _rows(facts: EvaluationFacts, confusions: list[Confusion]) -> list[Row]:
    """The classes, the hardest (lowest F1) first; those without a test picture last."""
    worst: dict[int, Confusion] = {}
    for confusion in confusions:
        worst.setdefault(confusion.true, confusion)
    rows = []
    for k, score in enumerate(facts.per_class):
        auc = facts.roc[k].auc if k in facts.roc else None
        rows.append(Row(k, score.precision, score.recall, score.f1, score.support, auc, worst.get(k)))
    return sorted(rows, key=lambda row: (row.support == 0, row.f1))
