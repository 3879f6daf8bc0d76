"""The loss: cross-entropy of the label, which may be smoothed."""

from collections.abc import Callable
from typing import Any

from components.core.framework import load_keras


def make_loss(smoothing: float) -> str | Callable[[Any, Any], Any]:
    """Sparse categorical cross-entropy, in the form that `keras.Model.compile` takes.

    Args:
        smoothing: the share of a label's certainty that is spread evenly over all classes (section 7 of
            https://arxiv.org/abs/1512.00567). The loss of a perfect answer is then above 0, on validation too.
    """
    if not smoothing:
        return "sparse_categorical_crossentropy"
    keras = load_keras()

    def smoothed_crossentropy(labels: Any, probabilities: Any) -> Any:
        """int64 [n] or [n, 1] and float32 [n, classes] -> float32 [n]."""
        classes = probabilities.shape[-1]
        chosen = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), classes)
        return keras.losses.categorical_crossentropy(chosen, probabilities, label_smoothing=smoothing)

    return smoothed_crossentropy
