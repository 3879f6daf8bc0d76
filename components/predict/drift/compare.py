"""Whether new pictures are like those that the model knows: one test a measure, and how much of them lies elsewhere.

A measure (brightness, ..., certainty, the class answered) is two histograms over the same bins: the reference's counts
and the new ones. They are compared as two samples, so that a small reference is no surer than it is.

- Is it chance? Pearson's chi-square test of homogeneity takes each picture for a draw of its own, on bins of at least 5
  pictures expected in either sample; neighbours of fewer are joined. Bins that are the reference's own tenths leave its
  distribution as it is (Moore and Spruill, 1975). Holm's step-down holds the chance that any of the measures is called
  different by luck below `significance`, however they depend on each other (Holm, 1979). One test a measure with such a
  correction finds what a joint test in many dimensions misses (Rabanser, Gunnemann and Lipton, Failing Loudly, NeurIPS
  2019).
- How much? The share of pictures that would have to lie in other bins: half the sum of the differences of shares (total
  variation), 0 to 1. Two samples of one kind differ as well, by `chance` on average: the sum of what each bin scatters.
  Its interval holds for all measures together (Bonferroni); the lower end has `chance` taken off, the most by which
  the estimate can be too high, since a mean of |x| exceeds |mean of x| most where that mean is 0.

With many pictures everything is significant, and with few, or in many bins, much has moved by chance: what counts is
what is both, no chance and more than `max_drift` beyond it.
"""

import dataclasses
import math

import numpy as np
from scipy import stats

from components.core.artifacts.reference import Reference

# Fewer pictures say nothing: the interval of a share of a half is 36 points wide.
LEAST_PICTURES = 30
LEAST_EXPECTED = 5
CLASSES = "classes"


@dataclasses.dataclass(frozen=True)
class Drift:
    """One measure, new against known.

    Attributes:
        reference, found: int64 [bins], the counts.
        p_value: that samples of one kind differ as much; 1 if there is nothing to compare.
        different: whether that is too little for chance, among all the measures.
        moved: the share that lies elsewhere.
        low, high: its interval.
        chance: what it comes to on average between two samples of one kind.
    """

    name: str
    reference: np.ndarray
    found: np.ndarray
    p_value: float
    different: bool
    moved: float
    low: float
    high: float
    chance: float

    def exceeds(self, max_drift: float) -> bool:
        """Whether more than that share lies elsewhere, and not by chance.

        What has moved adds to what chance alone comes to, which is much for a thousand classes, about as squares do:
        5,000 pictures of which 10 % had moved, to one class, counted as 23 %.
        """
        return self.different and self.moved > math.hypot(max_drift, self.chance)


def compare(reference: Reference, found: dict[str, np.ndarray], significance: float) -> list[Drift]:
    """Compares each measure of the reference that was found, the one that has moved most first.

    Args:
        found: int64 [bins] by measure, in the reference's bins; under CLASSES the answers by class.
        significance: the chance at most that any measure is called different if none is.
    """
    known = {name: np.asarray(histogram.counts) for name, histogram in reference.measures.items()}
    known[CLASSES] = np.asarray(reference.classes)
    pairs = {name: _pooled(counts, found[name]) for name, counts in known.items() if name in found}
    p_values = {name: float(stats.chi2_contingency(pair, correction=False).pvalue) for name, pair in pairs.items()}
    different = holm(p_values, significance)
    drifts = []
    for name, pair in pairs.items():
        moved, low, high, chance = _moved(*pair, significance / len(pairs))
        drifts.append(
            Drift(name, known[name], found[name], p_values[name], name in different, moved, low, high, chance)
        )
    return sorted(drifts, key=lambda drift: -drift.moved)


def holm(p_values: dict[str, float], significance: float) -> set[str]:
    """The names whose p-value is too small for chance, the error held over all of them (Holm, 1979)."""
    found: set[str] = set()
    for left, name in zip(range(len(p_values), 0, -1), sorted(p_values, key=p_values.__getitem__), strict=True):
        if p_values[name] > significance / left:
            break
        found.add(name)
    return found


def _pooled(reference: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with neighbouring bins joined that are too rare for the test, until none is.

    Neighbours, whatever is in them: an order by the counts of either sample would make differences of its own.
    """
    table = np.stack([reference, found]).astype(np.float64)
    expected = table.sum(axis=0) * table.sum(axis=1).min() / table.sum()
    starts, held = [0], 0.0
    for place, share in enumerate(expected.tolist()):
        if held >= LEAST_EXPECTED:
            starts.append(place)
            held = 0.0
        held += share
    if held < LEAST_EXPECTED and len(starts) > 1:
        starts.pop()
    joined = np.add.reduceat(table, starts, axis=1)
    return joined[0], joined[1]


def _moved(reference: np.ndarray, found: np.ndarray, significance: float) -> tuple[float, float, float, float]:
    """The share that lies elsewhere, its interval, and what chance alone comes to."""
    n, m = reference.sum(), found.sum()
    p, q = reference / n, found / m
    moved = float(np.abs(p - q).sum() / 2)
    scatter = np.sqrt(p * (1 - p) / n + q * (1 - q) / m)
    chance = float(np.sqrt(2 / np.pi) * scatter.sum() / 2)
    # Bins that are alike to the last digit may differ either way.
    sign = np.where(p == q, 1 - 2 * (np.arange(len(p)) % 2), np.sign(p - q))
    spread = np.sqrt(sum((share @ sign**2 - (share @ sign) ** 2) / count for share, count in ((p, n), (q, m)))) / 2
    reach = float(stats.norm.isf(significance / 2) * spread)
    return moved, max(0.0, moved - chance - reach), min(1.0, moved + reach), chance
