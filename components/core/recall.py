"""The figure to which each class counts the same: evaluate's gate and a sweep's trials may go by it."""

import numpy as np


def balanced_accuracy(found: np.ndarray, pictures: np.ndarray) -> float:
    """The mean recall over the classes that have pictures, 0 to 1: each class counts the same.

    Args:
        found: of each class the pictures that were classified correctly.
        pictures: of each class all of them.
    """
    tested = pictures > 0
    # Rounded, as ten times 0.95 by ten is a little less, and would not reach a min_accuracy of 0.95.
    return round(float(np.mean(found[tested] / pictures[tested])), 12)
