"""JPEGs that would take hours."""

import io

import numpy as np
import pytest
from PIL import Image

from components.core.pictures import decode
from components.core.pictures.decode import Target, open_picture
from components.core.pictures.jpeg import decode_plain_jpeg

SIDE = 2000


def white(**how: bool) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE), 255, np.uint8)).save(file, "JPEG", **how)
    return file.getvalue()


def opened(payload: bytes) -> tuple[int, int]:
    picture = open_picture(payload, None, Target(8, 8, 1))
    return picture.height, picture.width


@pytest.mark.parametrize("short_way", [decode_plain_jpeg, lambda *_: None])
def test_one_of_very_many_scans_is_refused(monkeypatch, short_way):
    """Its last scan again and again, each of which is a pass over the whole picture."""
    monkeypatch.setattr(decode, "decode_plain_jpeg", short_way)
    whole = white(progressive=True)
    scan, end = whole[whole.rindex(b"\xff\xda") : -2], whole[-2:]
    with pytest.raises(ValueError, match="a JPEG of more than 100 scans"):
        open_picture(whole[:-2] + scan * 100 + end, None, Target(8, 8, 1))
    assert opened(whole[:-2] + scan * 50 + end) == (SIDE, SIDE)


@pytest.mark.parametrize("progressive", [False, True])
def test_what_lies_behind_its_end_does_not_count(progressive):
    """A phone keeps a film there, of any bytes."""
    assert opened(white(progressive=progressive) + b"\xff\xda" * 10_000) == (SIDE, SIDE)
