"""Decodes every picture once, in the source's order, into one file of pixels that any later stage reads by index."""

import contextlib
import errno
import math
import os
import pathlib

import numpy as np

from components.core.pictures.decode import Target
from components.core.progress import Progress
from components.preprocess.chunks import Chunk, process
from components.preprocess.processes import Processes
from components.preprocess.report.tally import Tally
from components.preprocess.sources.source import Source

# What comes back from a process at once: few enough bytes to keep memory flat, enough pictures (20 ms of work) to hide
# the 0.5 ms of handing over.
CHUNK_BYTES = 4 << 20
CHUNK_PICTURES = 512


class Pixels:
    """Decoded pictures in a file, by their place in the source.

    Attributes:
        shape: of them all: their number, height, width, channels.
    """

    def __init__(self, path: pathlib.Path, shape: tuple[int, ...]):
        self.path, self.shape = path, shape

    def __getitem__(self, pictures: np.ndarray) -> np.ndarray:
        """uint8 pixels of pictures by index, [k, height, width, channels]; zeros for one that could not be read.

        Read and not mapped: the pages around a mapped picture count as this process's memory too.
        """
        rows = np.empty((len(pictures), *self.shape[1:]), np.uint8)
        size = rows[:1].nbytes
        with self.path.open("rb", buffering=0) as file:
            for row, picture in zip(rows, pictures.tolist(), strict=True):
                if os.preadv(file.fileno(), [row], picture * size) != size:
                    raise OSError(errno.EIO, f"{size:,} bytes expected of picture {picture:,}, fewer read")
        return rows


def decode_all(source: Source, target: Target, tally: Tally, processes: Processes, path: pathlib.Path) -> Pixels:
    """Decodes all pictures into the file at `path`, and counts in `tally` what became of each.

    Raises:
        PipelineError: too many are unreadable, or a process died.
    """
    step = max(1, min(CHUNK_PICTURES, CHUNK_BYTES // math.prod(target.shape)))
    places = [slice(first, first + step) for first in range(0, len(source), step)]
    chunks = (Chunk(source.payloads, source.shape, target, source.offsets[at], source.sizes[at]) for at in places)
    with (
        contextlib.closing(processes.map(process, chunks)) as outcomes,
        Progress("decode", total=len(source), unit="pictures") as progress,
        path.open("wb") as file,
    ):
        for at, outcome in zip(places, outcomes, strict=True):
            file.write(outcome.pixels)
            tally.add(np.arange(at.start, at.start + len(outcome.readable)), outcome)
            progress.advance(len(outcome.readable))
    return Pixels(path, (len(source), *target.shape))
