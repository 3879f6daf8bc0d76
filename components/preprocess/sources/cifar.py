"""Reads the official binary archives of CIFAR-10 and CIFAR-100, or any laid out like them.

https://www.cs.toronto.edu/~kriz/cifar.html: records of one label byte (CIFAR-100: two, coarse and fine), then 1,024
red, 1,024 green and 1,024 blue bytes, row by row.
"""

import dataclasses
import pathlib
import re
from typing import BinaryIO

import numpy as np

from components.core.errors import PipelineError
from components.core.pictures.archives import iter_members
from components.core.pictures.packed import Readable
from components.core.progress import Progress
from components.preprocess.sources.source import TEST, TRAIN, Source, pixel_source

BATCH = re.compile(r"data_batch_([0-9]{1,4})\.bin")
# Files of one picture set: their split, and the bytes in front of the pixels, of which the last is the label.
FILES = {"test_batch.bin": (TEST, 1), "train.bin": (TRAIN, 2), "test.bin": (TEST, 2)}
NAMES = {"batches.meta.txt": 1, "fine_label_names.txt": 2}
PIXELS, SIDE = 3072, 32
RECORDS_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class _Part:
    split: int
    number: int
    file: str
    label_bytes: int
    first: int
    labels: np.ndarray


def read_cifar(path: pathlib.Path, scratch: pathlib.Path) -> Source:
    """Pictures in the order of the batches' numbers, wherever those lie in the archive: what Keras's loader gives.

    Classes that the archive does not name are called by their labels.

    Raises:
        PipelineError: as iter_members does, a file is missing or cut off, or labels and class names don't fit.
    """
    pixels = scratch / "pixels"
    named: dict[int, list[str]] = {}
    parts: list[_Part] = []
    first = 0
    with pixels.open("wb") as out, Progress("read", total=None, unit="pictures") as progress:
        for name, size, file in iter_members(path):
            base = name.rpartition("/")[2]
            batch = BATCH.fullmatch(base)
            if base in NAMES:
                named[NAMES[base]] = file.read().decode("ascii", "replace").split()
            elif batch or base in FILES:
                split, label_bytes = (TRAIN, 1) if batch else FILES[base]
                labels = _copy_records(file, size, label_bytes, name, out, progress)
                parts.append(_Part(split, int(batch[1]) if batch else 0, base, label_bytes, first, labels))
                first += len(labels)
    parts.sort(key=lambda part: (part.split, part.number))
    kinds = {part.label_bytes for part in parts}
    if {part.split for part in parts} != {TRAIN, TEST} or len(kinds) != 1:
        raise PipelineError(
            "expected CIFAR's binary files (data_batch_1.bin, ... and test_batch.bin, or train.bin and test.bin) in "
            f"{path.name}, received {', '.join(part.file for part in parts) or 'none of them'}; give the "
            "official binary archive"
        )
    return pixel_source(
        named.get(kinds.pop(), []),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([np.full(len(part.labels), part.split, np.int8) for part in parts]),
        pixels,
        (SIDE, SIDE, 3),
        [(part.file, len(part.labels)) for part in parts],
        np.concatenate([part.first + np.arange(len(part.labels)) for part in parts]),
    )


def _copy_records(
    file: Readable, size: int, label_bytes: int, name: str, out: BinaryIO, progress: Progress
) -> np.ndarray:
    """Appends the pixels to `out`, planes turned into height x width x channels; returns the labels."""
    record = label_bytes + PIXELS
    if not size or size % record:
        raise PipelineError(f"expected whole records of {record:,} bytes in {name}, received {size:,} bytes in all")
    labels = []
    for start in range(0, size, record * RECORDS_AT_ONCE):
        block = np.frombuffer(file.read(min(record * RECORDS_AT_ONCE, size - start)), np.uint8).reshape(-1, record)
        labels.append(block[:, label_bytes - 1].astype(np.int32))
        planes = block[:, label_bytes:].reshape(-1, 3, SIDE, SIDE)
        out.write(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)).data)
        progress.advance(len(block))
    return np.concatenate(labels)
