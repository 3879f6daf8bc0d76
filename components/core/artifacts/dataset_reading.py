"""Reads the dataset artifact as NumPy arrays, without TensorFlow: picture by picture, or in the artifact's order.

The records of a data set have one length (tfrecord.py), so a picture's place in its shard is known without looking for
it. Whoever reads a shard to its end compares its SHA-256 with dataset.json.
"""

import bisect
import concurrent.futures
import dataclasses
import hashlib
import mmap
import pathlib
from collections.abc import Iterator

import numpy as np

from components.core.artifacts import tfrecord
from components.core.artifacts.dataset import DatasetInfo, Shard, Split
from components.core.errors import PipelineError
from components.core.machine import at_once, usable_cores

CHUNK_BYTES = 4 << 20
ALIGNMENT = 64


class MappedSplit:
    """The pictures of a split, each to be had by its place in the artifact's order.

    The shards are mapped into memory: what is read lies in the system's page cache, which gives way where memory is
    short, so that a split larger than memory needs no more of it than a small one. Only the labels are held.

    Opening it reads all shards once from front to back, and compares their SHA-256 with dataset.json.

    Args:
        cached: whether the split fits into the page cache. If not, a picture comes from the disk each time: then all
            that are wanted are asked for before the first is waited for (5,200 pictures/s become 25,000, cold, of
            64x64), and without their neighbours.

    Attributes:
        labels: int64 [n].

    Raises:
        PipelineError: a shard is not what dataset.json says.
    """

    def __init__(self, directory: str | pathlib.Path, info: DatasetInfo, split: Split, cached: bool = True):
        self.shape, self.cached = info.image_shape, cached
        layout = self.layout = _layout(info)
        shards = [(path, shard) for path, shard in _shards(directory, info, split) if shard.count]
        with concurrent.futures.ThreadPoolExecutor(usable_cores()) as threads:  # SHA-256 leaves Python's lock alone
            labels = list(threads.map(lambda each: _labels(each[0], each[1], layout), shards))
        self.labels = np.concatenate([np.empty(0, np.int64), *labels])
        self.starts = np.cumsum([0, *(shard.count for _, shard in shards)]).tolist()
        self.maps = [_mapped(path) for path, _ in shards]
        self.pixels = np.dtype((np.void, layout.pixels))
        self.parts = [
            np.ndarray((shard.count,), self.pixels, mapped, layout.pixels_at, (layout.record,))
            for mapped, (_, shard) in zip(self.maps, shards, strict=True)
        ]
        if not cached:
            for mapped in self.maps:
                mapped.madvise(mmap.MADV_RANDOM)

    def __len__(self) -> int:
        return len(self.labels)

    def pictures(self, places: np.ndarray) -> np.ndarray:
        """uint8 [len(places), height, width, channels], in the order of `places`."""
        found = _aligned(len(places), self.pixels)
        where = [self._where(place) for place in places.tolist()]
        if not self.cached:
            self._ask_for(where)
        for row, (part, number) in enumerate(where):
            found[row] = self.parts[part][number]
        return found.view(np.uint8).reshape(-1, *self.shape)

    def _where(self, place: int) -> tuple[int, int]:
        """The shard of a picture, and its number in it."""
        part = bisect.bisect_right(self.starts, place) - 1
        return part, place - self.starts[part]

    def _ask_for(self, where: list[tuple[int, int]]) -> None:
        """Has the disk read these pictures; waits for none."""
        for part, number in where:
            start = number * self.layout.record
            page = start - start % mmap.PAGESIZE
            self.maps[part].madvise(mmap.MADV_WILLNEED, page, start + self.layout.record - page)


