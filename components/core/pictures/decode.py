"""One picture: from whatever lies in the source to uint8 pixels of the declared shape.

All of it is Pillow's work; what is decided here is which way each odd kind goes, so that it is the same everywhere:

    16-bit                   grey is scaled to 8 bits, round(value / 257); of colours the upper byte is taken
    several bands of a TIFF  refused unless they are grey, or red, green and blue, and perhaps opacity
    transparency             laid on white
    CMYK, palette, YCbCr     to RGB by Pillow's rules; colour profiles are not applied
    colour to grayscale      ITU-R 601-2 luma
    EXIF orientation         applied
    animations, multi-page   the first frame
    32-bit, floating point   refused: nothing says which value is white
"""

import dataclasses
import io
import logging
import warnings
from typing import Any, Literal

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,  # noqa: F401, by being imported they make their formats known
    GifImagePlugin,  # noqa: F401
    Image,
    ImageOps,
    Jpeg2KImagePlugin,  # noqa: F401
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    PpmImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

from components.core.pictures import tiff, values
from components.core.pictures.jpeg import decode_plain_jpeg, refuse_endless_jpeg
from components.core.pictures.names import LFS, LFS_POINTER
from components.core.pictures.thumbnail import as_image

# Tried in this order. Not all that Pillow knows: some of its formats start other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
ANIMATED = {"GIF", "PNG", "WEBP", "AVIF", "TIFF"}
GREY_MODES = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
KINDS = {"P": "palette", "PA": "palette", "RGB": "colour", "RGBA": "colour", "RGBa": "colour"}
ORIENTATION = 0x0112
SIDES_SWAPPED = {5, 6, 7, 8}
HEIC = b"ftyphe"  # from the fifth byte on
GZIP = b"\x1f\x8b"
MAX_BYTES = 1 << 28  # of one encoded picture; a larger file is passed over instead of read into memory
# Pixels of a picture above which it is refused: Pillow's limit, 89 million.
MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 0
# Pixels of a picture (2 megapixels) above which a JPEG is decoded no larger than it is needed.
LARGE = 1 << 21

# Odd files are nothing for the log: each is told with its reason.
logging.getLogger("PIL").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"PIL\.")
# Pillow would start a thread for each core of the machine: 256x256 pixels took 2.8 ms of a processor with 16 and 6.4 ms
# with 64, in place of 1.9, whatever a pod's limit.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclasses.dataclass(frozen=True)
class Target:
    """The shape every picture gets, and how it gets there if sizes differ."""

    height: int
    width: int
    channels: Literal[1, 3]
    resize: Literal["resize", "crop"] = "crop"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    def reduction(self, height: int, width: int) -> int:
        """By how much a JPEG may be reduced while it is decoded (1, 2, 4 or 8), to no less than twice what is needed.

        12 megapixels to 224x224: 35 ms instead of 194, pixels differ by 0.2 of 255 on average and 1 at most. Pictures
        that are not LARGE are decoded whole, so that their pixels can be told from others'.
        """
        if height * width <= LARGE:
            return 1
        spare = min(height / self.height, width / self.width) / 2
        return max(by for by in (1, 2, 4, 8) if by == 1 or by <= spare)

    @property
    def mode(self) -> str:
        """Pillow's name for it."""
        return "L" if self.channels == 1 else "RGB"


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A picture: upright, opaque, grey or RGB.

    Attributes:
        pixels: uint8 [height, width, 1 or 3], of its own size, but for a JPEG that is LARGE, which may be reduced, or
            as it was brought to a target's.
        height, width: of the whole picture, as its file has it.
        kind: what it was, for people: `greyscale`, `colour`, `palette`, `CMYK`.
        changes: what was done to it.
    """

    pixels: np.ndarray
    height: int
    width: int
    kind: str
    changes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Header:
    """A picture's own facts before it is decoded; height and width as EXIF orientation turns them."""

    height: int
    width: int
    grey: bool


def read_header(payload: bytes) -> Header:
    """Raises whatever Pillow does for bytes that are no picture."""
    with _opened(payload) as image:
        turned = _orientation(image) in SIDES_SWAPPED
        width, height = image.size[::-1] if turned else image.size
        return Header(height, width, image.mode in GREY_MODES)


def decode(payload: bytes, shape: tuple[int, int, int] | None, target: Target) -> Decoded:
    """Brings one picture to the target's shape: `open_picture`, then `bring_to`."""
    return bring_to(target, open_picture(payload, shape, target))


