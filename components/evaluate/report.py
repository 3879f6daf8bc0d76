"""The evaluation report: one self-contained HTML page, for who has to decide whether a model is good enough.

A section is a template in templates/ and a line in `_sections`. What a template can't say in a line or two is worked
out here.
"""

import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from components.core import card
from components.core.page import Section, write_page
from components.core.page.numbers import require_finite
from components.evaluate.facts import Band, EvaluationFacts, Slice
from components.evaluate.measures import macro_auc, paired_difference_interval, wilson_interval
from components.evaluate.report_charts import calibration_charts, learning_charts, precision_recall_charts, roc_charts

TEMPLATES = pathlib.Path(__file__).parent / "templates"
MATRIX_CLASSES = 30  # a bigger confusion matrix can't be read; its largest entries are listed


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


class BandRow(NamedTuple):
    """A band of a slice: the share of right answers, its 95 % interval, and how far it is from that of all pictures.

    `beyond` tells that the share of all pictures lies outside the interval.
    """

    band: Band
    share: float
    interval: tuple[float, float]
    difference: float
    beyond: bool


class Row(NamedTuple):
    """A class as the per-class table shows it: `interval` is of its recall, `worst` its most frequent confusion."""

    index: int
    precision: float
    recall: float
    f1: float
    support: int
    interval: tuple[float, float] | None
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
        failed=[check for check in facts.behaviour if not check.passed],
        versus=versus(facts),
        learning_charts=learning_charts(facts),
        slices=_slices(facts),
        roc_charts=roc_charts(facts),
        precision_recall_charts=precision_recall_charts(facts),
        purpose=card.purpose(facts.data.image_shape, facts.class_names),
        limits=_limits(facts),
        licence=card.licence(facts.data.name),
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
    return [
        Section(
            "champion", "Champion and challenger", wanted=facts.gate is not None and facts.gate.champion is not None
        ),
        Section("learning", "How it learned", wanted=any(facts.history.values())),
        Section("confusions", "What it confuses"),
        Section("classes", "Class by class"),
        Section("slices", "By what the pictures look like", wanted=bool(facts.slices)),
        Section("mistakes", "Most confident mistakes"),
        Section("successes", "Least confident successes"),
        Section("calibration", "Calibration"),
        Section("curves", "ROC and precision-recall"),
        Section("behaviour", "How it behaves", wanted=bool(facts.behaviour)),
        Section("facts", "Data and training"),
        Section("card", "Model card"),
    ]


def _limits(facts: EvaluationFacts) -> list[str]:
    scores = zip(facts.class_names, facts.per_class, strict=True)
    return card.limits(
        [card.ClassResult(name, score.recall, score.support) for name, score in scores],
        facts.calibration.error,
        [(check.said, check.passed) for check in facts.behaviour],
    )


def _slices(facts: EvaluationFacts) -> list[tuple[Slice, list[BandRow]]]:
    """Each slice with its bands as the table shows them."""
    return [(found, [_band_row(band, facts.accuracy) for band in found.bands]) for found in facts.slices]


def _band_row(band: Band, overall: float) -> BandRow:
    low, high = wilson_interval(band.correct, band.count)
    share = band.correct / band.count
    return BandRow(band, share, (low, high), share - overall, not low <= overall <= high)


def _rows(facts: EvaluationFacts, confusions: list[Confusion]) -> list[Row]:
    """The classes, the hardest (lowest F1) first; those without a test picture last."""
    worst: dict[int, Confusion] = {}
    for confusion in confusions:
        worst.setdefault(confusion.true, confusion)
    rows = []
    for k, score in enumerate(facts.per_class):
        found = int(facts.confusion[k, k])
        interval = wilson_interval(found, score.support) if score.support else None
        auc = facts.roc[k].auc if k in facts.roc else None
        rows.append(Row(k, score.precision, score.recall, score.f1, score.support, interval, auc, worst.get(k)))
    return sorted(rows, key=lambda row: (row.support == 0, row.f1))
