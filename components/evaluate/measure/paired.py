"""Tests and intervals for two models that answered the same pictures: one test for each metric that the gate knows.

    accuracy            mcnemar: exact
    balanced_accuracy   mean_recall_test: each class counts the same, however few pictures it has

Either gives the probability that a model no better than another, by that metric, comes as far ahead of it by chance.
"""

import math
import statistics
from collections.abc import Callable

import numpy as np

from components.core.artifacts.evaluation import GateMetric

TESTS: dict[GateMetric, str] = {
    "accuracy": "McNemar's exact test, one-sided",
    "balanced_accuracy": "Score test of the paired recalls, one-sided",
}


def per_chance(lead: np.ndarray, groups: np.ndarray) -> float:
    """How many pictures of a group are one chance: 1 if they say nothing of each other, all if one says all.

    Counts divided by it are those of as many pictures of different groups: Rao and Scott (1992), "A simple method for
    the analysis of clustered binary data". The spread is that of models which are no better, as in Durkalski and others
    (2003), "Analysis of clustered matched-pair data": a lead in each of a few groups is no more than their number says,
    and the interval is rather too wide then. Of models that are no better 36 % passed at 5 % on 60 videos of 20
    frames, if one frame tells all, and 3 % so; on 60 groups of 20 pictures that are less alike 6 %, and 4 % so.

    Args:
        lead: (n,), 1 for a picture that the first model alone gets right, -1 for the second alone, else 0; or of one
            model by how much it is above its accuracy, 1 or 0. Times what a picture counts in the metric: in a mean
            recall a patient may be half of a rare class. All 0 tell of no chance at all: then a group is one.
        groups: (n,), equal for the pictures of one.
    """
    names, places = np.unique(groups, return_inverse=True)
    if len(names) == len(groups):  # in another order the same squares have another sum, by their last bit
        return 1.0
    lead = lead if lead.any() else np.ones(len(lead))
    return max(1.0, float((np.bincount(places, lead) ** 2).sum() / (lead**2).sum()))


def mcnemar(better: float, worse: float) -> float:
    """The probability that a model no better than another gets as many pictures ahead of it by chance, 0 to 1.

    McNemar (1947), "Note on the sampling error of the difference between correlated proportions or percentages": only
    pictures that one model gets right and the other wrong count, and between equal models each of them falls to either
    side like a coin. Exact, by the binomial distribution, where McNemar's own formula approximates; one-sided, since a
    worse challenger is refused anyhow. Dietterich (1998), "Approximate statistical tests for comparing supervised
    classification learning algorithms", recommends it for two models that were each trained once.

    Args:
        better: pictures that only the first model gets right.
        worse: pictures that only the second one does.
    """
    from scipy.special import betainc

    # More than better - 1 of better + worse tosses fall to the first; counts of chances need not be whole.
    return float(betainc(better, worse + 1, 0.5)) if better else 1.0


