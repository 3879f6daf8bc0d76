"""Where the bytes of a source's pictures lie, and how they are read: from one file, or from the objects of a store.

Either can be handed to another process, which then reads for itself: `read` yields the first `sizes` bytes of the
pictures at `offsets`, and raises OSError for a file that can't be read, PipelineError if a store does not deliver what
was listed. `discard` frees the space of copies once all are read.
"""

import concurrent.futures
import contextlib
import dataclasses
import errno
import functools
import itertools
import os
import pathlib
from collections.abc import Generator, Sequence

import numpy as np

from components.core.artifacts.raw import listed_at
from components.core.errors import PipelineError
from components.core.storage import NotFound, PreconditionFailed, Store, Stored, open_store
from components.core.storage.parallel import in_order

# Bits of an offset within one of several sources: files of up to 280 TB.
PART_BITS = 48


@dataclasses.dataclass(frozen=True)
class InFile:
    """Pictures end to end in one file."""

    path: pathlib.Path

    def read(self, offsets: Sequence[int], sizes: Sequence[int]) -> Generator[bytes, None, None]:
        with self.path.open("rb", buffering=0) as file:
            for offset, size in zip(offsets, sizes, strict=True):
                payload = os.pread(file.fileno(), size, offset)
                if len(payload) != size:
                    raise OSError(errno.EIO, f"{size:,} bytes expected at {offset:,}, {len(payload):,} read")
                yield payload

    def discard(self) -> None:
        self.path.unlink()


@dataclasses.dataclass(frozen=True)
class InStore:
    """Pictures that are objects below `uri`, as the listing at `path` has them; an offset is that of an object's line.

    A request takes a round trip, so that each process has many under way: as many as the store's limits say.
    """

    path: pathlib.Path
    uri: str

    def read(self, offsets: Sequence[int], sizes: Sequence[int]) -> Generator[bytes, None, None]:
        store = _opened(self.uri)
        pool = concurrent.futures.ThreadPoolExecutor(store.limits.workers)
        wanted = zip(listed_at(self.path, offsets), sizes, strict=True)
        reads = ((size, functools.partial(_fetch, store, listed, size)) for listed, size in wanted)
        try:
            yield from (read.result() for read in in_order(reads, pool))
        finally:
            pool.shutdown(cancel_futures=True)

    def discard(self) -> None:
        """Nothing was copied."""


@dataclasses.dataclass(frozen=True)
class Several:
    """Pictures of several sources. An offset says in its upper bits in which."""

    parts: tuple["Payloads", ...]

    @staticmethod
    def offsets(part: int, offsets: np.ndarray) -> np.ndarray:
        """The offsets of a part's pictures among all: int64 [n]."""
        return offsets + (part << PART_BITS)

    def read(self, offsets: Sequence[int], sizes: Sequence[int]) -> Generator[bytes, None, None]:
        pieces = zip(offsets, sizes, strict=True)
        for part, pictures in itertools.groupby(pieces, lambda picture: picture[0] >> PART_BITS):
            at, of = zip(*pictures, strict=True)
            places = [offset % (1 << PART_BITS) for offset in at]
            with contextlib.closing(self.parts[part].read(places, of)) as payloads:
                yield from payloads

    def discard(self) -> None:
        for part in self.parts:
            part.discard()


Payloads = InFile | InStore | Several


@functools.cache
def _opened(uri: str) -> Store:
    """One client a process: to make one takes 0.2 s."""
    return open_store(uri)


def _fetch(store: Store, listed: Stored, size: int) -> bytes:
    try:
        return store.get(listed, 0, size)[0] if size < listed.size else store.read_as_listed(listed)
    except (NotFound, PreconditionFailed) as gone:
        received = "none" if isinstance(gone, NotFound) else "another one"
        raise PipelineError(
            f"expected {store.uri(listed.key)!a} as it was when download listed it, received {received}: the source "
            "has changed since; start a new run, which lists it again"
        ) from None
