"""The SavedModel that TF Serving and KServe load."""

import pathlib
from typing import Any

from components.core.artifacts.dataset import DatasetInfo
from components.core.artifacts.served_model import BYTES, DESCRIPTION, PICTURES
from components.core.files import write_json
from components.export.formats.encoded import decode_picture


def write_saved_model(model: Any, info: DatasetInfo, path: pathlib.Path) -> None:
    """Writes `model` as a SavedModel with two signatures.

    "serving_default" takes `images`, uint8 [batch, height, width, channels]; "encoded" takes `image_bytes`, string
    [batch]: JPEG or PNG files of any size, brought to the model's as encoded.py says. Both give `class_name` string
    [batch], the most probable class, and `probabilities` float32 [batch, classes] in the order of the data set's
    class names. Those, the shape and the way of resizing lie beside it, in assets.extra/model.json.

    Args:
        model: a keras.Model that takes the data set's uint8 pictures.
        path: the version directory to write.
    """
    import tensorflow as tf

    names = tf.constant(info.class_names)

    @tf.function(input_signature=[tf.TensorSpec([None, *info.image_shape], tf.uint8, name="images")], autograph=False)
    def serve(images):
        # A server compares no shapes, and a network that pools over all pixels answers any.
        sized = tf.ensure_shape(images, [None, *info.image_shape])
        probabilities = tf.cast(model(sized, training=False), tf.float32)
        return {
            "class_name": tf.gather(names, tf.argmax(probabilities, axis=-1)),
            "probabilities": probabilities,
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")], autograph=False)
    def serve_encoded(image_bytes):
        return serve(tf.map_fn(lambda one: decode_picture(one, info), image_bytes, fn_output_signature=tf.uint8))

    # Not keras.export.ExportArchive: that of Keras 3.15 writes every weight twice.
    served = tf.Module()
    served.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(served, str(path), signatures={PICTURES: serve, BYTES: serve_encoded})
    write_json(path / DESCRIPTION, info.model_dump(mode="json", include={"class_names", "image_shape", "resize"}))
