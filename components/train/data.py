"""Feeds the pictures to Keras: gathered by index from the mapped shards, in a new order every epoch.

The order of an epoch is a permutation of all pictures, and a function of the seed and the epoch's number alone, never
of what ran before: an epoch that is run again after a kill, or first after a resume, sees the same pictures in the same
order, on every backend and number of devices.
"""

import collections
import concurrent.futures
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core.framework import load_keras

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from components.core.artifacts.dataset_reading import MappedSplit

READ_AHEAD_BATCHES = 4
# TensorFlow asks Python for pictures at 1 ms a time, whatever it gets, so it gets several batches at once: this many
# bytes, from which on NumPy asks the system for large pages.
BLOCK_BYTES = 4 << 20
# Pictures that go to a GPU's memory take no more of this machine's than so many bytes on the way.
UPLOAD_BYTES = 256 << 20

Batch = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Feed:
    """Batches (uint8 pictures [n, height, width, channels], int64 labels [n]) for `keras.Model.fit`.

    Attributes:
        batches: an epoch of them, in the form that the backend takes; the last one is smaller if they don't divide.
        steps: batches an epoch.
        count: pictures an epoch.
        reorder: the callback that sets each epoch's order; a feed that keeps the artifact's order has none.
    """

    batches: "tf.data.Dataset | keras.utils.PyDataset"
    steps: int
    count: int
    reorder: "keras.callbacks.Callback | None" = None


def order_of(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of pictures in an epoch: a permutation of 0..count-1, int32."""
    return np.random.default_rng((seed, epoch)).permutation(count).astype(np.int32)


def make_feed(split: "MappedSplit", batch_size: int, seed: int | None = None, on_device: bool = False) -> Feed:
    """The split in a new order every epoch; without a seed in the artifact's order.

    Args:
        on_device: whether all pictures are laid into the device's memory first, as bytes, and gathered there; by JAX.
    """
    keras = load_keras()
    gather = _GatherOnDevice(split, batch_size) if on_device else _Gather(split, batch_size)
    reorder = None
    if seed is not None:
        reorder = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: gather.reorder(seed, epoch))
    batches = _for_tensorflow(gather) if keras.backend.backend() == "tensorflow" else _for_jax(gather)
    return Feed(batches, gather.steps, len(split), reorder)


class _Gather:
    """Takes runs of batches out of a split, in the order of the epoch."""

    def __init__(self, split: "MappedSplit", batch_size: int):
        self.split, self.batch_size = split, batch_size
        self.steps = math.ceil(len(split) / batch_size)
        self.order = np.arange(len(split), dtype=np.int32)
        self.pictures: Callable[[np.ndarray], Any] = split.pictures

    def reorder(self, seed: int, epoch: int) -> None:
        self.order = order_of(seed, epoch, len(self.split))

    def take(self, step: int, steps: int = 1) -> Batch:
        """The pictures and labels of `steps` batches."""
        places = self.order[step * self.batch_size : (step + steps) * self.batch_size]
        return self.pictures(places), self.split.labels[places]


class _GatherOnDevice(_Gather):
    """The same, but only the places of a batch's pictures go to the device, which has the pictures."""

    def __init__(self, split: "MappedSplit", batch_size: int):
        super().__init__(split, batch_size)
        import jax

        blocks = math.ceil(len(split) * math.prod(split.shape) / UPLOAD_BYTES)
        places = np.array_split(np.arange(len(split)), blocks)
        parts = [jax.device_put(split.pictures(each)).block_until_ready() for each in places]
        pictures, gather = jax.numpy.concatenate(parts), jax.jit(lambda pictures, places: pictures[places])
        self.pictures = lambda places: gather(pictures, places)


def _for_tensorflow(gather: _Gather) -> "tf.data.Dataset":
    import tensorflow as tf

    size, shape = gather.batch_size, gather.split.shape
    block = max(1, BLOCK_BYTES // (size * math.prod(shape)))
    whole = len(gather.split) // (block * size) * block  # so many batches come in whole blocks

    # AutoGraph would read and rewrite the code of each function that a data set calls: 0.17 s of a core a training.
    as_it_is = tf.autograph.experimental.do_not_convert

    def read(step: "tf.Tensor", steps: int) -> tuple["tf.Tensor", "tf.Tensor"]:
        images, labels = tf.numpy_function(
            lambda step: gather.take(int(step), steps), [step], [tf.uint8, tf.int64], stateful=False
        )
        return tf.ensure_shape(images, (None, *shape)), tf.ensure_shape(labels, (None,))

    def read_block(step: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        images, labels = read(step, block)
        return tf.reshape(images, (block, size, *shape)), tf.reshape(labels, (block, size))

    blocks = tf.data.Dataset.range(0, whole, block).map(as_it_is(read_block))
    blocks = blocks.prefetch(max(1, READ_AHEAD_BATCHES // block))
    batches = blocks.flat_map(as_it_is(lambda *block: tf.data.Dataset.from_tensor_slices(block)))
    rest = tf.data.Dataset.range(whole, gather.steps).map(as_it_is(lambda step: read(step, 1)))
    batches = batches.concatenate(rest)
    batches = batches.apply(tf.data.experimental.assert_cardinality(gather.steps))
    # What a graph so simple has no use for; a third of the processor time a picture of 32 x 32.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.threading.private_threadpool_size = 1
    return batches.with_options(options)


def _for_jax(gather: _Gather) -> "keras.utils.PyDataset":
    keras = load_keras()
    base: Any = keras.utils.PyDataset

    class Batches(base):
        """Keras asks for the batches of an epoch one after another."""

        ahead: Any = None  # a generator of an epoch's batches

        def __len__(self) -> int:
            return gather.steps

        def __getitem__(self, step: int) -> Batch:
            if step == 0:
                self.close()
                self.ahead = read_ahead(gather.take(each) for each in range(gather.steps))
            return next(self.ahead)

        def close(self) -> None:
            if self.ahead:
                self.ahead.close()

        on_epoch_end = close

    return Batches()


def read_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, taken by a thread that is READ_AHEAD_BATCHES ahead; an error in it is raised here. Closing the
    iterator ends the thread."""
    with concurrent.futures.ThreadPoolExecutor(1, "read-ahead") as thread:
        taken = collections.deque(thread.submit(next, batches, None) for _ in range(READ_AHEAD_BATCHES))
        while (batch := taken.popleft().result()) is not None:
            taken.append(thread.submit(next, batches, None))
            yield batch
