"""Pictures as JPEG or PNG bytes to what the model takes, in TensorFlow operations that go into the SavedModel.

As preprocess does it (core/decode.py): transparency is laid on white, 16 bits become 8, grey is ITU-R 601-2 luma by
Pillow's own integers, and another size is cropped or stretched by the same antialiasing triangle filter. What differs,
and how much:

    EXIF orientation         not applied: TensorFlow has no operation that reads it. Turn such pictures before sending
    resizing                 Pillow rounds to 8 bits between its two passes: at most 1 of 255 a pixel
    JPEGs of many megapixels preprocess may reduce them while decoding: 1 of 255 at most, 0.2 on average
    CMYK, 16-bit colour PNG  TensorFlow's conversion in place of Pillow's, which sees no transparent colour of 16 bits
    other file formats       refused
"""

from typing import Any

from components.core.artifacts.dataset import DatasetInfo


def decode_picture(payload: Any, info: DatasetInfo) -> Any:
    """One JPEG or PNG (scalar string tensor) as uint8 [height, width, channels] of the data set's shape.

    Raises:
        tf.errors.InvalidArgumentError: when run on bytes that are neither.
    """
    import tensorflow as tf

    height, width, channels = info.image_shape
    pixels = tf.cond(tf.io.is_jpeg(payload), lambda: _jpeg(payload), lambda: _png(payload))
    if channels == 1:
        red, green, blue = tf.unstack(pixels, axis=-1)
        pixels = tf.bitwise.right_shift(red * 19595 + green * 38470 + blue * 7471 + 32768, 16)[..., None]
    size = tf.cast(tf.shape(pixels)[:2], tf.float32)
    target = tf.constant([height, width], tf.float32)
    step = size / target  # source pixels to one of the result
    if info.resize == "crop":
        step = tf.repeat(tf.reduce_min(step), 2)
    begin = (size - step * target) / 2
    resized = tf.raw_ops.ScaleAndTranslate(
        images=tf.cast(pixels, tf.float32)[None],
        size=[height, width],
        scale=1 / step,
        translation=-begin / step,
        kernel_type="triangle",
        antialias=True,
    )[0]
    rounded = tf.cast(tf.clip_by_value(tf.floor(resized + 0.5), 0, 255), tf.uint8)
    return tf.ensure_shape(rounded, info.image_shape)


def _jpeg(payload: Any) -> Any:
    import tensorflow as tf

    return tf.cast(tf.io.decode_jpeg(payload, channels=3, dct_method="INTEGER_ACCURATE"), tf.int32)


def _png(payload: Any) -> Any:
    """The pixels of any kind of PNG: grey, palette, with or without transparency, 1 to 16 bits."""
    import tensorflow as tf

    values = tf.cast(tf.io.decode_png(payload, channels=4, dtype=tf.uint16), tf.int64)
    values = tf.cast((values * 255 + 32767) // 65535, tf.int32)
    # TensorFlow 2.21 gives grey of fewer than 8 bits without transparency an opacity of 1 to 15 in 255. Byte 24 of the
    # file is the number of bits, byte 25 the kind (0: grey); zeros are appended for what is no PNG, whose own error
    # comes from decode_png.
    bits, kind = tf.unstack(
        tf.io.decode_raw(tf.strings.substr(tf.strings.join([payload, b"\0" * 26]), 24, 2), tf.uint8), num=2
    )
    opacity = values[..., 3:]
    opacity = tf.where((bits < 8) & (kind == 0) & (opacity > 0), 255, opacity)
    return (values[..., :3] * opacity + 255 * (255 - opacity) + 127) // 255
