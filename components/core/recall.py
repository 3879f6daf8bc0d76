"""The figure to which each class counts the same: evaluate's gate and a sweep's trials may go by it."""

import numpy as np


def balanced_accuracy(labels: np.ndarray, right: np.ndarray) -> float:
    """The mean recall over the classes that have pictures, 0 to 1: each class counts the same.

    Args:
        labels: int64 (n,).
        right: bool (n,), the pictures that were classified correctly.
    """
    pictures, found = np.bincount(labels), np.bincount(labels[right], minlength=labels.max() + 1)
    tested = pictures > 0
    # Rounded, as ten times 0.95 by ten is a little less, and would not reach a min_accuracy of 0.95.
    return round(float(np.mean(found[tested] / pictures[tested])), 12)
