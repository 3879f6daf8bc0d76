"""Reads the dataset artifact: whole splits or batches as NumPy arrays, without TensorFlow.

A record is laid out as tfrecord.py writes it, so its pixels lie at a fixed place in it and are sliced out without a
protobuf parser: 40,000 CIFAR-10 pictures take half a second, checksums included. Every shard's SHA-256 is compared with
dataset.json while it is read.
"""

import hashlib
import pathlib
import struct
from collections.abc import Iterator

import numpy as np

from components.core.artifacts import tfrecord
from components.core.artifacts.dataset import DatasetInfo, Shard, Split
from components.core.errors import PipelineError

CHUNK_BYTES = 16 << 20
LENGTH = struct.Struct("<Q")
FRAME, FRAME_END = (
    12,
    4,
)  # the record's length (8 bytes) and that length's checksum in front, the record's checksum behind


def load_split(directory: str | pathlib.Path, info: DatasetInfo, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """A whole split: uint8 pictures [n, height, width, channels] and int64 labels [n], in the artifact's order.

    Raises:
        PipelineError: a shard is not what dataset.json says.
    """
    count = split_count(info, split)
    images = np.empty((count, *info.image_shape), np.uint8)
    labels = np.empty(count, np.int64)
    start = 0
    for chunk_images, chunk_labels in _chunks(directory, info, split):
        images[start : start + len(chunk_labels)] = chunk_images
        labels[start : start + len(chunk_labels)] = chunk_labels
        start += len(chunk_labels)
    return images, labels


def batches(
    directory: str | pathlib.Path, info: DatasetInfo, split: Split, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The split in the artifact's order as (uint8 pictures [n, height, width, channels], int64 labels [n]); n is
    `batch_size` but for the last. Memory stays constant however big the split."""
    images = np.empty((0, *info.image_shape), np.uint8)
    labels = np.empty(0, np.int64)
    for chunk_images, chunk_labels in _chunks(directory, info, split):
        images, labels = np.concatenate([images, chunk_images]), np.concatenate([labels, chunk_labels])
        whole = len(labels) // batch_size * batch_size
        for start in range(0, whole, batch_size):
            yield images[start : start + batch_size], labels[start : start + batch_size]
        images, labels = images[whole:], labels[whole:]
    if len(labels):
        yield images, labels


def split_count(info: DatasetInfo, split: Split) -> int:
    """The number of pictures in a split; 0 where the dataset has no such split."""
    return info.splits[split].count if split in info.splits else 0


def shard_paths(directory: str | pathlib.Path, info: DatasetInfo, split: Split) -> list[str]:
    """The shard files of a split, in order."""
    return [
        str(pathlib.Path(directory) / shard.name)
        for shard in (info.splits[split].shards if split in info.splits else [])
    ]


def _chunks(directory: str | pathlib.Path, info: DatasetInfo, split: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for shard in info.splits[split].shards if split in info.splits else []:
        yield from _read_shard(pathlib.Path(directory) / shard.name, shard, info)


def _read_shard(path: pathlib.Path, shard: Shard, info: DatasetInfo) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    digest = hashlib.sha256()
    count = 0
    left = b""
    with path.open("rb") as file:
        while read := file.read(CHUNK_BYTES):
            digest.update(read)
            images, labels, used = _parse(left + read, info)
            left = (left + read)[used:]
            count += len(labels)
            if count > shard.count:
                break
            yield images, labels
    if left or count != shard.count or digest.hexdigest() != shard.sha256:
        raise PipelineError(
            f"expected {path} with {shard.count} records and sha256 {shard.sha256}, received {count} whole records and "
            f"sha256 {digest.hexdigest()}; run preprocess again"
        )


def _parse(data: bytes, info: DatasetInfo) -> tuple[np.ndarray, np.ndarray, int]:
    """The whole records at the head of `data`: pictures, labels, and the number of bytes they took."""
    layouts = _layouts(info)
    size = int(np.prod(info.image_shape))
    most = len(data) // (FRAME + min(layouts) + FRAME_END)
    pixels = np.frombuffer(data, np.uint8)
    images = np.empty((most, size), np.uint8)
    labels = np.empty(most, np.int64)
    position = count = 0
    while position + FRAME <= len(data):
        (length,) = LENGTH.unpack_from(data, position)
        record = position + FRAME
        end = record + length
        if length not in layouts or end + FRAME_END > len(data):
            break
        image_at, label_bytes = layouts[length]
        images[count] = pixels[record + image_at : record + image_at + size]
        labels[count] = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(data[end - label_bytes : end]))
        count += 1
        position = end + FRAME_END
    return images[:count].reshape(count, *info.image_shape), labels[:count], position


def _layouts(info: DatasetInfo) -> dict[int, tuple[int, int]]:
    """Where the pixels begin and how many bytes the label takes, by the record's length; labels end the record.

    The length tells which: a label below 128 is one byte, below 16,384 two, and so on.
    """
    image = b"\xff" * int(np.prod(info.image_shape))
    layouts = {}
    for label_bytes in (1, 2, 3):
        record = tfrecord.example(image, 1 << 7 * (label_bytes - 1))
        layouts[len(record)] = (record.index(image), label_bytes)
    return layouts
