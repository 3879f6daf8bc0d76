"""Runs the model over pictures: the test split, once, and those of the behaviour tests."""

from collections.abc import Callable
from typing import Any

import numpy as np

from components.core.artifacts.dataset import DatasetInfo
from components.core.artifacts.dataset_reading import batches, split_count
from components.core.machine import at_once
from components.core.progress import Progress


def predict_test_split(
    model: Any, dataset_path: str, info: DatasetInfo, label: str = "evaluate"
) -> tuple[np.ndarray, np.ndarray, float]:
    """The model's answers on the test split, in the artifact's order.

    Args:
        model: a keras.Model that fits the data set, as core's load_fitting_model gives it, or what is called like one.
        label: what the line of progress says is done.

    Returns:
        labels int64 (n,), probabilities float32 (n, classes), and the mean test loss in nats as `keras.Model.evaluate`
        would give it, without what regularizers add: Keras takes the logits behind a final softmax, so nothing is
        clipped. Behind a mean over mirrored pictures there are none, and a picture's loss is 16 at most.
    """
    count = split_count(info, "test")
    import keras
    import tensorflow as tf

    # Nvidia GPUs would round to 10 bits in convolutions; export compares other runtimes with these answers.
    tf.config.experimental.enable_tensor_float_32_execution(False)

    @tf.function(
        input_signature=[tf.TensorSpec([None, *info.image_shape], tf.uint8), tf.TensorSpec([None], tf.int64)],
        autograph=False,
    )
    def step(images, labels):
        probabilities = model(images, training=False)
        return probabilities, keras.losses.sparse_categorical_crossentropy(labels, probabilities)

    labels = np.empty(count, np.int64)
    probabilities = np.empty((count, len(info.class_names)), np.float32)
    loss = 0.0
    done = 0
    with Progress(label, total=count, unit="pictures") as progress:
        for images, truth in batches(dataset_path, info, "test"):
            answer, losses = step(images, truth)
            end = done + len(truth)
            labels[done:end], probabilities[done:end] = truth, answer.numpy()
            loss += float(np.sum(losses.numpy(), dtype=np.float64))
            done = end
            progress.advance(len(truth))
    return labels, probabilities, loss / count


def predictor(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """The model as a function of pictures, uint8 [n, height, width, channels], to probabilities [n, classes]."""
    import tensorflow as tf

    signature = [tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8)]
    run = tf.function(lambda images: model(images, training=False), input_signature=signature, autograph=False)

    def predict(pictures: np.ndarray) -> np.ndarray:
        size = at_once(pictures.shape[1:])
        return np.concatenate([run(pictures[at : at + size]).numpy() for at in range(0, len(pictures), size)])

    return predict