def batches(
    directory: str | pathlib.Path, info: DatasetInfo, split: Split, batch_size: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The split in the artifact's order as (uint8 pictures [n, height, width, channels], int64 labels [n]); n is
    `batch_size` but for the last. Memory stays constant however big the split.

    Args:
        batch_size: 0: as many as a model is asked at once.

    Raises:
        PipelineError: at the end of a shard that is not what dataset.json says.
    """
    layout = _layout(info)
    batch_size = batch_size or at_once(info.image_shape)
    parts: list[np.ndarray] = []
    for path, shard in _shards(directory, info, split):
        for records in _records(path, shard, layout):
            parts.append(records)
            if sum(map(len, parts)) < batch_size:
                continue
            joined = np.concatenate(parts)
            whole = len(joined) // batch_size * batch_size
            for batch in np.split(joined[:whole], whole // batch_size):
                yield layout.pictures(batch, info.image_shape), layout.labels(batch)
            parts = [joined[whole:]]
    left = np.concatenate([np.empty((0, layout.record), np.uint8), *parts])
    if len(left):
        yield layout.pictures(left, info.image_shape), layout.labels(left)


def split_count(info: DatasetInfo, split: Split) -> int:
    """The number of pictures in a split; 0 if the dataset has no such split."""
    return info.splits[split].count if split in info.splits else 0


@dataclasses.dataclass(frozen=True)
class _Layout:
    """A record, in bytes.

    Attributes:
        record: its length, the frame around it included.
        pixels: the length of the pixels in it.
        pixels_at: where they begin.
        label_at: where the label's LABEL_BYTES begin.
    """

    record: int
    pixels: int
    pixels_at: int
    label_at: int

    def pictures(self, records: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        return records[:, self.pixels_at : self.pixels_at + self.pixels].reshape(-1, *shape)

    def labels(self, records: np.ndarray) -> np.ndarray:
        """A label is a number of seven bits a byte, the lowest first."""
        parts = records[:, self.label_at : self.label_at + tfrecord.LABEL_BYTES].astype(np.int64) & 0x7F
        return parts @ (1 << 7 * np.arange(tfrecord.LABEL_BYTES))


def _layout(info: DatasetInfo) -> _Layout:
    image = b"\xff" * int(np.prod(info.image_shape))
    record = tfrecord.record(image, 0)
    label_at = len(record) - tfrecord.FRAME_END - tfrecord.LABEL_BYTES  # labels end the record
    return _Layout(len(record), len(image), record.index(image, tfrecord.FRAME), label_at)


def _shards(directory: str | pathlib.Path, info: DatasetInfo, split: Split) -> list[tuple[pathlib.Path, Shard]]:
    shards = info.splits[split].shards if split in info.splits else []
    return [(pathlib.Path(directory) / shard.name, shard) for shard in shards]


def _labels(path: pathlib.Path, shard: Shard, layout: _Layout) -> np.ndarray:
    return np.concatenate([layout.labels(records) for records in _records(path, shard, layout)])


def _records(path: pathlib.Path, shard: Shard, layout: _Layout) -> Iterator[np.ndarray]:
    """Reads a shard as uint8 [n, record], a few MB at a time.

    Raises:
        PipelineError: at its end, if it is not what dataset.json says.
    """
    digest, count = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while data := file.read(max(1, CHUNK_BYTES // layout.record) * layout.record):
            digest.update(data)
            whole = len(data) // layout.record
            count += whole
            if len(data) % layout.record or count > shard.count:
                break
            yield np.frombuffer(data, np.uint8).reshape(whole, layout.record)
        while data := file.read(CHUNK_BYTES):
            digest.update(data)
    if count != shard.count or digest.hexdigest() != shard.sha256:
        raise PipelineError(
            f"expected {path} with {shard.count} records and sha256 {shard.sha256}, received sha256 "
            f"{digest.hexdigest()}; run preprocess again (CACHE=0)"
        )


def _aligned(count: int, dtype: np.dtype) -> np.ndarray:
    """An empty array that begins where TensorFlow and JAX take it as it is; they copy others."""
    size = count * dtype.itemsize
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype)


def _mapped(path: pathlib.Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
