"""Values of pictures that have other than 8 bits: brought to 8."""

from typing import Any

import numpy as np
from PIL import Image

from components.core.pictures import tiff

PNG_BITS = 24  # the byte of a PNG that says how many bits a value has
# Cameras and scanners of 12 bits write their values as they are into files of 16, where white is 65,535.
TWELVE_BITS = 4095
NEARLY_BLACK = "16-bit to 8-bit without a value above 4,095 of 65,535: nearly black, so the file may hold 12 bits"


def of_eight_bits(image: Image.Image, payload: bytes) -> list[str]:
    """Ends what Pillow begins as it loads a picture, and returns what was done to it.

    It keeps the upper byte of colours of 16 bits; of fewer bits it leaves a PNG's transparent value as it was.
    """
    bits = payload[PNG_BITS] if image.format == "PNG" else tiff.bits(image) if image.format == "TIFF" else 8
    if image.format == "PNG" and "transparency" in image.info:
        _scale_transparency(image, bits)
    if bits == 16 and image.mode in ("RGB", "RGBA"):
        extremes: Any = image.getextrema()[:3]
        return [_said_of(max(highest for _, highest in extremes) << 8)]
    return []


def eight_bits(image: Image.Image, changes: list[str]) -> Image.Image:
    """Grey of 16 bits as L, or LA if it has a transparent value.

    Raises:
        ValueError: values of more bits.
    """
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("values below 0 or above 65,535: nothing says which of them is white")
    if tiff.inverted(image):
        values = 65535 - values
    changes.append(_said_of(values.max()))
    result = Image.fromarray(_scaled(values))
    if "transparency" in image.info:  # a PNG's one value, which others near it would become one with
        opaque = values != image.info["transparency"]
        result.putalpha(Image.fromarray(opaque.astype(np.uint8) * np.uint8(255)))
    return result


def _scaled(values: np.ndarray) -> np.ndarray:
    """Values of 16 bits as of 8, rounded. In place: a picture of 80 megapixels takes 0.7 GB in all, and took 1.5."""
    scaled = values.astype(np.uint32)
    scaled *= 255
    scaled += 32767
    scaled //= 65535
    return scaled.astype(np.uint8)


def _said_of(brightest: int) -> str:
    """What was done to a picture whose largest value that is."""
    return "16-bit to 8-bit" if brightest > TWELVE_BITS else NEARLY_BLACK


def _scale_transparency(image: Image.Image, bits: int) -> None:
    """Brings the transparent value of a PNG to the 8 bits that Pillow brings the pixels to, and them alone.

    It keeps the upper byte of colours of 16 bits, so that others with the same one are transparent too.
    """
    if image.mode in ("1", "L"):
        image.info["transparency"] *= 255 // (2**bits - 1)
    elif image.mode == "RGB" and bits == 16:
        image.info["transparency"] = tuple(value >> 8 for value in image.info["transparency"])
