"""Pixels as an image of Pillow's, and as a small picture in text, to lie in JSON or in a page."""

import base64
import io
from typing import Any, Literal

import numpy as np
from PIL import Image


def as_image(pixels: np.ndarray) -> Image.Image:
    """uint8 [height, width, 1 or 3] as a grey or RGB image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def reduced(pixels: np.ndarray, side: int) -> np.ndarray:
    """A picture, uint8 [height, width, 1 or 3], of at most `side` pixels a side."""
    image = as_image(pixels)
    image.thumbnail((side, side))
    return np.asarray(image).reshape(image.height, image.width, -1)


def packed(pixels: np.ndarray, side: int, kind: Literal["PNG", "JPEG"] = "PNG") -> str:
    """A picture, uint8 [height, width, 1 or 3], as a file in base64; reduced to `side` pixels a side at most."""
    return in_base64(as_image(reduced(pixels, side)), kind)


def in_base64(image: Image.Image, kind: Literal["PNG", "JPEG"], **options: Any) -> str:
    """An image as a file in base64."""
    data = io.BytesIO()
    image.save(data, kind, **options)
    return base64.b64encode(data.getvalue()).decode("ascii")


def unpacked(text: str) -> np.ndarray:
    """The picture, uint8 [height, width, 1 or 3]."""
    with Image.open(io.BytesIO(base64.b64decode(text)), formats=["PNG", "JPEG"]) as image:
        pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1)
