"""What we write without TensorFlow, TensorFlow reads; what we split as Keras does, Keras splits so too."""

import numpy as np
import pytest

from components.core.artifacts.dataset import SPLITS
from components.preprocess.run import preprocess
from components.preprocess.settings import PreprocessSettings
from components.preprocess.splits import last
from tests.components.preprocess.sources import archive, class_folders
from tests.datasets import load_split

tf = pytest.importorskip("tensorflow")


def test_tensorflow_reads_the_shards(tmp_path, raw_artifact, monkeypatch):
    monkeypatch.setattr("components.preprocess.shards.SHARD_BYTES", 3000)
    raw = raw_artifact(archive(tmp_path / "a.tar", class_folders({f"c{i:03d}": 4 for i in range(130)}, 4, 6)))
    info = preprocess(PreprocessSettings(), raw, str(tmp_path / "dataset"), str(tmp_path / "report.html"))
    features = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    for split in SPLITS:
        paths = [str(tmp_path / "dataset" / shard.name) for shard in info.splits[split].shards]
        assert len(paths) > 1
        records = list(tf.data.TFRecordDataset(paths))  # checks both checksums of each
        parsed = tf.io.parse_example(records, features)
        images = tf.reshape(tf.io.decode_raw(parsed["image"], tf.uint8), (-1, *info.image_shape))
        ours, labels = load_split(tmp_path / "dataset", info, split)
        np.testing.assert_array_equal(images.numpy(), ours)
        np.testing.assert_array_equal(parsed["label"].numpy(), labels)
        assert np.bincount(labels, minlength=130).tolist() == info.splits[split].per_class


def test_the_last_fraction_is_keras_s():
    from keras.src.trainers.data_adapters.array_slicing import train_validation_split

    for count in (2, 3, 5, 10, 99, 1000, 1797, 50_000, 60_001):
        for share in (0.1, 0.2, 0.25, 0.3, 1 / 3, 0.5, 0.7, 0.9):
            try:
                (train,), (validation,) = train_validation_split((np.arange(count),), share)
            except ValueError:  # Keras refuses an empty part; assign_splits does as well
                assert last(count, share) in (slice(0, count), slice(count, count))
                continue
            assert np.arange(count)[last(count, share)].tolist() == np.asarray(validation).tolist()
            assert len(train) == count - len(validation)
