"""Reads the four gzipped IDX files of MNIST, or of any data set laid out like it: grey pictures, one byte a pixel.

http://yann.lecun.com/exdb/mnist: a magic number, the sizes of the dimensions, all big-endian int32, then the bytes.
"""

import gzip
import io
import math
import pathlib
import shutil
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from components.core.errors import PipelineError
from components.core.pictures.packed import Unpacked, damage_named
from components.preprocess.sources.source import TEST, TRAIN, Source, pixel_source

FILES = {
    TRAIN: ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    TEST: ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
BYTES = 0x800  # of a magic number: entries are unsigned bytes


def read_idx(directory: pathlib.Path, scratch: pathlib.Path, class_names: Sequence[str]) -> Source:
    """The training pictures, then the test pictures, in the files' order.

    Raises:
        PipelineError: a file is damaged, cut off or too long, or pictures and labels don't fit.
    """
    pixels = scratch / "pixels"
    labels, files, shapes = [], [], []
    with pixels.open("wb") as out:
        for images_name, labels_name in FILES.values():
            numbers = io.BytesIO()
            (labelled,) = _copy_entries(directory / labels_name, 1, numbers)
            count, height, width = _copy_entries(directory / images_name, 3, out)
            if count != labelled:
                raise PipelineError(
                    f"expected a label for each of the {count:,} pictures in {images_name}, received {labelled:,} "
                    "labels; fetch both again"
                )
            labels.append(np.frombuffer(numbers.getvalue(), np.uint8).astype(np.int32))
            shapes.append((height, width, 1))
            files.append((images_name, count))
    if shapes[0] != shapes[1]:
        raise PipelineError(f"expected pictures of one size, received {shapes[0]} to train and {shapes[1]} to test")
    given = np.repeat(np.array(list(FILES), np.int8), [len(part) for part in labels])
    return pixel_source(class_names, np.concatenate(labels), given, pixels, shapes[0], files)


def _copy_entries(path: pathlib.Path, dimensions: int, out: BinaryIO) -> list[int]:
    """Appends a file's entries to `out`; returns how many there are along each dimension."""
    start = out.tell()
    with damage_named(path), gzip.open(path) as file:
        unpacked = Unpacked(path, file)
        magic, *sizes = np.frombuffer(unpacked.read(4 + 4 * dimensions), ">u4", 1 + dimensions).tolist()
        shutil.copyfileobj(unpacked, out)
    received = out.tell() - start
    if magic != BYTES + dimensions or not received or received != math.prod(sizes):
        raise PipelineError(
            f"expected an IDX file of magic number {BYTES + dimensions} in {path.name} and as many bytes as it says, "
            f"received {magic} and {received:,} bytes for {'x'.join(map(str, sizes))}; fetch it again"
        )
    return sizes
