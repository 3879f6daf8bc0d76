"""Pictures as JPEG or PNG bytes to what the model takes, in TensorFlow operations that go into the SavedModel.

As preprocess does it (core/pictures/decode.py): transparency is laid on white, 16 bits become 8, grey is ITU-R 601-2
luma by Pillow's own integers. Large JPEGs are reduced while they are decoded; another size is cropped or stretched by
the same antialiasing triangle filter; a picture of too many pixels is refused. What differs, and how much:

    EXIF orientation    not applied: TensorFlow has no operation that reads it. Turn such pictures before sending
    resizing            Pillow rounds to 8 bits between its two passes: at most 1 of 255 a pixel
    CMYK                TensorFlow's conversion in place of Pillow's
    other file formats  refused

A server takes several pictures at once, and has a limit on its memory: so pixels stay bytes as long as they can. A PNG
takes 7 bytes a pixel, 26 if any of it is transparent; a JPEG 3, or fewer; for a grey model 16 more.
"""

import functools
from typing import Any

from components.core.artifacts.dataset import DatasetInfo
from components.core.pictures.decode import LARGE, MAX_PIXELS
from components.core.pictures.values import PNG_BITS

# How a PNG begins, and where it has width and height, bits and kind.
PNG, PNG_SIDES, PNG_HEADER = b"\x89PNG\r\n\x1a\n", 16, PNG_BITS + 2


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
    """uint8 [height, width, 3] of a JPEG, reduced as Target.reduction says."""
    import tensorflow as tf

    sides = tf.cast(tf.io.extract_jpeg_shape(payload)[:2], tf.float32)
    spare = tf.reduce_min(sides / [height, width]) / 2
    halved = tf.reduce_sum(tf.cast(spare >= [2.0, 4.0, 8.0], tf.int32))
    read = functools.partial(tf.io.decode_jpeg, payload, channels=3, dct_method="INTEGER_ACCURATE")
    with tf.control_dependencies([_refuse_too_many(sides)]):
        return tf.switch_case(
            tf.where(tf.reduce_prod(sides) > LARGE, halved, 0),
            [functools.partial(read, ratio=ratio) for ratio in (1, 2, 4, 8)],
        )


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
