"""TIFFs of which Pillow would make another picture than they hold, as programs for satellites and microscopes write
them: put right, or refused."""

from typing import Any

from PIL import TiffImagePlugin

WHITE_IS_ZERO, PLANES = 0, 2
STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def put_right(image: Any) -> None:
    """Prepares an opened TIFF, whose pixels are not loaded yet.

    Raises:
        ValueError: it has several bands and calls none of them red, green and blue: Pillow takes the first for grey.
    """
    bands = image.tag_v2.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    if bands > 1 and (image.mode == "L" or image.mode.startswith(("I", "F"))):
        raise ValueError(f"{bands} bands that the file doesn't call red, green and blue")
    if (
        image.tile[0].codec_name == "raw"
        and image.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == PLANES
        and bits(image) == 16
    ):
        # Pillow's own reader takes each byte of a plane for a value; libtiff, which reads compressed ones, does not.
        size = image.tag_v2[TiffImagePlugin.IMAGEWIDTH], image.tag_v2[TiffImagePlugin.IMAGELENGTH]
        how = f"{image.mode.partition(';')[0]};16N", False, image.tag_v2.offset
        image.tile = [image.tile[0]._replace(codec_name="libtiff", extents=(0, 0, *size), offset=0, args=how)]
        image.use_load_libtiff = True


def bits(image: Any) -> int:
    """How many a value has."""
    return image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))[0]


def inverted(image: Any) -> bool:
    """Whether the largest value is black. Pillow has turned those of up to 8 bits already."""
    return image.format == "TIFF" and image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO
