"""A picture of any mode of Pillow's as plain pixels: opaque, grey or RGB."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from components.core.pictures import values

GREY_MODES = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
STRIP = 1 << 21  # pixels that are brought to it at a time


def plain_pixels(image: Image.Image, changes: list[str]) -> np.ndarray:
    """The pixels, uint8 [height, width, 1] if the picture is grey and opaque, or [height, width, 3].

    A strip at a time: Pillow's copies of a whole picture of 89 megapixels took 1.4 GB, its pixels 0.3.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels: nothing says which value is white")
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = values.eight_bits(image, changes)
    see_through, opaque = image.has_transparency_data, True
    mode = "L" if image.mode in GREY_MODES and not see_through else "RGB"
    pixels = np.empty((image.height, image.width, len(mode)), np.uint8)
    for top, strip in _strips(image):
        if see_through:
            strip, was_opaque = _on_white(strip)
            opaque &= was_opaque
        plain = strip if strip.mode == mode else strip.convert(mode)
        pixels[top : top + plain.height] = np.asarray(plain).reshape(-1, image.width, len(mode))
    if not opaque:
        changes.append("transparency laid on white")
    return pixels


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The picture in pieces, each with the row that it begins at."""
    rows = max(1, STRIP // image.width)
    if rows >= image.height:
        yield 0, image  # no copy, which costs a picture of 32x32 a third more
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """A picture with transparency on white, and whether there is none of it after all."""
    image = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
    opacity: Any = image.getchannel("A").getextrema()
    if opacity[0] == 255:
        return image, True
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image), False
