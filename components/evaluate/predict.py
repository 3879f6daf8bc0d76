"""Runs the model over the test pictures, once."""

import pathlib

import numpy as np

from components.core.dataset import DatasetInfo
from components.core.errors import PipelineError
from components.core.framework import load_model
from components.core.progress import Progress
from components.core.reading import batches, split_count

# Large enough to keep two cores or a GPU busy, small enough that its activations stay below 300 MB for the article's
# model. export answers its proof pictures with the same size, so that both sum in the same order.
BATCH_SIZE = 256


def predict_test_split(
    model_file: str | pathlib.Path, dataset_path: str, info: DatasetInfo
) -> tuple[np.ndarray, np.ndarray, float]:
    """The model's answers on the test split, in the artifact's order.

    Returns:
        labels int64 (n,), probabilities float32 (n, classes), and the mean test loss in nats as `keras.Model.evaluate`
        would give it: Keras takes the logits behind a final softmax, so nothing is clipped.

    Raises:
        PipelineError: the file is no Keras model, or model and data set do not fit together.
    """
    model = load_model(model_file)
    expected, received = tuple(info.image_shape), tuple(model.input_shape[1:])
    if received != expected:
        raise PipelineError(
            f"expected a model for pictures of {expected} (height, width, channels) as in the data set, "
            f"received one for {received}; train on this data set"
        )
    if model.output_shape[-1] != len(info.class_names):
        raise PipelineError(
            f"expected a model with {len(info.class_names)} classes as in the data set, received one with "
            f"{model.output_shape[-1]}; train on this data set"
        )
    count = split_count(info, "test")
    if count == 0:
        raise PipelineError("expected test pictures to measure the model on, received none; set test_split above 0")
    import keras
    import tensorflow as tf

    @tf.function(
        input_signature=[tf.TensorSpec([None, *expected], tf.uint8), tf.TensorSpec([None], tf.int64)], autograph=False
    )
    def step(images, labels):
        probabilities = model(images, training=False)
        return probabilities, keras.losses.sparse_categorical_crossentropy(labels, probabilities)

    labels = np.empty(count, np.int64)
    probabilities = np.empty((count, len(info.class_names)), np.float32)
    loss = 0.0
    done = 0
    with Progress("evaluate", total=count, unit="pictures") as progress:
        for images, truth in batches(dataset_path, info, "test", BATCH_SIZE):
            answer, losses = step(images, truth)
            end = done + len(truth)
            labels[done:end], probabilities[done:end] = truth, answer.numpy()
            loss += float(np.sum(losses.numpy(), dtype=np.float64))
            done = end
            progress.advance(len(truth))
    return labels, probabilities, loss / count
