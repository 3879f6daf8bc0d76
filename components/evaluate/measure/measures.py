"""The figures of an evaluation, as pure functions of the test labels and the model's probabilities.

Throughout, `labels` are integers, shape (n,), and `probabilities` are floats, shape (n, c): a row a picture, a column
a class, each row summing to 1. `check_probabilities` says so once, at the door; the other functions rely on it. The
prediction is the class of the highest probability. The loss is not here: Keras computes it from the logits, which
probabilities rounded to 0 no longer tell (predict.py).

scikit-learn does the counting of curves. It is imported where it is used: that takes a second.
"""

import math
import statistics

import numpy as np

from components.core.errors import PipelineError
from components.evaluate.measure.paired import per_chance
from components.evaluate.report.facts import Answered, Calibration, CalibrationBin, PrecisionRecallCurve, RocCurve

CALIBRATION_BINS = 15
CURVE_POINTS = 200


def check_probabilities(probabilities: np.ndarray) -> None:
    """Refuses what can't be measured.

    Raises:
        PipelineError: numbers that are no probabilities.
    """
    if not np.isfinite(probabilities).all():
        pictures = int((~np.isfinite(probabilities).all(axis=1)).sum())
        raise PipelineError(
            f"expected finite probabilities, received NaN or infinity for {pictures:,} of {len(probabilities):,} "
            "pictures; train again with a lower learning rate"
        )
    # Half precision rounds a sum of 1 by up to a percent.
    if probabilities.min() < 0 or not np.allclose(probabilities.sum(axis=1, dtype=np.float64), 1, atol=0.02):
        raise PipelineError(
            "expected probabilities that sum to 1 for each picture, received others; end the model with a softmax"
        )


def wilson_interval(correct: float, count: float, per_chance: float = 1.0) -> tuple[float, float]:
    """The interval that holds the true share with 95 % confidence, having seen `correct` of `count`, of which
    `per_chance` say no more than one.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference". Unlike the textbook's
    p +- 1.96 s it stays within [0, 1] and is right for 0 and for all correct.
    """
    z, share, count = statistics.NormalDist().inv_cdf(0.975), correct / count, count / per_chance
    middle = share + z**2 / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    low, high = ((middle + side * reach) / (1 + z**2 / count) for side in (-1, 1))
    return max(0.0, float(low)), min(1.0, float(high))


def mean_recall_interval(answered: Answered) -> tuple[float, float]:
    """The interval that holds the true balanced accuracy with 95 % confidence: Wilson's of as many pictures as would
    tell a share as well as these tell the mean recall.

    Franco, Little, Louis and Slud (2019), "Comparative study of confidence intervals for proportions in complex sample
    surveys". Intervals of the classes put together hold less the more classes there are: of fifty of ten pictures, each
    with a recall of 0.9, 87 to 91 in 100.
    """
    chances = answered.confusion / answered.recalls_per_chance
    pictures = chances.sum(axis=1)
    found, pictures = np.diagonal(chances)[pictures > 0], pictures[pictures > 0]
    share = (found + 0.5) / (pictures + 1)  # half a picture more on either side, as the spread of all right is not 0
    spread = (share * (1 - share) / pictures).mean() / len(pictures)
    as_many = share.mean() * (1 - share.mean()) / spread
    return wilson_interval((found / pictures).mean() * as_many, as_many)


def scored(labels: np.ndarray, probabilities: np.ndarray, groups: np.ndarray | None = None) -> Answered:
    """How pictures were answered.

    Args:
        groups: (n,), equal for the pictures of one; None: none belong together.
    """
    predicted, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    right = predicted == labels
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    if groups is None:
        return Answered(confusion)
    pictures = np.bincount(labels)[labels]
    above_recall = right - np.bincount(labels, right)[labels] / pictures
    return Answered(confusion, _per_chance(right - right.mean(), groups), _per_chance(above_recall / pictures, groups))


def _per_chance(above: np.ndarray, groups: np.ndarray) -> float:
    """How many pictures of a group are one chance, more where groups are few: those tell little of how they differ,
    and one nothing. Korn and Graubard (1998), "Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data"."""
    from scipy.special import stdtrit

    pictures, many = len(above), len(np.unique(groups))
    if many == 1:
        return float(pictures)
    few = (pictures - 1) * many / (pictures * (many - 1))
    few *= (stdtrit(many - 1, 0.975) / stdtrit(pictures - 1, 0.975)) ** 2
    return min(float(pictures), few * per_chance(above, groups))


def curves(
    labels: np.ndarray, probabilities: np.ndarray
) -> tuple[dict[int, RocCurve], dict[int, PrecisionRecallCurve]]:
    """The ROC curve and the precision-recall curve of each class against the rest, each by class index.

    A class that no test picture has, or that all have, has no such curves and is left out. Both curves count the same
    pictures, which scikit-learn counts once for both.
    """
    from sklearn.metrics import confusion_matrix_at_thresholds

    seen = np.bincount(labels, minlength=probabilities.shape[1])
    roc, precision_recall = {}, {}
    for k, count in enumerate(seen):
        if 0 < count < labels.size:
            _, alarms, _, hits, thresholds = confusion_matrix_at_thresholds(labels == k, probabilities[:, k])
            roc[k], precision_recall[k] = _roc(thresholds, hits, alarms), _precision_recall(hits, alarms)
    return roc, precision_recall


