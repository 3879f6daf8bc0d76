"""JPEGs. Plain ones go straight through libjpeg-turbo, past Pillow: the same pixels bit for bit, in less time.

A 32x32 picture takes 9 microseconds instead of 88, a 500x375 one 1.0 ms instead of 2.9 (simplejpeg 1.9, Pillow 13).
What is not plain is left to Pillow, and everything if the package is missing.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

try:
    import simplejpeg
except ImportError:  # no wheel for this platform
    simplejpeg = None

START = b"\xff\xd8\xff"
SPACES = {"Gray": "GRAY", "YCbCr": "RGB", "RGB": "RGB"}


def decode_plain_jpeg(payload: bytes, reduction: Callable[[int, int], int]) -> tuple[np.ndarray, int, int] | None:
    """Decodes grey and RGB JPEGs; EXIF orientation is not applied.

    Args:
        reduction: tells from height and width by how much the picture may be reduced while decoding: 1, 2, 4 or 8.

    Returns:
        uint8 [height, width, 1 or 3] after reduction, and height and width before it. None for anything but a whole
        JPEG of those kinds.
    """
    if simplejpeg is None or not payload.startswith(START):
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(payload)
        if space not in SPACES or height * width > Image.MAX_IMAGE_PIXELS:
            return None
        by = reduction(height, width)
        smallest = {"min_height": -(-height // by), "min_width": -(-width // by)} if by > 1 else {}
        return simplejpeg.decode_jpeg(payload, SPACES[space], **smallest), height, width
    except ValueError:  # damaged, or odd: Pillow's verdict counts
        return None
