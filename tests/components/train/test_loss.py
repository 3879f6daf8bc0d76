import keras
import numpy as np
import pytest

from components.train.loss import make_loss


def test_a_smoothed_loss_is_the_papers() -> None:
    """(1 - s) times the label's cross-entropy and s times the mean of all classes', equation 3 of section 7."""
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], "float32")
    labels = np.array([0, 1])
    logs = -np.log(probabilities)
    expected = 0.8 * logs[[0, 1], labels] + 0.2 * logs.mean(axis=1)
    for given in (labels, labels[:, np.newaxis]):
        found = make_loss(0.2)(given, keras.ops.convert_to_tensor(probabilities))
        assert keras.ops.convert_to_numpy(found) == pytest.approx(expected)


def test_without_smoothing_it_is_kerass() -> None:
    assert make_loss(0.0) == "sparse_categorical_crossentropy"