def micro_roc(labels: np.ndarray, probabilities: np.ndarray) -> RocCurve:
    """One ROC curve for all classes: each pair of a picture and a class is one yes-or-no question (micro-average).

    The curve may have as many points as there are questions: those are looked at that lie at a right answer's
    probability or above it, where its corners are. So it takes one sorted copy of the probabilities: 0.2 GB for 50,000
    pictures of 1,000 classes, where scikit-learn takes 3.
    """
    everything = np.sort(probabilities, axis=None)
    right = np.sort(probabilities[np.arange(labels.size), labels])
    thresholds = np.unique(np.concatenate([right, np.nextafter(right, 2), everything[:1]]))[::-1]
    hits = right.size - np.searchsorted(right, thresholds)
    return _roc(thresholds, hits, everything.size - np.searchsorted(everything, thresholds) - hits)


def macro_auc(curves: dict[int, RocCurve]) -> float | None:
    """The mean area under the curves that are defined, each class counting the same; None if none is."""
    return float(np.mean([curve.auc for curve in curves.values()])) if curves else None


def calibration(labels: np.ndarray, probabilities: np.ndarray, per_chance: float = 1.0) -> Calibration:
    """How far the stated probabilities can be believed: 15 bins of equal width, and the expected calibration error.

    The error is the mean over all pictures of |accuracy - confidence| of the picture's bin, 0 to 1. Guo et al.
    (2017), "On Calibration of Modern Neural Networks", equation 3; bins are open below and closed above, as there.
    Bins of few pictures differ by chance too, on average by sqrt(2 / pi) standard deviations of as many coins, each as
    bent as a picture's probability says.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, CALIBRATION_BINS - 1)
    bins, chance = [], 0.0
    for i in np.unique(index):
        inside = index == i
        stated, reached = float(confidence[inside].mean()), float(correct[inside].mean())
        bins.append(CalibrationBin(float(edges[i]), float(edges[i + 1]), stated, reached, int(inside.sum())))
        variance = np.sum(confidence[inside] * (1 - confidence[inside]))
        chance += math.sqrt(2 / math.pi * min(per_chance, inside.sum()) * max(0.0, variance)) / labels.size
    error = sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / labels.size
    return Calibration(bins, error, chance)


def telling(labels: np.ndarray, probabilities: np.ndarray, right: bool, most: int) -> list[int]:
    """Indices of at most `most` pictures: the right answers with the lowest probability, or the wrong ones with the
    highest, the lowest or the highest first."""
    chosen = np.flatnonzero((probabilities.argmax(axis=1) == labels) == right)
    order = np.argsort(probabilities.max(axis=1)[chosen] * (1 if right else -1), kind="stable")
    return chosen[order][:most].tolist()


def _roc(thresholds: np.ndarray, hits: np.ndarray, alarms: np.ndarray) -> RocCurve:
    """The curve of a question by its thresholds, highest first; it ends with all hits and all alarms."""
    # The first threshold is above all: nothing is taken for a yes. KFP and JSON want a number, and no probability
    # exceeds 1.
    thresholds, hits, alarms = np.append(1.0, thresholds), np.append(0, hits), np.append(0, alarms)
    false_positive, true_positive = alarms / max(alarms[-1], 1), hits / hits[-1]
    # Points evenly spaced along the curve (its length is 2, counted along the axes) keep its corners, where most of
    # the pictures are; the area is that of the whole curve.
    kept = _along(false_positive + true_positive)
    return RocCurve(
        false_positive[kept].tolist(),
        true_positive[kept].tolist(),
        np.minimum(thresholds[kept], 1.0).tolist(),
        float(np.trapezoid(true_positive, false_positive)),
    )


def _precision_recall(hits: np.ndarray, alarms: np.ndarray) -> PrecisionRecallCurve:
    """The curve of a question that has both answers, from its highest threshold on."""
    precision, recall = hits / (hits + alarms), hits / hits[-1]
    area = float(np.sum(np.diff(recall, prepend=0) * precision))  # as scikit-learn's average_precision_score
    kept = _along(recall + np.abs(np.diff(precision, prepend=precision[0])).cumsum())
    return PrecisionRecallCurve(recall[kept].tolist(), precision[kept].tolist(), area)


def _along(length: np.ndarray) -> np.ndarray:
    """Indices of at most CURVE_POINTS points evenly spaced by `length`, the way along a curve that only grows.

    The first and the last are among them.
    """
    wanted_lengths = np.linspace(length[0], length[-1], CURVE_POINTS - 1)
    kept = np.searchsorted(length, wanted_lengths).clip(0, length.size - 1)
    return np.unique(np.append(kept, length.size - 1))
