"""Writes the pictures of all splits into TFRecord shards."""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Iterator

import numpy as np

from components.core.artifacts.dataset import MAX_SHARDS, SPLITS, Shard, SplitInfo
from components.core.artifacts.tfrecord import RecordWriter, record
from components.core.pictures.decode import Target
from components.core.progress import Progress
from components.preprocess.chunks import Chunk, process
from components.preprocess.processes import Processes
from components.preprocess.report.tally import Tally
from components.preprocess.sources.source import TRAIN, Source

# Large enough for object stores, small enough for parallel readers.
SHARD_BYTES = 64 << 20
# What comes back from a process at once: few enough bytes to keep memory flat, enough pictures (20 ms of work) to hide
# the 0.5 ms of handing over.
CHUNK_BYTES = 4 << 20
CHUNK_PICTURES = 512


@dataclasses.dataclass(frozen=True)
class PlannedShard:
    """A shard to be written: its file, its split and the pictures of the source that go into it, in this order."""

    name: str
    split: int
    pictures: np.ndarray


def plan_shards(orders: list[np.ndarray], record_bytes: int) -> list[PlannedShard]:
    """Cuts each split into shards of about SHARD_BYTES, larger ones where there would be more than MAX_SHARDS in all.

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
    source: Source,
    orders: list[np.ndarray],
    target: Target,
    tally: Tally,
    processes: Processes,
) -> dict[str, SplitInfo]:
    """Decodes every picture and writes it to its shard; unreadable ones are left out and counted in `tally`.

    Raises:
        PipelineError: too many are unreadable, or a process died.
    """
    shards = plan_shards(orders, record_size(target))
    written: dict[int, list[Shard]] = {split: [] for split in range(len(orders))}
    chunks = (_chunk(source, target, shard.split, pictures) for shard in shards for pictures in _cut(shard, target))
    with (
        contextlib.closing(processes.map(process, chunks)) as outcomes,
        Progress("decode", total=len(source), unit="pictures") as progress,
    ):
        for shard in shards:
            with (directory / shard.name).open("wb") as file:
                writer = RecordWriter(file)
                for pictures in _cut(shard, target):
                    outcome = next(outcomes)
                    writer.append(outcome.records, int(np.count_nonzero(outcome.readable)))
                    tally.add(pictures, outcome)
                    progress.advance(len(pictures))
            written[shard.split].append(Shard(name=shard.name, count=writer.count, sha256=writer.digest.hexdigest()))
    return {
        SPLITS[split]: _split_info(source, order, tally, written[split])
        for split, order in enumerate(orders)
        if len(order)
    }


def record_size(target: Target) -> int:
    """Bytes of one picture in a shard, but for a byte or two of its label."""
    return len(record(bytes(math.prod(target.shape)), 0))


def _cut(shard: PlannedShard, target: Target) -> Iterator[np.ndarray]:
    step = max(1, min(CHUNK_PICTURES, CHUNK_BYTES // record_size(target)))
    for start in range(0, len(shard.pictures), step):
        yield shard.pictures[start : start + step]


def _chunk(source: Source, target: Target, split: int, pictures: np.ndarray) -> Chunk:
    return Chunk(
        path=source.path,
        shape=source.shape,
        target=target,
        offsets=source.offsets[pictures],
        sizes=source.sizes[pictures],
        labels=source.labels[pictures],
        measured=split == TRAIN,
    )


def _split_info(source: Source, order: np.ndarray, tally: Tally, shards: list[Shard]) -> SplitInfo:
    labels = source.labels[order[tally.readable[order]]]
    per_class = np.bincount(labels, minlength=len(source.class_names))
    return SplitInfo(count=len(labels), per_class=per_class.tolist(), shards=shards)
