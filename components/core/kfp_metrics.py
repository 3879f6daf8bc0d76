"""Metrics for the KFP page: finite plain numbers in the artifact, and the same in its file."""

import math
from typing import Any

from components.core.errors import PipelineError
from components.core.files import write_json


def log_metrics(artifact: Any, values: dict[str, int | float | str]) -> None:
    """Logs each value on a KFP Metrics artifact and writes them to its file.

    The file matters locally: kfp.local's cache takes an artifact without a file for one that was deleted.

    Args:
        artifact: a kfp.dsl.Metrics, handed in so that nothing here imports kfp.
        values: one NaN or Infinity would fail the task inside KFP with an error that names nothing.
    """
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise PipelineError(f"expected a finite metric {name}, received {value}; look at the training's loss curve")
        artifact.log_metric(name, value)
    write_json(artifact.path, values)


def log_classification(
    artifact: Any, class_names: list[str], confusion: list[list[int]], roc: dict[str, list[float]]
) -> None:
    """Logs a confusion matrix (rows are the true class) and one ROC curve on a KFP ClassificationMetrics artifact.

    Args:
        artifact: a kfp.dsl.ClassificationMetrics.
        roc: "fpr", "tpr" and "threshold", equally long and finite; empty lists where the curve is undefined.
    """
    artifact.log_confusion_matrix(class_names, confusion)
    if roc["fpr"]:
        artifact.log_roc_curve(roc["fpr"], roc["tpr"], roc["threshold"])
    write_json(artifact.path, {"class_names": class_names, "confusion": confusion, "roc": roc})
