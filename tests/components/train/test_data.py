"""From memory or from a stream: each picture once an epoch, in an order that the seed and the epoch alone decide."""

from collections.abc import Callable

import numpy as np
import pytest

from components.core.artifacts.dataset import read_info
from components.train.data import Feed, order_of, training_feed, validation_feed

COUNT = 103
ROADS = {"memory": 10**9, "stream": 0}


def numbered_pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures that tell their own place: picture i is filled with i, and i is its label."""
    images = np.zeros((count, 2, 2, 1), np.uint8) + np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return images, np.arange(count)


@pytest.fixture
def numbered(dataset: Callable[..., str]) -> str:
    splits = {"train": numbered_pictures(COUNT), "validation": numbered_pictures(21)}
    return dataset(splits, class_count=COUNT, shard_count=3)


def an_epoch(feed: Feed, epoch: int) -> list[list[int]]:
    """The labels of an epoch by batch, each compared with its picture on the way."""
    if feed.reorder:
        feed.reorder.on_epoch_begin(epoch, None)
    batches = []
    for images, labels in feed.dataset.as_numpy_iterator():
        assert images.dtype == np.uint8
        assert np.array_equal(images[:, 1, 1, 0], labels)
        batches.append(labels.tolist())
    return batches


def feed_of(path: str, road: str, seed: int = 7) -> Feed:
    return training_feed(path, read_info(path), 10, seed, ROADS[road])


@pytest.mark.parametrize("road", ROADS)
def test_every_picture_comes_once_and_the_last_batch_is_smaller(numbered: str, road: str) -> None:
    feed = feed_of(numbered, road)
    batches = an_epoch(feed, 0)
    assert (feed.steps, feed.count) == (11, COUNT)
    assert [len(batch) for batch in batches] == [10] * 10 + [3]
    assert sorted(sum(batches, [])) == list(range(COUNT))


@pytest.mark.parametrize("road", ROADS)
def test_an_epochs_order_is_its_own_whatever_ran_before(numbered: str, road: str) -> None:
    feed = feed_of(numbered, road)
    first, second, third = (an_epoch(feed, epoch) for epoch in range(3))
    assert first != second != third
    assert an_epoch(feed_of(numbered, road), 2) == third
    assert an_epoch(feed, 0) == first
    assert an_epoch(feed_of(numbered, road, seed=8), 0) != first


def test_pictures_in_memory_come_in_numpys_order(numbered: str) -> None:
    assert sum(an_epoch(feed_of(numbered, "memory"), 4), []) == order_of(7, 4, COUNT).tolist()


@pytest.mark.parametrize("road", ROADS)
def test_validation_keeps_the_artifacts_order(numbered: str, road: str) -> None:
    feed = validation_feed(numbered, read_info(numbered), 10, ROADS[road])
    assert feed.reorder is None
    assert sum(an_epoch(feed, 0), []) == list(range(21))
    assert sum(an_epoch(feed, 1), []) == list(range(21))


def test_no_validation_split_is_no_feed(dataset: Callable[..., str]) -> None:
    path = dataset({"train": numbered_pictures(5)}, class_count=5)
    assert validation_feed(path, read_info(path), 10, 10**9) is None
