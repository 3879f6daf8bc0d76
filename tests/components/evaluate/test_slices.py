"""Slices by what pictures look like, on pictures whose looks are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from components.core.pictures.appearance import looks_of
from components.evaluate.measure.slices import BANDS, LEAST_PICTURES, bands, slices


def test_bands_are_of_equal_numbers_and_in_order():
    values = np.random.default_rng(0).permutation(1000).astype(np.float32)
    cut = bands(values)
    assert [len(inside) for inside in cut] == [200] * BANDS
    assert [values[inside].min() for inside in cut] == [0, 200, 400, 600, 800]


def test_equal_values_are_never_in_two_bands():
    values = np.repeat(np.float32([0, 0.1, 0.9]), [500, 300, 200])
    cut = bands(values)
    assert [len(inside) for inside in cut] == [500, 300, 200]
    assert bands(np.zeros(1000, np.float32)) == [] or len(bands(np.zeros(1000, np.float32))) == 1


@pytest.mark.parametrize(("count", "number"), [(LEAST_PICTURES, 0), (2 * LEAST_PICTURES, 2), (4 * LEAST_PICTURES, 4)])
def test_few_pictures_make_few_bands(count, number):
    assert len(bands(np.arange(count, dtype=np.float32))) == number


def test_a_model_that_is_right_in_the_light_only():
    pictures = np.random.default_rng(1).integers(0, 256, (300, 1, 1, 1)).repeat(16, 1).reshape(300, 4, 4, 1)
    pictures = pictures.astype(np.uint8)
    looks = looks_of(pictures)
    light = pictures[:, 0, 0, 0] >= 128
    [found] = slices(looks, light, SimpleNamespace(pictures=lambda places: pictures[places]))
    assert found.name == "brightness"
    assert sum(band.count for band in found.bands) == 300
    assert sum(band.correct for band in found.bands) == light.sum()
    assert (found.bands[0].correct, found.bands[-1].correct) == (0, found.bands[-1].count)
    for band in found.bands:
        assert band.lower <= band.example.mean() / 255 <= band.upper
