"""A picture of any mode of Pillow's as plain pixels: opaque, grey or RGB."""

from typing import Any

import numpy as np
from PIL import Image

from components.core.pictures import values

GREY_MODES = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}


def plain_pixels(image: Image.Image, changes: list[str]) -> np.ndarray:
    """The pixels, uint8 [height, width, 1] if the picture is grey, else [height, width, 3]."""
    if image.mode == "F":
        raise ValueError("floating-point pixels: nothing says which value is white")
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = values.eight_bits(image, changes)
    mode = "L" if image.mode in GREY_MODES else "RGB"
    if image.has_transparency_data:
        image = _on_white(image, changes)
    plain = image if image.mode == mode else image.convert(mode)
    return np.asarray(plain).reshape(image.height, image.width, len(mode))


def _on_white(image: Image.Image, changes: list[str]) -> Image.Image:
    """A picture with transparency, laid on white; unless it is opaque after all."""
    image = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
    opacity: Any = image.getchannel("A").getextrema()
    if opacity[0] == 255:
        return image
    changes.append("transparency laid on white")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
