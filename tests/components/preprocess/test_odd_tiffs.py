"""TIFFs as programs for satellites, microscopes and scanners write them."""

import struct
import zlib

import numpy as np
import pytest

from components.core.pictures.decode import Target, decode, reason_of
from components.core.pictures.values import NEARLY_BLACK
from tests.components.preprocess.sources import noise
from tests.components.preprocess.test_odd_pictures import GREY, RGB, changes, pixels

WHITE_IS_ZERO, BLACK_IS_ZERO, COLOURS = 0, 1, 2
COLOUR = noise(1)
SIXTEEN = COLOUR.astype(np.uint16) * 257


def tiff(
    values: np.ndarray,
    photometric: int,
    extra: list[int] | None = None,
    *,
    planes: bool = False,
    order: str = "<",
    packed: bool = False,
) -> bytes:
    """The file of values [height, width, bands], as rasterio and tifffile write it.

    Args:
        extra: what each band beyond the colours is: 0 says nothing, 2 is opacity.
        planes: band by band, not pixel by pixel.
        packed: by deflate.
    """
    height, width, bands = values.shape
    laid = [values[..., band] for band in range(bands)] if planes else [values]
    strips = [np.ascontiguousarray(part.astype(values.dtype.newbyteorder(order))).tobytes() for part in laid]
    strips = [zlib.compress(strip) for strip in strips] if packed else strips
    starts = np.cumsum([8, *map(len, strips)]).tolist()
    tags = {256: [width], 257: [height], 258: [8 * values.itemsize] * bands, 259: [8 if packed else 1]}
    tags |= {262: [photometric], 273: starts[:-1], 277: [bands], 278: [height], 279: [len(strip) for strip in strips]}
    tags |= {284: [2 if planes else 1]} | ({338: extra} if extra else {})
    at = starts[-1] + 2 + 12 * len(tags) + 4
    entries = beyond = b""
    for tag, numbers in sorted(tags.items()):
        data = struct.pack(f"{order}{len(numbers)}I", *numbers)
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers))
        entries += data if len(data) == 4 else struct.pack(f"{order}I", at + len(beyond))
        beyond += data if len(data) > 4 else b""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", starts[-1])
    listed = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    return head + b"".join(strips) + listed + beyond


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("values", [COLOUR, SIXTEEN])
def test_colours_are_the_same_however_they_lie(values, planes, packed, order):
    payload = tiff(values, COLOURS, planes=planes, packed=packed, order=order)
    np.testing.assert_array_equal(pixels(payload, RGB), COLOUR)


@pytest.mark.parametrize("extra", [[0], [0, 0, 0]])
@pytest.mark.parametrize("planes", [False, True])
def test_bands_beyond_the_colours_of_which_nothing_is_said_are_left_out(extra, planes):
    values = np.concatenate([SIXTEEN, SIXTEEN[..., : len(extra)]], axis=2)
    if len(extra) > 1:
        values = (values // 257).astype(np.uint8)
    payload = tiff(values, COLOURS, extra, planes=planes, packed=True)
    np.testing.assert_array_equal(pixels(payload, RGB), COLOUR)


@pytest.mark.parametrize("order", ["<", ">"])
def test_one_band_may_lie_in_a_plane(order):
    payload = tiff(SIXTEEN[..., :1], BLACK_IS_ZERO, planes=True, order=order)
    np.testing.assert_array_equal(pixels(payload, GREY), COLOUR[..., :1])


@pytest.mark.parametrize(
    ("values", "planes", "packed"),
    [(SIXTEEN, True, False), (SIXTEEN, True, True), (COLOUR, True, True), (COLOUR[..., :2], False, False)],
)
def test_bands_that_are_no_colours_are_refused_and_not_taken_for_grey(values, planes, packed):
    bands = values.shape[2]
    payload = tiff(values, BLACK_IS_ZERO, [0] * (bands - 1), planes=planes, packed=packed)
    with pytest.raises(ValueError, match=f"{bands} bands that the file doesn't call red, green and blue"):
        pixels(payload, RGB)


def test_grey_may_have_opacity():
    values = np.dstack([COLOUR[..., 0], np.full((8, 8), 255, np.uint8)])
    np.testing.assert_array_equal(pixels(tiff(values, BLACK_IS_ZERO, [2]), GREY), COLOUR[..., :1])


@pytest.mark.parametrize("values", [COLOUR, SIXTEEN])
@pytest.mark.parametrize("packed", [False, True])
def test_a_negative_is_turned(values, packed):
    negative = np.iinfo(values.dtype).max - values[..., :1]
    np.testing.assert_array_equal(pixels(tiff(negative, WHITE_IS_ZERO, packed=packed), GREY), COLOUR[..., :1])


@pytest.mark.parametrize(("white", "noticed"), [(4095, True), (4096, False)])
@pytest.mark.parametrize("planes", [False, True])
def test_nearly_black_colours_are_noticed(white, noticed, planes):
    values = np.full((8, 8, 3), white, np.uint16)
    assert (NEARLY_BLACK in changes(tiff(values, COLOURS, planes=planes), RGB)) == noticed


def test_what_is_of_no_known_kind_says_what_it_may_be(capfd):
    many = tiff(np.zeros((8, 8, 13), np.uint16), BLACK_IS_ZERO, [0] * 12)
    heic = b"\0\0\0\x18ftypheic" + bytes(100)
    reasons = []
    for payload in (many, heic, b"a text, and no picture at all"):
        with pytest.raises(Exception) as caught:  # noqa: PT011, Pillow has no common class
            decode(payload, None, Target(8, 8, 3))
        reasons.append(reason_of(caught.value))
    assert reasons == [
        "a TIFF of bands, numbers or a compression that can't be read, or damaged",
        "HEIC, whatever its name; convert it to JPEG or PNG",
        "not a picture of a known format, or damaged from its start",
    ]
    assert capfd.readouterr() == ("", "")
