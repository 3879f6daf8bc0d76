"""What pictures look like, on pictures whose looks are known."""

import numpy as np
import pytest

from components.core.pictures.appearance import LOOKS, looks_of

PICTURES = {
    "black": np.zeros((4, 4, 3)),
    "white": np.full((4, 4, 3), 255),
    "half": np.repeat([0, 255], [24, 24]).reshape(4, 4, 3),
    "chessboard": np.repeat(np.indices((4, 4)).sum(axis=0)[..., None] % 2 * 255, 3, axis=2),
}


def test_looks_are_what_their_names_say():
    seen = looks_of(np.stack(list(PICTURES.values())).astype(np.uint8))
    assert set(seen) == set(LOOKS)
    assert seen["brightness"].tolist() == [0, 1, 0.5, 0.5]
    assert seen["contrast"] == pytest.approx([0, 0, 0.5, 0.5])
    # Of 24 steps between neighbours, all are from black to white on the board, and 4 where one half meets the other.
    assert seen["detail"] == pytest.approx([0, 0, 4 / 24, 1])


def test_colour_counts_by_its_values():
    green = np.zeros((1, 2, 2, 3), np.uint8)
    green[..., 1] = 255
    assert looks_of(green)["brightness"] == pytest.approx([1 / 3])


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 3), (5, 1, 1)])
def test_pictures_without_neighbours_have_no_detail(shape):
    assert looks_of(np.full((2, *shape), 7, np.uint8))["detail"].tolist() == [0, 0]
