"""What the KFP page shows of an evaluation, bounded: KFP keeps it in its metadata store, in messages of 4 MiB at most.

A whole confusion matrix of 1,000 classes takes 11 MB there, and the step would fail as its outputs are stored. So the
page gets the classes that are confused most; the whole matrix is in confusion.csv and, as a picture, in the report.
"""

from typing import Any

import numpy as np

from components.core.files import write_json
from components.evaluate.report.facts import RocCurve

MOST_CLASSES = 50
LONGEST_NAME = 100
OTHERS = "(all others)"


def log_classification(artifact: Any, class_names: list[str], confusion: np.ndarray, roc: RocCurve) -> None:
    """Logs a confusion matrix and one ROC curve on a KFP ClassificationMetrics artifact, and writes them to its file.

    The file matters locally: kfp.local's cache takes an artifact without a file for one that was deleted.

    Args:
        artifact: a kfp.dsl.ClassificationMetrics, handed in so that nothing here imports kfp.
        confusion: integers, (classes, classes), rows are the true class.
    """
    names, matrix = most_confused(class_names, confusion)
    artifact.log_confusion_matrix(names, matrix)
    curve = {"fpr": roc.false_positive_rate, "tpr": roc.true_positive_rate, "threshold": roc.thresholds}
    artifact.log_roc_curve(*curve.values())
    write_json(artifact.path, {"class_names": names, "confusion": matrix, "roc": curve})


def most_confused(class_names: list[str], confusion: np.ndarray) -> tuple[list[str], list[list[int]]]:
    """The matrix of the MOST_CLASSES classes with the most errors, in their own order, all others put together.

    Every picture is counted once, as in the whole matrix. A matrix that is no larger is returned as it is.
    """
    # KFP finds a row by its name, and would take two that are cut alike for one.
    shown = (
        name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}... {k}" for k, name in enumerate(class_names)
    )
    names = list(shown)
    if len(names) <= MOST_CLASSES:
        return names, confusion.tolist()
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    errors = true + predicted - 2 * np.diagonal(confusion)
    chosen = np.sort(np.argsort(-errors, kind="stable")[:MOST_CLASSES])
    inner = confusion[np.ix_(chosen, chosen)]
    right, below = true[chosen] - inner.sum(axis=1), predicted[chosen] - inner.sum(axis=0)
    corner = true.sum() - inner.sum() - right.sum() - below.sum()
    matrix = np.block([[inner, right[:, None]], [below[None, :], np.array([[corner]])]])
    return [*(names[k] for k in chosen), OTHERS], matrix.tolist()
