"""Reads the four gzipped IDX files of MNIST, or of any data set laid out like it: grey pictures, one byte a pixel.

http://yann.lecun.com/exdb/mnist: a magic number, the sizes of the dimensions, all big-endian int32, then the bytes.
"""

import gzip
import pathlib
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from components.core.errors import PipelineError
from components.core.pictures.packed import Readable, damage_named
from components.core.progress import Progress
from components.preprocess.sources.source import TEST, TRAIN, Source, pixel_source

FILES = {
    TRAIN: ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    TEST: ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
BYTES_AT_ONCE = 4 << 20
# Beyond these a header is taken as damaged, before memory is asked for.
MAX_COUNT, MAX_SIDE = 100_000_000, 4096


def read_idx(directory: pathlib.Path, scratch: pathlib.Path, class_names: Sequence[str]) -> Source:
    """The training pictures, then the test pictures, in the files' order.

    Raises:
        PipelineError: a file is damaged, cut off or too long, or pictures and labels don't fit.
    """
    pixels = scratch / "pixels"
    labels, files, shapes = [], [], []
    with pixels.open("wb") as out, Progress("read", total=None, unit="pictures") as progress:
        for images_name, labels_name in FILES.values():
            labels.append(_read_labels(directory / labels_name))
            shapes.append(_copy_pictures(directory / images_name, len(labels[-1]), out, progress))
            files.append((images_name, len(labels[-1])))
    if shapes[0] != shapes[1]:
        raise PipelineError(f"expected pictures of one size, received {shapes[0]} to train and {shapes[1]} to test")
    given = np.repeat(np.array(list(FILES), np.int8), [len(part) for part in labels])
    return pixel_source(class_names, np.concatenate(labels), given, pixels, shapes[0], files)


def _read_labels(path: pathlib.Path) -> np.ndarray:
    with damage_named(path), gzip.open(path) as file:
        (count,) = _header(file, LABELS_MAGIC, 1, path.name)
        labels = _exactly(file, count, path.name)
        _ended(file, path.name)
    return np.frombuffer(labels, np.uint8).astype(np.int32)


def _copy_pictures(path: pathlib.Path, labels: int, out: BinaryIO, progress: Progress) -> tuple[int, int, int]:
    with damage_named(path), gzip.open(path) as file:
        count, height, width = _header(file, IMAGES_MAGIC, 3, path.name)
        if count != labels:
            raise PipelineError(
                f"expected a label for each of the {count:,} pictures in {path.name}, received {labels:,} labels; "
                "fetch both again"
            )
        at_once = max(1, BYTES_AT_ONCE // (height * width))
        for start in range(0, count, at_once):
            block = min(at_once, count - start)
            out.write(_exactly(file, block * height * width, path.name))
            progress.advance(block)
        _ended(file, path.name)
    return height, width, 1


def _header(file: Readable, magic: int, dimensions: int, name: str) -> tuple[int, ...]:
    found, *sizes = (int(number) for number in np.frombuffer(_exactly(file, 4 + 4 * dimensions, name), ">u4"))
    if found != magic or not 0 < sizes[0] <= MAX_COUNT or not all(0 < side <= MAX_SIDE for side in sizes[1:]):
        shape = "x".join(str(size) for size in sizes)
        raise PipelineError(
            f"expected an IDX file of magic number {magic} and plausible size in {name}, received {found} and {shape}"
        )
    return tuple(sizes)


def _exactly(file: Readable, size: int, name: str) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise PipelineError(f"expected {size:,} more bytes in {name}, received {len(data):,}; fetch it again")
    return data


def _ended(file: Readable, name: str) -> None:
    if file.read(1):
        raise PipelineError(f"expected {name} to end after its last entry, received more bytes; fetch it again")
