"""The SavedModel that TF Serving and KServe load."""
import pathlib

INPUT_NAME = "images"


def write_saved_model(model, class_names: list[str], path: pathlib.Path) -> None:
    """Writes `model` as a SavedModel with one signature, "serving_default".

    Signature: `images` uint8 [batch, height, width, channels] -> `class_name` string [batch], the most probable class,
    and `probabilities` float32 [batch, classes] in the order of `class_names`.

    Args:
        model: a keras.Model that takes the data set's uint8 pictures.
        class_names: in the order of the model's outputs.
        path: the version directory to write.
    """
    import keras
    import tensorflow as tf

    names = tf.constant(class_names)

    def serve(images):
        probabilities = tf.cast(model(images, training=False), tf.float32)
        return {
            "class_name": tf.gather(names, tf.argmax(probabilities, axis=-1)),
            "probabilities": probabilities,
        }

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        name="serving_default",
        fn=serve,
        input_signature=[tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8, name=INPUT_NAME)],
    )
    archive.write_out(str(path), verbose=False)
