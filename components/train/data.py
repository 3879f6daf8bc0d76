"""Feeds the pictures to Keras: from memory where they fit, else streamed from the shards.

Where several processes train one model, each is fed its share of every batch (Share); the batch as a whole is the one
that a single process would see.

The order of an epoch is a function of the seed and the epoch's number alone, never of what ran before: an epoch that is
run again after a kill, or first after a resume, sees the same pictures in the same order.
"""

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from components.core.artifacts.dataset import DatasetInfo, Split
from components.core.artifacts.dataset_reading import load_split, shard_paths, split_count
from components.core.errors import PipelineError
from components.core.framework import load_keras

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

PREFETCHED_BATCHES = 4
# A streamed split is shuffled block by block. The artifact lies in random order already, so this only has to make
# epochs differ; three blocks are in memory at a time (one being read, one waiting, one being used).
SHUFFLE_BLOCK_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class Feed:
    """Batches (uint8 pictures [n, height, width, channels], int64 labels [n]) for `keras.Model.fit`.

    `reorder` is the callback that sets each epoch's order; a feed that keeps the artifact's order has none.
    """

    dataset: "tf.data.Dataset"
    steps: int
    count: int
    reorder: "keras.callbacks.Callback | None" = None


@dataclasses.dataclass(frozen=True)
class Share:
    """What this process is fed of a batch: its rows, where `processes` of them train one model together.

    Attributes:
        devices: of all processes. Each gets as many pictures of a batch as the others, so that of an epoch whose
            pictures don't divide up to `devices` - 1 are left out: the last of its order.
    """

    process: int = 0
    processes: int = 1
    devices: int = 1

    def check(self, batch_size: int) -> None:
        """Refuses a batch that can't be shared out evenly."""
        if batch_size % self.devices:
            below = batch_size - batch_size % self.devices
            raise PipelineError(
                f"batch_size: expected a multiple of the {self.devices} devices that share a batch, received "
                f"{batch_size}; try {below or self.devices}"
            )

    def whole(self, count: int) -> int:
        """How many of `count` pictures can be shared out."""
        return count - count % self.devices

    def of(self, batch: "tf.Tensor") -> "tf.Tensor":
        """This process's rows of a batch, in the batch's order."""
        if self.processes == 1:
            return batch
        rows = len(batch) // self.processes
        return batch[self.process * rows : (self.process + 1) * rows]


ALL = Share()


def order_of(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of pictures in an epoch: a permutation of 0..count-1, int32."""
    return np.random.default_rng((seed, epoch)).permutation(count).astype(np.int32)


def training_feed(
    directory: str, info: DatasetInfo, batch_size: int, seed: int, memory_bytes: int, share: Share = ALL
) -> Feed:
    """The training split in a new order every epoch, the last batch smaller where they don't divide."""
    if _fits(info, memory_bytes):
        return feed_from_memory(*load_split(directory, info, "train"), batch_size, seed, share)
    return _stream(directory, info, "train", batch_size, seed, share)


def validation_feed(
    directory: str, info: DatasetInfo, batch_size: int, memory_bytes: int, share: Share = ALL
) -> Feed | None:
    """The validation split in the artifact's order; None where there is none."""
    if not split_count(info, "validation"):
        return None
    if _fits(info, memory_bytes):
        return feed_from_memory(*load_split(directory, info, "validation"), batch_size, None, share)
    return _stream(directory, info, "validation", batch_size, None, share)


def feed_from_memory(
    images: np.ndarray, labels: np.ndarray, batch_size: int, seed: int | None, share: Share = ALL
) -> Feed:
    """Gathers batches out of arrays held in memory; in order where `seed` is None."""
    load_keras()
    import tensorflow as tf

    there = len(labels)
    count = share.whole(there)
    steps = math.ceil(count / batch_size)
    with tf.device("cpu:0"):
        images, labels = tf.constant(images), tf.constant(labels)
        order = tf.Variable(np.arange(there, dtype=np.int32), trainable=False)

    def gather(places: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        chosen = tf.gather(order, share.of(places))
        return tf.gather(images, chosen), tf.gather(labels, chosen)

    dataset = tf.data.Dataset.range(count).batch(batch_size).map(gather).prefetch(PREFETCHED_BATCHES)
    reorder = None if seed is None else _at_epoch_start(lambda epoch: order.assign(order_of(seed, epoch, there)))
    return Feed(dataset, steps, count, reorder)


def _fits(info: DatasetInfo, memory_bytes: int) -> bool:
    pictures = split_count(info, "train") + split_count(info, "validation")
    return pictures * int(np.prod(info.image_shape)) <= memory_bytes


def _stream(directory: str, info: DatasetInfo, split: Split, batch_size: int, seed: int | None, share: Share) -> Feed:
    """Reads the shards in a new order every epoch and shuffles block by block; in order where `seed` is None."""
    load_keras()
    import tensorflow as tf

    count = share.whole(split_count(info, split))
    names = shard_paths(directory, info, split)
    epoch_seed = tf.Variable(0, dtype=tf.int64, trainable=False)
    order = tf.Variable(np.arange(len(names)), dtype=tf.int32, trainable=False)
    features = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}

    def parse(records: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        parsed = tf.io.parse_example(share.of(records), features)
        images = tf.io.decode_raw(parsed["image"], tf.uint8, fixed_length=int(np.prod(info.image_shape)))
        return tf.reshape(images, [-1, *info.image_shape]), parsed["label"]

    def one_epoch(_: "tf.Tensor") -> "tf.data.Dataset":
        records = tf.data.TFRecordDataset(tf.gather(tf.constant(names), order))
        if seed is not None:
            blocks = records.batch(max(batch_size, SHUFFLE_BLOCK_BYTES // int(np.prod(info.image_shape)))).enumerate()
            records = blocks.map(shuffle).prefetch(1).unbatch()
        return records.take(count).batch(batch_size)

    def shuffle(number: "tf.Tensor", block: "tf.Tensor") -> "tf.Tensor":
        return tf.random.experimental.stateless_shuffle(block, seed=tf.stack([epoch_seed, number]))

    def reorder(epoch: int) -> None:
        epoch_seed.assign(np.random.default_rng((seed, epoch)).integers(2**62))
        order.assign(order_of(seed, epoch, len(names)))

    steps = math.ceil(count / batch_size)
    dataset = tf.data.Dataset.range(1).flat_map(one_epoch).map(parse, num_parallel_calls=2, deterministic=True)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(PREFETCHED_BATCHES)
    return Feed(dataset, steps, count, None if seed is None else _at_epoch_start(reorder))


def _at_epoch_start(reorder) -> "keras.callbacks.Callback":
    keras = load_keras()
    return keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: reorder(epoch))
