"""A small picture as text, to lie in JSON."""

import base64
import io
from typing import Literal

import numpy as np
from PIL import Image


def packed(pixels: np.ndarray, side: int, kind: Literal["PNG", "JPEG"] = "PNG") -> str:
    """A picture, uint8 [height, width, 1 or 3], as a file in base64; reduced to `side` pixels a side at most."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((side, side))
    data = io.BytesIO()
    image.save(data, kind)
    return base64.b64encode(data.getvalue()).decode("ascii")


def unpacked(text: str) -> np.ndarray:
    """The picture, uint8 [height, width, 1 or 3]."""
    with Image.open(io.BytesIO(base64.b64decode(text)), formats=["PNG", "JPEG"]) as image:
        pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1)
