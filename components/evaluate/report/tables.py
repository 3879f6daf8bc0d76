"""The rows of the evaluation report's tables, from its facts."""

import math
from typing import Any, NamedTuple

import numpy as np

from components.core.artifacts.evaluation import METRIC_WORDS
from components.core.wording import told_apart
from components.evaluate.measure.measures import wilson_interval
from components.evaluate.measure.paired import TESTS
from components.evaluate.report.facts import Band, ClassScore, EvaluationFacts, Slice


class Confusion(NamedTuple):
    """Pictures of one class taken for another: how many, and what share of their class that is."""

    true: int
    predicted: int
    times: int
    share: float


class Bands(NamedTuple):
    """All slices, each band with the 95 % interval of its accuracy, and the accuracies from `low` to `high`, in steps
    of 5 %, that hold them."""

    low: float
    high: float
    slices: list[tuple[Slice, list[tuple[Band, tuple[float, float]]]]]

    def place(self, share: float) -> str:
        """Where an accuracy lies between `low` and `high`: 0 to 1, as CSS takes it."""
        return f"{(share - self.low) / (self.high - self.low):.4f}"


class Row(NamedTuple):
    """A class as the per-class table shows it: `interval` is of its recall, `worst` its most frequent confusion."""

    name: str
    score: ClassScore
    interval: tuple[float, float] | None
    auc: float | None
    worst: Confusion | None


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
    """What the section on champion and challenger shows beyond the facts; None if no champion was measured."""
    if facts.both is None or facts.decision is None or facts.decision.comparison is None:
        return None
    champion, challenger, comparison = facts.both.champion, facts.both.challenger, facts.decision.comparison
    better, worse, count = comparison.only_challenger, comparison.only_champion, champion.count
    classes = zip(facts.class_names, champion.per_class, challenger.per_class, strict=True)
    tested = [(name, before, now) for name, before, now in classes if now.support]
    return {
        "metric": METRIC_WORDS[comparison.metric],
        "test": TESTS[comparison.metric],
        "champion_interval": wilson_interval(champion.correct, count, champion.per_chance),
        "challenger_interval": wilson_interval(challenger.correct, count, challenger.per_chance),
        "p_value": told_apart(comparison.p_value, comparison.p_allowed, ".2g"),
        "p_allowed": told_apart(comparison.p_allowed, comparison.p_value, ".2g"),
        "both": challenger.correct - better,
        "neither": count - challenger.correct - worse,
        "classes": sorted(tested, key=lambda scores: scores[2].recall - scores[1].recall),
    }


def class_rows(facts: EvaluationFacts, confusions: list[Confusion]) -> list[Row]:
    """The classes, the hardest (lowest F1) first; those without a test picture last."""
    worst: dict[int, Confusion] = {}
    for confusion in confusions:
        worst.setdefault(confusion.true, confusion)
    rows = []
    for k, (name, score) in enumerate(zip(facts.class_names, facts.per_class, strict=True)):
        found = int(facts.confusion[k, k])
        interval = wilson_interval(found, score.support, facts.per_chance) if score.support else None
        auc = facts.roc[k].auc if k in facts.roc else None
        rows.append(Row(name, score, interval, auc, worst.get(k)))
    return sorted(rows, key=lambda row: (row.score.support == 0, row.score.f1))


def band_rows(facts: EvaluationFacts) -> Bands:
    """The slices as their tables show them."""
    slices = [
        (found, [(band, wilson_interval(band.correct, band.count, facts.per_chance)) for band in found.bands])
        for found in facts.slices
    ]
    ends = [facts.accuracy, *(end for _, rows in slices for _, interval in rows for end in interval)]
    return Bands(math.floor(20 * min(ends)) / 20, math.ceil(20 * max(ends)) / 20, slices)
