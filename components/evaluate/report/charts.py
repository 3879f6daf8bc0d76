"""The charts of the evaluation report, from its facts."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from components.core.page.charts import Bar, Chart, Line, Look, axis, count_axis, share_axis
from components.core.page.numbers import page_percent
from components.core.wording import isolated
from components.evaluate.report.facts import Calibration, CalibrationBin, EvaluationFacts

CLASS_CHARTS = 12
LEAST_DRAWN = 20  # the accuracy of fewer pictures jumps about
LOOKS: dict[str, Look] = {"validation": "accent", "training": "ink", "learning rate": "accent"}


def learning_charts(facts: EvaluationFacts) -> list[Chart]:
    """Accuracy and loss by epoch, if there was more than one, and the learning rate if it changed."""
    history = {key: values for key, values in facts.history.items() if len(values) > 1}
    mark = (facts.best_epoch, f"kept: epoch {facts.best_epoch}") if facts.best_epoch else None

    def chart(name: str, title: str, keys: dict[str, str], shares: bool) -> list[Chart]:
        curves = {label: history[key] for key, label in keys.items() if key in history}
        if not curves:
            return []
        show: Callable[[float], str] = _percent if shares else "{:.4g}".format
        said = "; ".join(f"{label} from {show(curve[0])} to {show(curve[-1])}" for label, curve in curves.items())
        return [
            Chart(
                name,
                title,
                f"{title} by epoch, from the first to the last: {said}.",
                count_axis("epoch", max(len(curve) for curve in curves.values())),
                axis("", [value for curve in curves.values() for value in curve], percent=shares),
                [Line(label, list(enumerate(curve, 1)), LOOKS[label]) for label, curve in curves.items()],
                mark=mark,
            )
        ]

    return [
        *chart("accuracy", "Accuracy", {"val_accuracy": "validation", "accuracy": "training"}, shares=True),
        *chart("loss", "Loss", {"val_loss": "validation", "loss": "training"}, shares=False),
        *_rate_chart(facts.learning_rate, mark),
    ]


def _rate_chart(points: list[tuple[float, float]], mark: tuple[float, str] | None) -> list[Chart]:
    rates = [rate for _, rate in points]
    if len(set(rates)) < 2:
        return []
    last = math.ceil(points[-1][0])
    show = "{:.4g}".format
    said = f"from {show(rates[0])} to {show(rates[-1])}, at most {show(max(rates))}"
    return [
        Chart(
            "rate",
            "Learning rate",
            f"Learning rate by epochs done: {said}.",
            dataclasses.replace(count_axis("epochs done", max(last, 2)), low=0, high=last),
            axis("", [0, *rates]),
            [Line("learning rate", points, LOOKS["learning rate"], markers=False)],
            mark=mark if len(points) > 1 else None,
            legend=False,
        )
    ]


def roc_charts(facts: EvaluationFacts) -> list[Chart]:
    """Small charts, a class each, the least area first; at most CLASS_CHARTS."""
    curves = {k: (c.auc, c.false_positive_rate, c.true_positive_rate, (0, 1)) for k, c in facts.roc.items()}
    return _class_charts(facts, "roc", "false positive rate", "ROC curve of {}; area under the curve {}.", curves)


def precision_recall_charts(facts: EvaluationFacts) -> list[Chart]:
    """Small charts, a class each, the least average precision first; at most CLASS_CHARTS."""
    share = [score.support / facts.count for score in facts.per_class]
    found = facts.precision_recall.items()
    curves = {k: (c.average_precision, c.recall, c.precision, (share[k], share[k])) for k, c in found}
    return _class_charts(facts, "precision", "recall", "Precision and recall of {}; average precision {}.", curves)


def _class_charts(facts: EvaluationFacts, kind: str, across: str, said: str, curves: dict[int, Any]) -> list[Chart]:
    """A chart for each class: `curves` are a figure, the points' x and y, and where guessing begins and ends."""
    x, y = share_axis(across, (0, 1)), share_axis("", (0, 0.5, 1))
    charts = []
    for k, (figure, *points, guess) in sorted(curves.items(), key=lambda item: item[1][0])[:CLASS_CHARTS]:
        name = isolated(facts.class_names[k])
        lines = [
            Line(name, list(zip(*points, strict=True)), markers=False),
            Line("guessing", list(enumerate(guess)), "reference", markers=False),
        ]
        text = said.format(f"{name} against the rest", f"{figure:.3f}")
        title = f"{name}  {figure:.3f}"
        charts.append(Chart(f"{kind}-{k}", title, text, x, y, lines, legend=False, width=170, height=150))
    return charts


def drawn_bins(calibration: Calibration) -> list[CalibrationBin]:
    """The bins in the reliability diagram: those of 20 pictures or more, or of 1 % of them if that is less."""
    enough = min(LEAST_DRAWN, sum(b.count for b in calibration.bins) // 100)
    return [b for b in calibration.bins if b.count >= enough]


def calibration_charts(calibration: Calibration) -> list[Chart]:
    """The reliability diagram, and under it how many pictures each bin holds."""
    bins = calibration.bins
    total = sum(b.count for b in bins)
    x = share_axis("predicted probability")
    pairs = "; ".join(f"predicted {_percent(b.confidence)}, correct {_percent(b.accuracy)}" for b in bins)
    reliability = Chart(
        "reliability",
        "Accuracy by predicted probability",
        f"Reliability diagram; expected calibration error {page_percent(calibration.error)}. By bin: {pairs}.",
        x,
        share_axis(""),
        [
            Line("this model", [(b.confidence, b.accuracy) for b in drawn_bins(calibration)]),
            Line("perfectly calibrated", [(0, 0), (1, 1)], "reference", markers=False),
        ],
        height=260,
    )
    histogram = Chart(
        "certainty",
        "Pictures by predicted probability",
        f"Share of the test pictures in each bin: {'; '.join(_percent(b.count / total) for b in bins)}.",
        x,
        axis("", [0, max(b.count / total for b in bins)], percent=True),
        bars=[Bar(b.lower, b.upper, b.count / total) for b in bins],
        height=140,
    )
    return [reliability, histogram]


def _percent(share: float) -> str:
    return page_percent(share, 0)
