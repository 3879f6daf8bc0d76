"""Writes the pictures of all splits into TFRecord shards."""

import math
import pathlib
from collections.abc import Sequence

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


def shard_counts(pictures: Sequence[int], record_bytes: int) -> list[int]:
    """How many shards each split gets: of about SHARD_BYTES, larger ones if there would be more than MAX_SHARDS in all.

    Args:
        pictures: of each split; one without any gets no shard.
    """
    size = max(SHARD_BYTES, sum(pictures) * record_bytes / (MAX_SHARDS - len(pictures)))
    return [min(math.ceil(count * record_bytes / size), count) for count in pictures]


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
    counts = shard_counts([len(order) for order in orders], record_size((height, width, channels)))
    step = max(1, BLOCK_BYTES // (height * width * channels))
    written: dict[str, SplitInfo] = {}
    with Progress("write", total=sum(map(len, orders)), unit="pictures") as progress:
        for split, (order, count) in enumerate(zip(orders, counts, strict=True)):
            shards = []
            for number, pictures in enumerate(np.array_split(order, count) if count else []):
                path = directory / f"{SPLITS[split]}-{number:05d}-of-{count:05d}.tfrecord"
                with path.open("wb") as file:
                    writer = RecordWriter(file)
                    for block in np.split(pictures, range(step, len(pictures), step)):
                        shown = pixels[block]
                        if split == TRAIN:
                            measured.add(shown)
                        rows = zip(shown, labels[block].tolist(), strict=True)
                        writer.append(b"".join(record(row.tobytes(), label) for row, label in rows), len(block))
                        progress.advance(len(block))
                shards.append(Shard(name=path.name, count=writer.count, sha256=writer.digest.hexdigest()))
            if shards:
                per_class = np.bincount(labels[order], minlength=classes).tolist()
                written[SPLITS[split]] = SplitInfo(count=len(order), per_class=per_class, shards=shards)
    return written


def record_size(shape: tuple[int, int, int]) -> int:
    """Bytes of one picture in a shard, but for a byte or two of its label."""
    return len(record(bytes(math.prod(shape)), 0))
