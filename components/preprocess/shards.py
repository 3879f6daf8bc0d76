"""Writes the pictures of all splits into TFRecord shards."""

import dataclasses
import math
import pathlib
from collections.abc import Iterator

import numpy as np

from components.core.artifacts.dataset import MAX_SHARDS, SPLITS, Shard, SplitInfo
from components.core.artifacts.tfrecord import RecordWriter, record
from components.core.progress import Progress
from components.preprocess.channels import Channels
from components.preprocess.decoding import Pixels
from components.preprocess.sources.source import TRAIN

# Large enough for object stores, small enough for parallel readers.
SHARD_BYTES = 64 << 20
BLOCK_BYTES = 4 << 20  # of pictures gathered at once


@dataclasses.dataclass(frozen=True)
class PlannedShard:
    """A shard to be written: its file, its split and the pictures of the source that go into it, in this order."""

    name: str
    split: int
    pictures: np.ndarray


def plan_shards(orders: list[np.ndarray], record_bytes: int) -> list[PlannedShard]:
    """Cuts each split into shards of about SHARD_BYTES, larger ones if there would be more than MAX_SHARDS in all.

    Args:
        orders: for each of SPLITS its pictures, in the order they are to be written; an empty one gets no
            shard.
    """
    total = sum(len(order) for order in orders) * record_bytes
    size = max(SHARD_BYTES, total / (MAX_SHARDS - len(orders)))
    shards = []
    for split, order in enumerate(orders):
        count = min(math.ceil(len(order) * record_bytes / size), len(order))
        shards += [
            PlannedShard(f"{SPLITS[split]}-{number:05d}-of-{count:05d}.tfrecord", split, pictures)
            for number, pictures in enumerate(np.array_split(order, count) if count else [])
        ]
    return shards


def write_shards(
    directory: pathlib.Path,
    pixels: Pixels,
    labels: np.ndarray,
    orders: list[np.ndarray],
    classes: int,
    measured: Channels,
) -> dict[str, SplitInfo]:
    """Writes every split's pictures in their order, and measures those of the training split.

    Args:
        labels: int32 [n].
        orders: for each of SPLITS its pictures, indices into those.
        classes: how many there are.

    Returns:
        The splits that have pictures.
    """
    height, width, channels = pixels.shape[1:]
    shards = plan_shards(orders, record_size((height, width, channels)))
    written: dict[int, list[Shard]] = {split: [] for split in range(len(orders))}
    with Progress("write", total=sum(map(len, orders)), unit="pictures") as progress:
        for shard in shards:
            with (directory / shard.name).open("wb") as file:
                writer = RecordWriter(file)
                for block in _blocks(shard.pictures, math.prod(pixels.shape[1:])):
                    pictures = pixels[block]
                    if shard.split == TRAIN:
                        measured.add(pictures)
                    rows = zip(pictures, labels[block].tolist(), strict=True)
                    writer.append(b"".join(record(row.tobytes(), label) for row, label in rows), len(block))
                    progress.advance(len(block))
            written[shard.split].append(Shard(name=shard.name, count=writer.count, sha256=writer.digest.hexdigest()))
    return {
        SPLITS[split]: SplitInfo(
            count=len(order),
            per_class=np.bincount(labels[order], minlength=classes).tolist(),
            shards=written[split],
        )
        for split, order in enumerate(orders)
        if len(order)
    }


def record_size(shape: tuple[int, int, int]) -> int:
    """Bytes of one picture in a shard, but for a byte or two of its label."""
    return len(record(bytes(math.prod(shape)), 0))


def _blocks(pictures: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Cuts indices of pictures into parts of BLOCK_BYTES, if each has `size` bytes."""
    step = max(1, BLOCK_BYTES // size)
    for start in range(0, len(pictures), step):
        yield pictures[start : start + step]
