"""What evaluate hands to KFP's metadata store, which takes messages of 4 MiB at most."""

import json

import numpy as np
import pytest
from google.protobuf.struct_pb2 import Struct
from kfp.dsl import ClassificationMetrics

from components.evaluate.kfp_page import MOST_CLASSES, OTHERS, log_classification, most_confused
from components.evaluate.measure.measures import CURVE_POINTS
from components.evaluate.report.facts import RocCurve

MOST_BYTES = 1_000_000
ROC = RocCurve(*[[0.123456789] * CURVE_POINTS] * 3, auc=0.9)


def confused(classes: int) -> np.ndarray:
    """Mostly right; neighbours are confused."""
    confusion = np.zeros((classes, classes), np.int64)
    np.fill_diagonal(confusion, 9)
    if classes > 1:
        np.fill_diagonal(confusion[:, 1:], 1)
    return confusion


@pytest.mark.parametrize("classes", [1, 10, 1_000, 10_000])
def test_the_metadata_is_bounded_whatever_the_classes(tmp_path, classes):
    artifact = ClassificationMetrics(name="classification", uri=str(tmp_path / "classification"), metadata={})
    log_classification(artifact, ["class " + "x" * 240 + str(k) for k in range(classes)], confused(classes), ROC)
    metadata = Struct()
    metadata.update(json.loads(json.dumps(artifact.metadata)))
    assert metadata.ByteSize() < MOST_BYTES
    assert (tmp_path / "classification").stat().st_size < MOST_BYTES


def test_classes_whose_names_begin_alike_have_rows_of_their_own(tmp_path):
    """The first one had the second one's pictures, and that one none."""
    artifact = ClassificationMetrics(name="classification", uri=str(tmp_path / "classification"), metadata={})
    log_classification(artifact, ["x" * 100 + "a", "x" * 100 + "b", "c"], confused(3), ROC)
    assert [row["row"] for row in artifact.metadata["confusionMatrix"]["rows"]] == confused(3).tolist()


def test_every_picture_is_counted_once():
    confusion = confused(1_000)
    confusion[700, 3] = 50
    confusion[600, 600] += 10_000  # right answers are no errors
    names, matrix = most_confused([str(k) for k in range(1_000)], confusion)
    assert np.sum(matrix) == confusion.sum()
    assert len(names) == len(matrix) == MOST_CLASSES + 1
    assert names[-1] == OTHERS
    assert {"3", "700"} <= set(names) and "600" not in names
    assert matrix[names.index("700")][names.index("3")] == 50
    assert [sum(row) for row in matrix[:-1]] == [int(confusion[int(name)].sum()) for name in names[:-1]]


def test_few_classes_are_left_as_they_are():
    assert most_confused(["a", "b"], np.array([[1, 2], [3, 4]])) == (["a", "b"], [[1, 2], [3, 4]])
