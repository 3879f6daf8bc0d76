"""The rows of the evaluation report's tables, from its facts."""

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from components.core.artifacts.evaluation import METRIC_WORDS
from components.core.wording import told_apart
from components.evaluate.measure.measures import wilson_interval
from components.evaluate.measure.paired import TESTS
from components.evaluate.report.facts import Band, EvaluationFacts, Slice


class Confusion(NamedTuple):
    """Pictures of one class taken for another: how many, and what share of their class that is."""

    true: int
    predicted: int
    times: int
    share: float


@dataclasses.dataclass(frozen=True)
class ClassDuel:
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


class Bands(NamedTuple):
    """All slices with their bands' rows, and the accuracies from `low` to `high`, in steps of 5 %, that hold them."""

    low: float
    high: float
    slices: list[tuple[Slice, list[BandRow]]]

    def place(self, share: float) -> str:
        """Where an accuracy lies between `low` and `high`: 0 to 1, as CSS takes it."""
        return f"{(share - self.low) / (self.high - self.low):.4f}"


@dataclasses.dataclass(frozen=True)
class Row:
    """A class as the per-class table shows it: `interval` is of its recall, `worst` its most frequent confusion."""

    index: int
    precision: float
    recall: float
    f1: float
    support: int
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
    classes = [
        ClassDuel(k, before.recall, now.recall, now.support)
        for k, (before, now) in enumerate(zip(champion.per_class, challenger.per_class, strict=True))
        if now.support
    ]
    return {
        "metric": METRIC_WORDS[comparison.metric],
        "test": TESTS[comparison.metric],
        "champion_interval": wilson_interval(champion.correct, count),
        "challenger_interval": wilson_interval(challenger.correct, count),
        "p_value": told_apart(comparison.p_value, comparison.p_allowed, ".2g"),
        "p_allowed": told_apart(comparison.p_allowed, comparison.p_value, ".2g"),
        "both": challenger.correct - better,
        "neither": count - challenger.correct - worse,
        "classes": sorted(classes, key=lambda duel: duel.challenger - duel.champion),
    }


def class_rows(facts: EvaluationFacts, confusions: list[Confusion]) -> list[Row]:
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


def band_rows(facts: EvaluationFacts) -> Bands:
    """The slices as their tables show them."""
    overall = facts.accuracy
    slices = [(found, [_band_row(band, overall) for band in found.bands]) for found in facts.slices]
    ends = [end for _, rows in slices for row in rows for end in row.interval]
    low = math.floor(20 * min([overall, *ends])) / 20
    high = math.ceil(20 * max([overall, *ends])) / 20
    return Bands(low, high, slices)


def _band_row(band: Band, overall: float) -> BandRow:
    low, high = wilson_interval(band.correct, band.count)
    share = band.correct / band.count
    return BandRow(band, share, (low, high), share - overall, not low <= overall <= high)
