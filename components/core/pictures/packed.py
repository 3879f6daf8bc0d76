"""Packed files nobody vouches for: damage is told in one line, and no more comes out than a file of pictures holds."""

import contextlib
import gzip
import pathlib
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Protocol

from components.core.errors import PipelineError, one_line

# Pictures hardly compress, so an archive that unpacks to 200 times its size is not one of pictures.
MAX_EXPANSION = 200
ALWAYS_ALLOWED_BYTES = 1 << 30
# All that the three libraries were seen to raise on truncated archives and on archives with flipped bytes.
_DAMAGE = (
    EOFError,
    NotImplementedError,
    ValueError,
    gzip.BadGzipFile,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class Readable(Protocol):
    """Whatever gives bytes, forward only: a file, a member of an archive."""

    def read(self, size: int = ..., /) -> bytes: ...


@contextlib.contextmanager
def damage_named(path: pathlib.Path, member: str = "") -> Iterator[None]:
    """Turns what tarfile, gzip and zipfile raise for a damaged archive into one line."""
    try:
        yield
    except _DAMAGE as error:
        where = f"{member!a} in {path}" if member else str(path)
        raise PipelineError(
            f"expected a whole archive, received a truncated or damaged one: {where} ({one_line(error, 200)}); "
            "fetch it again"
        ) from None


def allowed_bytes(path: pathlib.Path) -> int:
    """What may come out of a packed file."""
    return max(ALWAYS_ALLOWED_BYTES, MAX_EXPANSION * path.stat().st_size)


def too_much(path: pathlib.Path) -> PipelineError:
    """The refusal of a packed file that unpacks to more."""
    most = f"at most {allowed_bytes(path):,} bytes out of {path}"
    return PipelineError(f"expected {most}, received more; it looks like an archive bomb")


class Unpacked:
    """What comes out of a packed file, which refuses to grow past what is allowed."""

    def __init__(self, path: pathlib.Path, file: Readable):
        self.path, self.file, self.left = path, file, allowed_bytes(path)

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise too_much(self.path)
        return data
