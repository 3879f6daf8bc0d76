"""The confusion matrix as a picture, for any number of classes."""

import numpy as np
import pytest

from components.core.board.drawing import ACCENT, PAPER, SHADES, confusion_shades


@pytest.mark.parametrize("classes", [2, 41, 800, 1_000, 2_400])
def test_the_matrix_of_any_number_of_classes_is_a_picture_of_bounded_size(classes):
    picture = confusion_shades(np.eye(classes, dtype=np.int64))
    height, width, channels = picture.shape
    assert picture.dtype == np.uint8 and height == width <= SHADES and channels == 3
    assert tuple(picture[0, 0]) == tuple(picture[-1, -1]) == ACCENT
    assert tuple(picture[0, -1]) == PAPER


def test_neighbours_are_counted_together_if_there_are_more_classes_than_pixels():
    confusion = np.zeros((1_600, 1_600), np.int64)
    confusion[0, 0], confusion[1, 1_599] = 3, 1
    picture = confusion_shades(confusion).astype(int)
    assert picture.shape[0] == 800
    darkness = np.array(PAPER).sum() - picture[0].sum(axis=1)
    assert darkness[0] == pytest.approx(3 * darkness[-1], rel=0.05) and not darkness[1:-1].any()
