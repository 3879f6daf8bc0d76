"""Pictures as JPEG or PNG bytes to what the model takes, in TensorFlow operations that go into the SavedModel.

As preprocess does it (core/pictures/decode.py): transparency is laid on white, 16 bits become 8, grey is ITU-R 601-2
luma by Pillow's own integers. Large JPEGs are reduced while they are decoded; another size is cropped or stretched by
the same antialiasing triangle filter; a picture of too many pixels is refused; a JPEG is turned as its EXIF says. What
differs, and how much:

    orientation         of a PNG, and one that XMP alone tells, not applied
    resizing            Pillow rounds to 8 bits between its two passes: at most 1 of 255 a pixel
    CMYK                TensorFlow's conversion in place of Pillow's
    other file formats  refused

A server takes several pictures at once, and has a limit on its memory: so pixels stay bytes as long as they can. A PNG
takes 7 bytes a pixel, 26 if any of it is transparent; a JPEG 3, or fewer; for a grey model 16 more.
"""

import functools
from typing import Any

from components.core.artifacts.dataset import DatasetInfo
from components.core.pictures.decode import LARGE, MAX_PIXELS, ORIENTATION
from components.core.pictures.values import PNG_BITS

# How a PNG begins, and where it has width and height, bits and kind.
PNG, PNG_SIDES, PNG_HEADER = b"\x89PNG\r\n\x1a\n", 16, PNG_BITS + 2
# How EXIF begins, within how many bytes of a JPEG, and in either order of bytes what follows.
EXIF, EXIF_WITHIN, LITTLE, BIG = b"Exif\0\0", 1 << 14, b"II*\0", b"MM\0*"
MOST_FIELDS = 100
# From this orientation on, height and width change places.
FIRST_SWAPPED = 5


def decode_picture(payload: Any, info: DatasetInfo) -> Any:
    """One JPEG or PNG (scalar string tensor) as uint8 [height, width, channels] of the data set's shape.

    Raises:
        tf.errors.InvalidArgumentError: when run on bytes that are neither, or on a picture of too many pixels.
    """
    import tensorflow as tf

    height, width, channels = info.image_shape
    pixels = tf.cond(tf.io.is_jpeg(payload), lambda: _jpeg(payload, height, width), lambda: _png(payload))
    if channels == 1:
        red, green, blue = tf.unstack(tf.cast(pixels, tf.int32), axis=-1)
        luma = tf.bitwise.right_shift(red * 19595 + green * 38470 + blue * 7471 + 32768, 16)
        pixels = tf.cast(luma, tf.uint8)[..., None]
    size = tf.cast(tf.shape(pixels)[:2], tf.float32)
    target = tf.constant([height, width], tf.float32)
    step = size / target  # source pixels to one of the result
    if info.resize == "crop":
        step = tf.repeat(tf.reduce_min(step), 2)
    begin = (size - step * target) / 2
    resized = tf.raw_ops.ScaleAndTranslate(
        images=pixels[None],
        size=[height, width],
        scale=1 / step,
        translation=-begin / step,
        kernel_type="triangle",
        antialias=True,
    )[0]
    rounded = tf.cast(tf.clip_by_value(tf.floor(resized + 0.5), 0, 255), tf.uint8)
    return tf.ensure_shape(rounded, info.image_shape)


def _jpeg(payload: Any, height: int, width: int) -> Any:
    """uint8 [height, width, 3] of a JPEG, upright, reduced as Target.reduction says."""
    import tensorflow as tf

    orientation = _orientation(payload)
    sides = tf.cast(tf.io.extract_jpeg_shape(payload)[:2], tf.float32)
    upright = tf.where(orientation < FIRST_SWAPPED, sides, tf.reverse(sides, [0]))
    spare = tf.reduce_min(upright / [height, width]) / 2
    halved = tf.reduce_sum(tf.cast(spare >= [2.0, 4.0, 8.0], tf.int32))
    read = functools.partial(tf.io.decode_jpeg, payload, channels=3, dct_method="INTEGER_ACCURATE")
    with tf.control_dependencies([_refuse_too_many(sides)]):
        pixels = tf.switch_case(
            tf.where(tf.reduce_prod(sides) > LARGE, halved, 0),
            [functools.partial(read, ratio=ratio) for ratio in (1, 2, 4, 8)],
        )
    # Swapped first, then mirrored from side to side, from top to bottom, or both.
    swapped = tf.cond(orientation < FIRST_SWAPPED, lambda: pixels, lambda: tf.transpose(pixels, [1, 0, 2]))
    sided = tf.cond(tf.reduce_any(orientation == [2, 3, 6, 7]), lambda: tf.reverse(swapped, [1]), lambda: swapped)
    return tf.cond(tf.reduce_any(orientation == [3, 4, 7, 8]), lambda: tf.reverse(sided, [0]), lambda: sided)


