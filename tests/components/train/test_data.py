"""Each picture once an epoch, in an order that the seed and the epoch alone decide."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from components.core.artifacts.dataset import read_info
from components.core.artifacts.dataset_reading import MappedSplit
from components.core.framework import load_keras
from components.train import data
from components.train.data import Feed, make_feed, order_of, read_ahead

COUNT = 103


def numbered_pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures that tell their own place: picture i is filled with i, and i is its label."""
    images = np.zeros((count, 2, 2, 1), np.uint8) + np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return images, np.arange(count)


@pytest.fixture(params=[1, 3, 64], ids="blocks of {} batches".format)
def split(dataset: Callable[..., str], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MappedSplit:
    monkeypatch.setattr(data, "BLOCK_BYTES", request.param * 10 * 4)
    path = dataset({"train": numbered_pictures(COUNT)}, class_count=COUNT, shard_count=3)
    return MappedSplit(path, read_info(path), "train")


def an_epoch(feed: Feed, epoch: int) -> list[list[int]]:
    """The labels of an epoch by batch, each compared with its picture on the way."""
    if feed.reorder:
        feed.reorder.on_epoch_begin(epoch, None)
    batches = []
    for images, labels in each_batch(feed):
        assert images.dtype == np.uint8
        assert np.array_equal(images[:, 1, 1, 0], labels)
        batches.append(labels.tolist())
    return batches


def each_batch(feed: Feed) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if load_keras().backend.backend() == "tensorflow":
        return feed.batches.as_numpy_iterator()
    return (feed.batches[step] for step in range(len(feed.batches)))


def test_every_picture_comes_once_and_the_last_batch_is_smaller(split: MappedSplit) -> None:
    feed = make_feed(split, 10, seed=7)
    batches = an_epoch(feed, 0)
    assert (feed.steps, feed.count) == (11, COUNT)
    assert [len(batch) for batch in batches] == [10] * 10 + [3]
    assert sorted(sum(batches, [])) == list(range(COUNT))


def test_an_epochs_order_is_its_own_whatever_ran_before(split: MappedSplit) -> None:
    feed = make_feed(split, 10, seed=7)
    first, second, third = (an_epoch(feed, epoch) for epoch in range(3))
    assert first != second != third
    assert an_epoch(make_feed(split, 10, seed=7), 2) == third
    assert an_epoch(feed, 0) == first
    assert an_epoch(make_feed(split, 10, seed=8), 0) != first
    assert sum(third, []) == order_of(7, 2, COUNT).tolist()
    assert sum(third, []) != order_of(8, 1, COUNT).tolist()


def test_without_a_seed_pictures_keep_the_artifacts_order(split: MappedSplit) -> None:
    feed = make_feed(split, 10)
    assert feed.reorder is None
    assert sum(an_epoch(feed, 0), []) == list(range(COUNT))
    assert sum(an_epoch(feed, 1), []) == list(range(COUNT))


def test_what_fails_while_reading_ahead_is_raised_and_no_thread_is_left() -> None:
    assert list(read_ahead(iter((1, 2)))) == [1, 2]

    def batches() -> Iterator[int]:
        yield 1
        raise OSError("the disk")

    ahead = read_ahead(batches())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="the disk"):
        next(ahead)
    endless = read_ahead(iter(lambda: 0, 1))
    assert next(endless) == 0
    endless.close()
    assert not any("read-ahead" in thread.name for thread in threading.enumerate())
