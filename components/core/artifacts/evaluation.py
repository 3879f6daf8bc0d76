"""The evaluation artifact: its files, and what decision.json says, whether the gate lets the model through to export,
and every reason.

evaluate writes it. export reads it before it publishes, and so do the webhook's message and a local run's last lines.
"""

import pathlib
from typing import TYPE_CHECKING, Literal

import pydantic

from components.core.files import read_json, write_json

if TYPE_CHECKING:
    import numpy as np

METRICS_FILE = "metrics.json"
PREDICTIONS_FILE = "predictions.npz"
REPORT_FILE = "report.html"
DECISION_FILE = "decision.json"
GateName = Literal["beat_champion", "min_accuracy"]
GateMetric = Literal["accuracy", "balanced_accuracy"]
METRIC_WORDS: dict[GateMetric, str] = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}


class DecisionReason(pydantic.BaseModel):
    """One thing the gate looked at: a sentence without its end, and whether it speaks for the model."""

    said: str
    holds: bool


class Comparison(pydantic.BaseModel):
    """Challenger and champion on the same pictures: those of the test split that neither has learned from.

    Only those pictures tell them apart that one gets right and the other wrong: `only_challenger` and `only_champion`
    count those that this one alone gets right.
    """

    version: int = pydantic.Field(description="Number of the champion")
    pictures: int = pydantic.Field(description="that both were asked")
    look: int = pydantic.Field(description="which comparison on these pictures this is, over all challengers")
    accuracy: float = pydantic.Field(description="Accuracy of the challenger on these pictures")
    champion_accuracy: float
    balanced_accuracy: float = pydantic.Field(description="the challenger's mean recall of the classes")
    champion_balanced_accuracy: float
    metric: GateMetric = pydantic.Field("accuracy", description="which of the two decided; the rest is of this one")
    only_challenger: int
    only_champion: int
    pictures_a_chance: float = pydantic.Field(1.0, description="how many pictures of a group count as one")
    difference: float = pydantic.Field(description="the challenger's metric minus the champion's")
    difference_interval_95: tuple[float, float]
    p_value: float = pydantic.Field(description="of the metric's paired test, one-sided: that this is chance")
    p_allowed: float = pydantic.Field(description="up to which p counts as no chance, after so many looks")

    @property
    def score(self) -> float:
        """The challenger's metric."""
        return getattr(self, self.metric)

    @property
    def champion_score(self) -> float:
        """The champion's."""
        return getattr(self, f"champion_{self.metric}")


class Decision(pydantic.BaseModel):
    """What decision.json says: the decision, why, and under which rules.

    `min_accuracy`, `min_improvement` and `significance` are of the metric.
    """

    passed: bool
    reasons: list[DecisionReason]
    accuracy: float
    balanced_accuracy: float | None = pydantic.Field(None, description="told if classes are uneven, or it decided")
    pictures: int
    gate: GateName
    metric: GateMetric = "accuracy"
    min_accuracy: float
    min_improvement: float
    significance: float
    model_name: str
    registry: str = pydantic.Field(description="where the champion was looked for; empty: nowhere, none was named")
    champion: int = pydantic.Field(description="the version that was the champion at that moment; 0: none")
    comparison: Comparison | None = None

    @property
    def said(self) -> str:
        """The decision in one line; a refusal names only what speaks against the model."""
        reasons = "; ".join(reason.said for reason in self.reasons if self.passed or not reason.holds)
        return f"{'passes' if self.passed else 'does not pass'} the gate: {reasons}"


def figures_line(loss: float, accuracy: float, balanced_accuracy: float | None = None) -> str:
    """The test figures as evaluate prints them and a run ends with them; a cluster's run is told of them by its log."""
    line = f"Test loss: {loss:.4f} / Test accuracy: {accuracy:.4f}"
    return line if balanced_accuracy is None else f"{line} / Balanced accuracy: {balanced_accuracy:.4f}"


def write_decision(directory: pathlib.Path, decision: Decision) -> None:
    """Writes decision.json into `directory`."""
    write_json(directory / DECISION_FILE, decision.model_dump(mode="json"))


def read_decision(evaluation: str | pathlib.Path) -> Decision:
    """Reads the decision from an evaluation artifact.

    Raises:
        PipelineError: there is none, or it is not one.
    """
    return read_json(Decision, pathlib.Path(evaluation) / DECISION_FILE, "an evaluation artifact", "run evaluate first")


def read_probabilities(evaluation: str | pathlib.Path) -> "np.ndarray":
    """The model's answers to the test pictures, in the order of the test shards: float32 (n, classes)."""
    import numpy as np

    with np.load(pathlib.Path(evaluation) / PREDICTIONS_FILE, allow_pickle=False) as predictions:
        return predictions["probabilities"]