def _orientation(jpeg: Any) -> Any:
    """A JPEG's orientation by its EXIF, int64, 1 to 8; 1 is upright, or not told."""
    import tensorflow as tf

    start = tf.strings.join([tf.strings.substr(jpeg, 0, EXIF_WITHIN), b"\0" * len(EXIF)])
    values = tf.io.decode_raw(start, tf.uint8)
    count = tf.size(values) - len(EXIF)
    begins = tf.reduce_all([values[at : at + count] == byte for at, byte in enumerate(EXIF)], axis=0)
    header = tf.argmax(tf.cast(begins, tf.int32)) + len(EXIF)  # without EXIF a place where no order is told
    order = tf.strings.substr(start, header, len(LITTLE))

    def number(at: Any, size: int, little: Any) -> Any:
        within = tf.clip_by_value(at[..., None] + tf.range(size, dtype=tf.int64), 0, tf.size(values, tf.int64) - 1)
        powers = [256**power for power in range(size)]
        weights = tf.where(little, tf.constant(powers, tf.int64), tf.constant(powers[::-1], tf.int64))
        return tf.reduce_sum(tf.cast(tf.gather(values, within), tf.int64) * weights, axis=-1)

    little = order == LITTLE
    end = header - len(EXIF) - 2
    end += number(end, 2, False)
    fields = header + number(header + 4, 4, little)
    places = fields + 2 + 12 * tf.range(tf.minimum(number(fields, 2, little), MOST_FIELDS))
    told = (number(places, 2, little) == ORIENTATION) & (places + 12 <= end) & (little | (order == BIG))
    found = tf.concat([tf.boolean_mask(number(places + 8, 2, little), told), [1]], axis=0)[0]
    return tf.where((found > 0) & (found < 9), found, 1)


def _png(payload: Any) -> Any:
    """uint8 [height, width, 3] of any kind of PNG: grey, palette, with or without transparency, 1 to 16 bits."""
    import tensorflow as tf

    start = tf.strings.substr(tf.strings.join([payload, b"\0" * PNG_HEADER]), 0, PNG_HEADER)
    header = tf.io.decode_raw(start, tf.uint8)
    bits, grey = header[PNG_BITS], header[PNG_BITS + 1] == 0
    digits = tf.cast(tf.reshape(header[PNG_SIDES:PNG_BITS], [2, 4]), tf.float32)
    sides = digits @ [[256.0**3], [256.0**2], [256.0], [1.0]]
    # decode_png would take some GIF, BMP and WebP files, which preprocess brings to pixels otherwise.
    is_png = tf.debugging.Assert(tf.strings.substr(start, 0, len(PNG)) == PNG, ["expected a JPEG or PNG file"])
    with tf.control_dependencies([is_png, _refuse_too_many(sides)]):
        # Pillow takes of colours the upper byte of 16 bits, as TensorFlow does; grey is rounded.
        values = tf.cond(
            grey & (bits == 16), lambda: _eight_bits(payload), lambda: tf.io.decode_png(payload, channels=4)
        )
    # TensorFlow 2.21 gives grey of fewer than 8 bits without transparency an opacity of 1 to 15 in 255.
    opacity = values[..., 3:]
    opacity = tf.where(grey & (bits < 8) & (opacity > 0), tf.constant(255, tf.uint8), opacity)
    return tf.cond(tf.reduce_all(opacity == 255), lambda: values[..., :3], lambda: _on_white(values[..., :3], opacity))


def _eight_bits(payload: Any) -> Any:
    import tensorflow as tf

    values = tf.cast(tf.io.decode_png(payload, channels=4, dtype=tf.uint16), tf.int32)
    return tf.cast((values * 255 + 32767) // 65535, tf.uint8)


def _on_white(values: Any, opacity: Any) -> Any:
    import tensorflow as tf

    values, opacity = tf.cast(values, tf.uint16), tf.cast(opacity, tf.uint16)
    return tf.cast((values * opacity + 255 * (255 - opacity) + 127) // 255, tf.uint8)


def _refuse_too_many(sides: Any) -> Any:
    """What preprocess refuses too: the file may be small, its pixels fill a server's memory."""
    import tensorflow as tf

    few = tf.reduce_prod(sides) <= MAX_PIXELS
    return tf.debugging.Assert(few, [f"expected at most {MAX_PIXELS:,} pixels, received sides of", sides])
