import hashlib
import pathlib

import numpy as np
import pytest

from components.core import machine
from components.core.artifacts import dataset_reading as reading
from components.core.artifacts.dataset import DatasetInfo, read_info
from components.core.errors import PipelineError
from components.core.machine import at_once
from tests.datasets import load_split, write_dataset

SHAPE = (3, 5, 2)


@pytest.fixture
def artifact(tmp_path: pathlib.Path) -> tuple[pathlib.Path, DatasetInfo, np.ndarray, np.ndarray]:
    """70 random pictures in three shards; labels of one, two and three bytes, as records lay them out."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (70, *SHAPE), np.uint8)
    images[0] = 255
    labels = rng.choice([0, 5, 127, 128, 300, 16_383, 16_384, 40_000], 70)
    directory = write_dataset(tmp_path / "dataset", {"train": (images, labels)}, 40_001, shard_count=3)
    return directory, read_info(directory), images, labels


@pytest.mark.parametrize("chunk", [7, 100, 1 << 20])
def test_a_split_comes_back_as_it_was_written(artifact, chunk, monkeypatch) -> None:
    directory, info, images, labels = artifact
    monkeypatch.setattr(reading, "CHUNK_BYTES", chunk)
    read_images, read_labels = load_split(directory, info, "train")
    assert read_images.dtype == np.uint8
    assert read_labels.dtype == np.int64
    assert np.array_equal(read_images, images)
    assert np.array_equal(read_labels, labels)


def test_records_have_one_length_and_a_picture_is_found_by_its_place(artifact) -> None:
    directory, info, images, labels = artifact
    [length] = {
        (directory / shard.name).stat().st_size / shard.count for shard in info.splits["train"].shards if shard.count
    }
    assert length == int(length)
    places = np.random.default_rng(1).permutation(70)
    for cached in (True, False):
        split = reading.MappedSplit(directory, info, "train", cached)
        assert len(split) == 70
        pictures = split.pictures(places)
        assert np.array_equal(pictures, images[places])
        assert pictures.ctypes.data % 64 == 0, "TensorFlow and JAX copy what begins elsewhere"
        assert np.array_equal(split.labels[places], labels[places])


def test_batches_are_whole_but_for_the_last(artifact) -> None:
    directory, info, images, labels = artifact
    batches = list(reading.batches(directory, info, "train", 16))
    assert [len(part) for _, part in batches] == [16, 16, 16, 16, 6]
    assert np.array_equal(np.concatenate([part for part, _ in batches]), images)
    assert np.array_equal(np.concatenate([part for _, part in batches]), labels)


def test_a_batch_is_what_a_model_is_asked_at_once(artifact, monkeypatch) -> None:
    """256 pictures of 224 x 224 took the article's convolutions 12 GB, whatever batch they were trained by."""
    assert [at_once((side, side, 3)) for side in (8, 64, 128, 224, 512, 4000)] == [256, 256, 64, 20, 4, 1]
    directory, info, images, _ = artifact
    for fits, lengths in ((29, [29, 29, 12]), (1 / 2, [1] * 70)):
        monkeypatch.setattr(machine, "MOST_PIXELS", int(fits * images[0].size / images.shape[-1]))
        batches = list(reading.batches(directory, info, "train"))
        assert [len(part) for _, part in batches] == lengths
        assert np.array_equal(np.concatenate([part for part, _ in batches]), images)


def test_tensorflow_reads_the_same(artifact) -> None:
    import tensorflow as tf

    directory, info, images, labels = artifact
    paths = [str(directory / shard.name) for shard in info.splits["train"].shards]
    records = tf.data.TFRecordDataset(paths).batch(70).get_single_element()
    features = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    parsed = tf.io.parse_example(records, features)
    assert np.array_equal(parsed["label"], labels)
    assert np.array_equal(tf.reshape(tf.io.decode_raw(parsed["image"], tf.uint8), images.shape), images)


def test_a_split_that_is_not_there_is_empty(artifact) -> None:
    directory, info, _, _ = artifact
    assert reading.split_count(info, "test") == 0
    assert list(reading.batches(directory, info, "test", 16)) == []


@pytest.mark.parametrize("damage", ["flip", "cut", "more", "other length"])
def test_a_damaged_shard_is_named(artifact, damage) -> None:
    directory, info, _, _ = artifact
    path = directory / info.splits["train"].shards[2].name
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[40] ^= 1
    elif damage == "cut":
        del data[-10:]
    elif damage == "more":
        data += data[: len(data) // 2]
    else:
        data[0] += 8
    path.write_bytes(data)
    assert hashlib.sha256(data).hexdigest() != info.splits["train"].shards[2].sha256
    with pytest.raises(PipelineError, match="train-00002-of-00003") as refused:
        load_split(directory, info, "train")
    assert "run preprocess again (CACHE=0)" in str(refused.value)


def test_a_data_set_of_another_release_or_without_a_shard_is_refused(artifact) -> None:
    directory, info, _, _ = artifact
    path = directory / "dataset.json"
    text = path.read_text()
    path.write_text(text.replace('"format_version":2', '"format_version":1'))
    with pytest.raises(PipelineError, match="received .*: format_version: Input should be 2; run preprocess again"):
        read_info(directory)
    path.write_text(text)
    (directory / info.splits["train"].shards[1].name).unlink()
    with pytest.raises(PipelineError, match="expected the shard train-00001-of-00003.tfrecord named in"):
        read_info(directory)
