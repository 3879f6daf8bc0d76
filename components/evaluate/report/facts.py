"""What an evaluation found out, as plain values: the report, metrics.json and TensorBoard are drawn from this alone."""

import dataclasses
import functools

import numpy as np

from components.core.artifacts.dataset import DatasetInfo
from components.core.artifacts.evaluation import Decision
from components.evaluate.measure.behaviour import BehaviourCheck


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """How one class fared on the test split. `support` is its number of test pictures; with none, the rest is 0."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclasses.dataclass(frozen=True)
class RocCurve:
    """One class against the rest, from (0, 0) to (1, 1), thinned to a few hundred points at most.

    `thresholds` are finite and fall; a picture counts as of the class where its probability reaches the threshold.
    """

    false_positive_rate: list[float]
    true_positive_rate: list[float]
    thresholds: list[float]
    auc: float


@dataclasses.dataclass(frozen=True)
class PrecisionRecallCurve:
    """One class against the rest, as the required probability falls: recall rises from 0 to 1. Thinned like RocCurve.

    `average_precision` is the sum of precision times the step in recall over the whole curve.
    """

    recall: list[float]
    precision: list[float]
    average_precision: float


@dataclasses.dataclass(frozen=True)
class Band:
    """Test pictures that have about as much of a property, from `lower` to `upper`; `count` is 1 or more.

    `example` is the picture in their middle: uint8, height x width x channels, channels 1 or 3.
    """

    lower: float
    upper: float
    correct: int
    count: int
    example: np.ndarray

    @property
    def share(self) -> float:
        """That was classified correctly, 0 to 1."""
        return self.correct / self.count


@dataclasses.dataclass(frozen=True)
class Slice:
    """The test pictures by a property that a picture has: `meaning` says what that is, in words, without an end."""

    name: str
    meaning: str
    bands: list[Band]  # from the least to the most


@dataclasses.dataclass(frozen=True)
class CalibrationBin:
    """The test pictures whose highest probability fell between `lower` and `upper`; `count` is 1 or more."""

    lower: float
    upper: float
    confidence: float  # mean of the highest probabilities
    accuracy: float  # share of the pictures that were classified correctly
    count: int


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Reliability of the stated probabilities; `error` is the expected calibration error, `chance` what it comes to on
    average if every probability holds. Empty bins are left out."""

    bins: list[CalibrationBin]
    error: float
    chance: float


@dataclasses.dataclass(frozen=True)
class Example:
    """One test picture and what the model said of it.

    `picture` is uint8, height x width x channels, channels 1 or 3; `true` and `predicted` are class indices;
    `probability` is what the model gave the predicted class.
    """

    picture: np.ndarray
    true: int
    predicted: int
    probability: float


@dataclasses.dataclass(frozen=True)
class Answered:
    """How a model answered pictures whose classes are known.

    Attributes:
        confusion: integers (classes, classes), rows are the true class, columns the predicted one.
        per_chance: how many pictures of a group, or copies, are one chance (paired.per_chance); intervals go by that.
        recalls_per_chance: the same for the mean recall, in which a picture of a rare class counts more.
    """

    confusion: np.ndarray
    per_chance: float = 1.0
    recalls_per_chance: float = 1.0

    @functools.cached_property
    def per_class(self) -> list[ClassScore]:
        """In the order of the classes. What is undefined (a class never predicted, or absent) is 0."""
        right, true, named = np.diagonal(self.confusion), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        shares = (right / np.maximum(count, 1) for count in (named, true, (true + named) / 2))
        return [ClassScore(*score) for score in zip(*(column.tolist() for column in (*shares, true)), strict=True)]

    @property
    def count(self) -> int:
        """Pictures that it was asked."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Pictures that it classified correctly."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """The share that it classified correctly, 0 to 1."""
        return self.correct / self.count

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall over the classes that had pictures, 0 to 1: each class counts the same."""
        found, pictures = np.diagonal(self.confusion), self.confusion.sum(axis=1)
        # Rounded, as ten times 0.95 by ten is a little less, and would not reach a min_accuracy of 0.95.
        return round(float(np.mean(found[pictures > 0] / pictures[pictures > 0])), 12)

    @property
    def macro_f1(self) -> float:
        """The mean F1 over the classes that had pictures: of the others nothing is known."""
        return float(np.mean([score.f1 for score in self.per_class if score.support]))


@dataclasses.dataclass(frozen=True)
class BothAnswered:
    """Champion and challenger on the pictures that both were asked: those that neither has learned from."""

    champion: Answered
    challenger: Answered


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationFacts(Answered):
    """All that the evaluation report shows, of the model's answers to the test split. Lists by class are in the order
    of `class_names`."""

    title: str  # what was evaluated, for instance "cifar10 - seed"
    class_names: list[str]
    loss: float
    roc: dict[int, RocCurve]  # by class index; a class for which it is undefined is missing
    precision_recall: dict[int, PrecisionRecallCurve]  # likewise
    calibration: Calibration
    mistakes: list[Example]  # the most confident first
    uncertain_successes: list[Example]  # the least confident first
    data: DatasetInfo
    # By epoch: loss, accuracy, val_loss, val_accuracy; any of them may be missing.
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    # What it did: (epochs done before a step, the rate of that step); many more points than epochs.
    learning_rate: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    best_epoch: int | None = None  # counted from 1; the epoch whose weights were kept
    training: dict[str, str | int | float] = dataclasses.field(default_factory=dict)  # label -> value, as shown
    notes: list[str] = dataclasses.field(default_factory=list)  # sentences without their ends, shown below the headline
    slices: list[Slice] = dataclasses.field(default_factory=list)
    behaviour: list[BehaviourCheck] = dataclasses.field(default_factory=list)  # empty if it was not tested
    decision: Decision | None = None  # None: no gate was asked
    both: BothAnswered | None = None  # None: no champion was measured; the decision's reasons say why
    lineage: dict[str, str] = dataclasses.field(default_factory=dict)  # label -> value: what led to this model

    @property
    def balanced(self) -> bool:
        """Whether balanced accuracy leads: classes are uneven, or the gate goes by it."""
        return self.decision is not None and self.decision.balanced_accuracy is not None

    def metrics(self) -> dict[str, int | float]:
        """The figures of metrics.json, and of the KFP page."""
        return {
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "loss": self.loss,
            "macro_f1": self.macro_f1,
            "calibration_error": self.calibration.error,
            "test_pictures": self.count,
        }
