"""A chunk of pictures: the unit of work that is handed to a process, and what comes back."""

import collections
import contextlib
import dataclasses

import numpy as np

from components.core.pictures.decode import MAX_BYTES, Decoded, Target, bring_to, open_picture, reason_of
from components.preprocess.identity import identity
from components.preprocess.sources.payloads import Payloads


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Pictures to decode: `sizes` bytes at `offsets` of the payloads; encoded, or pixels of `shape`."""

    payloads: Payloads
    shape: tuple[int, int, int] | None
    target: Target
    offsets: np.ndarray
    sizes: np.ndarray


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a chunk's n pictures, of which k could be read.

    Attributes:
        pixels: of all n in the target's shape, end to end; zeros for one that could not be read.
        readable: bool [n].
        hashes: uint64 [k] (identity.py).
        heights, widths: int32 [k], as in the source.
        failures: (place in the chunk, reason) of the others.
        changes: what was done to pictures, and to how many.
    """

    pixels: bytes
    readable: np.ndarray
    hashes: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    failures: list[tuple[int, str]]
    changes: collections.Counter[str]


def process(chunk: Chunk) -> Outcome:
    """Decodes a chunk. Touches nothing but what it reads.

    Raises:
        OSError, PipelineError: the pictures can't be read, whatever is in them.
    """
    pixels, hashes, decoded, failures = [], [], [], []
    readable = np.ones(len(chunk.offsets), bool)
    nothing = bytes(int(np.prod(chunk.target.shape)))
    taken = np.where(chunk.sizes <= MAX_BYTES, chunk.sizes, 1)
    with contextlib.closing(chunk.payloads.read(chunk.offsets.tolist(), taken.tolist())) as payloads:
        for place, payload in enumerate(payloads):
            read = _decoded(payload, int(chunk.sizes[place]), chunk)
            if isinstance(read, str):
                readable[place] = False
                failures.append((place, read))
                pixels.append(nothing)
            else:
                picture, picture_hash = read
                decoded.append(picture)
                hashes.append(picture_hash)
                pixels.append(picture.pixels.tobytes())
    return Outcome(
        pixels=b"".join(pixels),
        readable=readable,
        hashes=np.frombuffer(b"".join(hashes), "<u8"),
        heights=np.array([picture.height for picture in decoded], np.int32),
        widths=np.array([picture.width for picture in decoded], np.int32),
        failures=failures,
        changes=collections.Counter(change for picture in decoded for change in picture.changes),
    )


def _decoded(payload: bytes, size: int, chunk: Chunk) -> tuple[Decoded, bytes] | str:
    """One picture of that size and its hash, or in one line why it can't be read."""
    if size > MAX_BYTES:
        return f"{size:,} bytes are more than a picture has (at most {MAX_BYTES:,})"
    try:
        opened = open_picture(payload, chunk.shape, chunk.target)
        return bring_to(chunk.target, opened), identity(payload, opened)
    except MemoryError:
        raise
    except Exception as error:  # whatever Pillow says to a damaged picture: it has no class of its own
        return reason_of(error)
