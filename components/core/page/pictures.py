"""Pictures inside the page: small ones pixel by pixel, big ones reduced."""

import numpy as np

from components.core.pictures.thumbnail import as_image, in_base64

SHOWN_PIXELS = 96  # the side of the square a picture is shown in, unless told otherwise
EXACT_PIXELS = 64  # pictures up to this side are kept exactly


def picture(pixels: np.ndarray, shown: int = SHOWN_PIXELS) -> dict[str, str | int | bool]:
    """The `src`, `width` and `height` of an <img>, and whether its pixels should be shown as squares.

    A small picture becomes a PNG, enlarged by a whole factor, because what the model saw is those very pixels. A big
    one, or one that is larger than its square, becomes a JPEG of about 10 kB: as PNGs, forty photographs of 224 x 224
    would make a page of 5 MB.

    Args:
        pixels: uint8, height x width x channels, channels 1 or 3.
        shown: the side of the square it is to fit in, in CSS pixels.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise ValueError(f"Expected uint8 pixels of shape (h, w, 1 or 3). Received: {pixels.dtype} {pixels.shape}")
    image = as_image(pixels)
    exact = max(image.size) <= min(EXACT_PIXELS, shown)
    if exact:
        factor = shown // max(image.size)
        width, height = image.width * factor, image.height * factor
        source = f"data:image/png;base64,{in_base64(image, 'PNG', optimize=True)}"
    else:
        scale = shown / max(image.size)
        width, height = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image.thumbnail((2 * shown, 2 * shown))  # sharp on a screen of double density
        source = f"data:image/jpeg;base64,{in_base64(image, 'JPEG', quality=85)}"
    return {"src": source, "width": width, "height": height, "pixelated": exact}