def open_picture(payload: bytes, shape: tuple[int, int, int] | None, target: Target) -> Decoded:
    """Decodes one picture.

    Args:
        payload: an encoded picture, or pixels if `shape` (height, width, channels) is given.
        target: tells how far a LARGE picture may be reduced; nothing else depends on it.

    Raises:
        Exception: whatever Pillow raises for a picture it can't read: there is no common class.
    """
    if shape is not None:
        return _as_it_is(np.frombuffer(payload, np.uint8).reshape(shape), shape[0], shape[1])
    if not _may_be_turned(payload):
        plain = decode_plain_jpeg(payload, target.reduction)
        if plain is not None:
            return _as_it_is(*plain)
    with _opened(payload) as image:
        changes = ["first of several frames"] if _several_frames(image) else []
        orientation = _orientation(image)
        width, height = image.size
        refuse_endless_jpeg(payload, width * height)
        if orientation in SIDES_SWAPPED:
            width, height = height, width
        by = target.reduction(height, width)
        if by > 1:
            image.draft(None, (image.width // by, image.height // by))  # of JPEGs; does nothing to others
        image.load()
        changes += values.of_eight_bits(image, payload)
        if orientation != 1:
            image = ImageOps.exif_transpose(image)
            changes.append("turned as EXIF says")
        kind = "greyscale" if image.mode in GREY_MODES else KINDS.get(image.mode, image.mode)
        return Decoded(_plain_pixels(image, changes), height, width, kind, tuple(changes))


def bring_to(target: Target, opened: Decoded) -> Decoded:
    """Gives a picture the target's channels and size."""
    pixels, changes = opened.pixels, list(opened.changes)
    if (opened.kind == "greyscale") != (target.channels == 1) or opened.kind not in ("greyscale", "colour"):
        changes.append(f"{opened.kind} to {'greyscale' if target.channels == 1 else 'RGB'}")
    if pixels.shape != target.shape:
        image = as_image(pixels)
        image = image if image.mode == target.mode else image.convert(target.mode)
        if (opened.height, opened.width) != (target.height, target.width):
            changes.append("resized" if target.resize == "resize" else "resized and cropped")
            box = None if target.resize == "resize" else _centre(image.width, image.height, target)
            image = image.resize((target.width, target.height), Image.Resampling.BILINEAR, box=box)
        pixels = np.asarray(image).reshape(target.shape)
    return dataclasses.replace(opened, pixels=pixels, changes=tuple(changes))


def _as_it_is(pixels: np.ndarray, height: int, width: int) -> Decoded:
    return Decoded(pixels, height, width, "greyscale" if pixels.shape[2] == 1 else "colour", ())


def reason_of(error: Exception) -> str:
    """Why a picture could not be read, in one line without memory addresses: the same in every run."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "not a picture of a known format, or damaged from its start"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS:,} pixels; make it smaller"
    text = str(error).strip().splitlines()
    return text[0] if text and " at 0x" not in text[0] else type(error).__name__


def _plain_pixels(image: Image.Image, changes: list[str]) -> np.ndarray:
    """The pixels of any mode of Pillow's, uint8 [height, width, 1] if the picture is grey, else [height, width, 3]."""
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


def _opened(payload: bytes) -> Image.Image:
    if not payload:
        raise ValueError("the file is empty")
    try:
        image = Image.open(io.BytesIO(payload), formats=FORMATS)
    except Image.UnidentifiedImageError:
        if payload[4:10] == HEIC:
            raise ValueError("HEIC, whatever its name; convert it to JPEG or PNG") from None
        if payload.startswith(GZIP):
            raise ValueError("stored gzipped (Content-Encoding: gzip); store it as it is") from None
        if payload.startswith(LFS_POINTER):
            raise ValueError(LFS) from None
        if payload.startswith(tiff.STARTS):
            raise ValueError("a TIFF of bands, numbers or a compression that can't be read, or damaged") from None
        raise
    if image.width * image.height > MAX_PIXELS:  # up to twice as many, Pillow warns and goes on
        raise Image.DecompressionBombError
    if image.format == "TIFF":
        tiff.put_right(image)
    return image


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        return 1  # Pillow turns these by itself
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # EXIF that can't be read says nothing; the picture is as good as before
        return 1
    return orientation if orientation in range(1, 9) else 1


def _several_frames(image: Image.Image) -> bool:
    try:
        return image.format in ANIMATED and bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged second frame
        return True


def _may_be_turned(payload: bytes) -> bool:
    """Whether a JPEG's EXIF or XMP orientation says so; most have none, which is seen without parsing it."""
    if b"Exif\0\0" not in payload and b"tiff:Orientation" not in payload:
        return False
    with _opened(payload) as image:
        return _orientation(image) != 1


def _centre(width: int, height: int, target: Target) -> tuple[float, float, float, float]:
    """The largest box of the target's proportions in the middle of a picture: left, top, right, bottom."""
    scale = min(width / target.width, height / target.height)
    # Rounding makes (225 / 224) x 224 a little more than 225, and Pillow takes no box that begins outside.
    left, top = (max(0.0, (w - scale * t) / 2) for w, t in ((width, target.width), (height, target.height)))
    return left, top, width - left, height - top
