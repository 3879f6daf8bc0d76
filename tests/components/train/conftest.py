"""Tiny dataset artifacts, written as preprocess writes them, and an eighth of the digits to learn from."""

import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from components.core.artifacts.dataset import INFO_FILE, DatasetInfo, Shard, SplitInfo
from components.core.artifacts.tfrecord import RecordWriter, record
from tests.servers.fixtures import bucket, gcs, gcs_server, s3_server  # noqa: F401

# test_jax_backend.py runs some of these tests in a process with KERAS_BACKEND=jax.
BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
Pictures = dict[str, tuple[np.ndarray, np.ndarray]]


def write_dataset(directory: pathlib.Path, splits: Pictures, class_count: int, shard_count: int = 2) -> pathlib.Path:
    """Writes uint8 pictures [n, height, width, channels] and labels [n] by split as a dataset artifact."""
    directory.mkdir(parents=True)
    infos = {}
    for split, (images, labels) in splits.items():
        shards = []
        for number, chosen in enumerate(np.array_split(np.arange(len(labels)), shard_count)):
            name = f"{split}-{number:05d}-of-{shard_count:05d}.tfrecord"
            with (directory / name).open("wb") as file:
                writer = RecordWriter(file)
                for index in chosen:
                    writer.append(record(images[index].tobytes(), int(labels[index])))
            shards.append(Shard(name=name, count=writer.count, sha256=writer.digest.hexdigest()))
        per_class = np.bincount(labels, minlength=class_count).tolist()
        infos[split] = SplitInfo(count=len(labels), per_class=per_class, shards=shards)
    shape = tuple(splits["train"][0].shape[1:])
    info = DatasetInfo(
        dataset="tiny",
        title="tiny pictures",
        image_shape=shape,
        class_names=[f"class {index}" for index in range(class_count)],
        splits=infos,
        mean=[0.5] * shape[2],
        std=[0.25] * shape[2],
        seed=0,
        quarantined=0,
        source_uri="file:///tiny",
        source_sha256="0" * 64,
        fingerprint="1" * 64,
    )
    (directory / INFO_FILE).write_text(info.model_dump_json(), encoding="utf-8")
    return directory


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
    return str(write_dataset(directory / "dataset", pictures, class_count=10))
