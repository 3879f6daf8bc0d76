"""Tiny dataset artifacts, written as preprocess writes them, and an eighth of the digits to learn from."""

import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.datasets import Pictures, write_dataset
from tests.servers.fixtures import bucket, gcs, gcs_server, s3_server  # noqa: F401

# test_jax_backend.py runs some of these tests in a process with KERAS_BACKEND=jax.
BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
# Everything that has state: running statistics, the seeds of dropout and augmentation, a schedule, momentum.
STATEFUL = '[{"Conv2D": {"filters": 4, "kernel_size": 3}}, "BatchNormalization", "Flatten", {"Dropout": {"rate": 0.2}}]'


@pytest.fixture
def dataset(tmp_path: pathlib.Path) -> Callable[..., str]:
    """Writes splits of pictures and gives the artifact's path."""

    def write(splits: Pictures, class_count: int, name: str = "dataset", shard_count: int = 2) -> str:
        return str(write_dataset(tmp_path / name, splits, class_count, shard_count))

    return write


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> str:
    """1,000 real handwritten digits to train on and 297 to validate on; 1,000 does not divide by the batch size."""
    return _digits(tmp_path_factory.mktemp("digits"), train=slice(0, 1000), validation=slice(1000, 1297))


@pytest.fixture(scope="session")
def unjudged_digits(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same to train on, and none to validate on, which costs as much as training: no pictures are drawn of them."""
    return _digits(tmp_path_factory.mktemp("unjudged"), train=slice(0, 1000))


@pytest.fixture
def eagerly() -> Iterator[None]:
    """TensorFlow takes steps operation by operation: for a few steps of many layers, which cost more to trace."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def _digits(directory: pathlib.Path, **splits: slice) -> str:
    from sklearn.datasets import load_digits

    found = load_digits()
    images = (found.images * 15.9375).astype(np.uint8)[..., np.newaxis]
    pictures = {split: (images[part], found.target[part]) for split, part in splits.items()}
    return str(write_dataset(directory / "dataset", pictures, shard_count=2))


def weights_below(place: pathlib.Path) -> list[np.ndarray]:
    import keras

    return keras.models.load_model(place / "model" / "model.keras").get_weights()


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
