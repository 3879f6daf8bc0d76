"""The confusion matrix as a picture, for any number of classes."""

import numpy as np
import pytest

from components.core.board.drawing import (
    ACCENT,
    LONGEST_NAME,
    PAPER,
    SHADES,
    Shown,
    confusion_picture,
    confusion_shades,
    drawn_names,
    picture_sheet,
)


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


def test_names_that_the_font_lacks_are_drawn_as_their_places_and_told_below():
    """They were rows of boxes, each class like the others."""
    drawn, legend = drawn_names(["cat", "Käse", "#1", "日本", "кошка"])
    assert drawn == ["cat", "Kase", "#1", "#3", "#4"]
    assert legend == "Class #3: 日本; #4: кошка"
    assert drawn_names(["cat", "dog"]) == (["cat", "dog"], "")
    assert drawn_names(["Käse", "Kase"])[0] == ["#0", "#1"]


def test_the_true_class_below_a_picture_is_seen_whatever_the_answer_is_called():
    pixels = np.zeros((8, 8, 1), np.uint8)
    one, other = (picture_sheet([Shown(pixels, "a long name of a class" * 3, 0.5, true)]) for true in ("cat", "dog"))
    assert one.shape == other.shape and (one != other).any()


def test_long_names_leave_room_for_the_matrix():
    height, width, _ = confusion_picture(np.eye(2, dtype=np.int64), ["a" * 500, "b"]).shape
    assert max(height, width) < LONGEST_NAME + 120