def mean_recall_test(better: np.ndarray, worse: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """The probability that a model of no higher mean recall gets as far ahead of another by chance, 0 to 1.

    A coin a picture, as McNemar's test has it, would do between models that are alike in every class. It does not if
    the challenger is better in a common class and worse in a rare one, which is what balanced accuracy is for: with 10
    pictures of the rare class it passed 13 % of such challengers at 5 %, since the loss was not among the ten. So each
    class has chances of its own of winning and of losing a picture: those that explain the answers best among all under
    which the mean recalls are equal. What a few pictures could not show is in them. For one class this is Tango's
    "Equivalence test and confidence interval for the difference in proportions for the paired-sample design" (1998).
    The answer is how often these chances give such a lead, by the saddlepoint formula of Lugannani and Rice (1980) in
    Barndorff-Nielsen's form (1986), which holds far into the tail, where many looks lead, and draws nothing.

    Args:
        better: (..., classes), pictures of the class that only the first model gets right.
        worse: the same that only the second one does.
        pictures: (classes,), all pictures of the class, 1 or more.

    Returns:
        float (...): in 2,000 draws of models with equal mean recalls at most 5 % are 0.05 or less, but for noise.
    """
    from scipy.special import ndtr

    count = np.asarray(pictures, np.float64)
    # Half a picture more in each of the four ways to be right or wrong, as in the interval below: no chance is 0.
    won, lost = _equal_means(better + 0.5, worse + 0.5, count + 2)
    # Leads are whole pictures; the continuous formula takes half of the finest step for what lies between two.
    lead = ((better - worse) / count).sum(axis=-1) - 0.5 / count.max()
    lead = np.maximum(lead, 0.25 / count.max() - len(count))  # what is won by nobody
    tilt = _solved(lambda tilt: lead - _cumulants(tilt, won, lost, count)[1], lead.shape, 100 * count.max())
    log_moment, _, variance = _cumulants(tilt, won, lost, count)
    root = np.sign(tilt) * np.sqrt(2 * np.maximum(tilt * lead - log_moment, 0))
    near = np.abs(root) < 1e-4  # the formula divides by it; the lead is the expected one, 0
    safe = np.where(near, 1.0, root)
    ratio = np.where(near, 1.0, tilt * np.sqrt(variance) / safe)
    return ndtr(-(root + np.log(ratio) / safe))


def by_class(labels: np.ndarray, better: np.ndarray, worse: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `mean_recall_test` takes, of the classes that have pictures.

    Args:
        labels: int64 (n,).
        better: bool (n,), the pictures that only the first model gets right.
        worse: the same for the second one.
    """
    pictures = np.bincount(labels)
    won, lost = (np.bincount(labels[each], minlength=len(pictures)) for each in (better, worse))
    tested = pictures > 0
    return won[tested], lost[tested], pictures[tested]


def difference_interval(
    better: np.ndarray | float, worse: np.ndarray | float, pictures: np.ndarray | float
) -> tuple[float, float]:
    """The interval that holds the true difference of two models on the same pictures with 95 % confidence.

    It is that of their accuracies if one number is given each, of their mean recalls if one a class is. Agresti and Min
    (2005), "Simple improved confidence intervals for comparing matched proportions": Wald's interval after half a
    picture was added to each of the four ways in which two models can be right or wrong. Classes share these two
    pictures, but for their spread: else each would shrink the difference, by a sixth if they have ten pictures.

    Args:
        better: pictures that only the first model gets right.
        worse: pictures that only the second one does.
        pictures: all pictures.

    Returns:
        Lowest and highest value of the first minus that of the second, within -1 to 1.
    """
    z = statistics.NormalDist().inv_cdf(0.975)
    better, worse, count = (np.atleast_1d(given).astype(np.float64) for given in (better, worse, pictures))
    shared = count + 2 / len(count)
    spreads = (better + worse + 1) / (count + 2) - ((better - worse) / (count + 2)) ** 2
    difference, spread = ((better - worse) / shared).mean(), z * math.sqrt((spreads / shared).sum()) / len(count)
    return max(-1.0, float(difference - spread)), min(1.0, float(difference + spread))


def _equal_means(better: np.ndarray, worse: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest chances of winning and of losing a picture of each class under which the mean recalls are equal.

    By Lagrange: with a multiplier for the equality, `pull`, and one a class for a sum of 1, `scale`, they are
    better / (scale + pull) and worse / (scale - pull).
    """
    neither = count - better - worse

    def chances(pull: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pull = pull[..., None]
        least = np.abs(pull)

        def surplus(above: np.ndarray) -> np.ndarray:
            scale = least + above
            return better / (scale + pull) + worse / (scale - pull) + neither / scale - 1

        scale = least + _solved(surplus, np.broadcast_shapes(pull.shape, better.shape), count, 0.0)
        return better / (scale + pull), worse / (scale - pull)

    def lead(pull: np.ndarray) -> np.ndarray:
        won, lost = chances(pull)
        return (won - lost).sum(axis=-1)

    return chances(_solved(lead, better.shape[:-1], count.max()))


def _cumulants(tilt: np.ndarray, won: np.ndarray, lost: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, ...]:
    """The cumulant generating function of the summed recalls' difference at `tilt`, and its two derivatives."""
    step = tilt[..., None] / count
    logs = np.stack([np.log(won) + step, np.log(lost) - step, np.log1p(-won - lost)])
    top = logs.max(axis=0)
    shares = np.exp(logs - top)
    total = shares.sum(axis=0)
    up, down = shares[0] / total, shares[1] / total
    mean = up - down
    return (
        (count * (top + np.log(total))).sum(axis=-1),
        mean.sum(axis=-1),
        ((up + down - mean**2) / count).sum(axis=-1),
    )


def _solved(
    falling: Callable[[np.ndarray], np.ndarray],
    shape: tuple[int, ...],
    high: np.ndarray | float,
    low: float | None = None,
) -> np.ndarray:
    """Where a falling function is 0 between `low`, by default -high, and `high`: by halving, each entry for itself."""
    upper = np.broadcast_to(np.asarray(high, np.float64), shape)
    lower = -upper if low is None else np.full(shape, low)
    for _ in range(45):
        middle = (lower + upper) / 2
        above = falling(middle) > 0
        lower, upper = np.where(above, middle, lower), np.where(above, upper, middle)
    return (lower + upper) / 2
