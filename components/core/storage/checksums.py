"""Checksums of whole objects: computed in constant memory, compared with what the store promised."""

import hashlib
import pathlib
from typing import Any

import google_crc32c

from components.core.storage.backend import Stored
from components.core.storage.errors import Corrupted

CHUNK = 1 << 20
# `etag-BYTES,BYTES,...`: the MD5 of the parts' MD5s and their number, as S3 names an object that was uploaded in parts.
ETAG_OF_PARTS = "etag-"


class _Crc32c(google_crc32c.Checksum):
    def hexdigest(self) -> str:
        return self.digest().hex()


class _EtagOfParts:
    def __init__(self, parts: list[int]):
        self.parts, self.left = parts, 0
        self.digests: list[Any] = []

    def update(self, data: bytes) -> None:
        while data:
            if not self.left:
                self.left = self.parts[min(len(self.digests), len(self.parts) - 1)]
                self.digests.append(hashlib.md5(usedforsecurity=False))
            piece, data = data[: self.left], data[self.left :]
            self.digests[-1].update(piece)
            self.left -= len(piece)

    def hexdigest(self) -> str:
        whole = hashlib.md5(b"".join(digest.digest() for digest in self.digests), usedforsecurity=False)
        return f"{whole.hexdigest()}-{len(self.digests)}"


def _new(algorithm: str):
    if algorithm == "crc32c":
        return _Crc32c()
    if algorithm.startswith(ETAG_OF_PARTS):
        return _EtagOfParts([int(part) for part in algorithm.removeprefix(ETAG_OF_PARTS).split(",")])
    return hashlib.new(algorithm, usedforsecurity=False)


def digest_of(content: bytes | pathlib.Path, algorithm: str) -> str:
    """The checksum of bytes, or of a file's, in hexadecimal. CRC-32C runs at 20 GB/s, MD5 at 0.5."""
    digest = _new(algorithm)
    if isinstance(content, bytes):
        digest.update(content)
        return digest.hexdigest()
    with content.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def known(stored: Stored) -> str | None:
    """The algorithm to compare `stored` by, the fastest, as all tell a damaged byte; None if none was promised."""
    return min(stored.checksums, default=None)  # crc32c, etag-..., md5


def check_bytes(content: bytes | pathlib.Path, stored: Stored, uri: str) -> None:
    """Raises Corrupted unless these bytes, or a file's, have the size and the checksum of `stored`."""
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    if size != stored.size:
        raise Corrupted(f"expected {stored.size:,} bytes of {uri}, received {size:,}; run again")
    algorithm = known(stored)
    if algorithm and (found := digest_of(content, algorithm)) != stored.checksums[algorithm]:
        named = algorithm.partition(",")[0]
        raise Corrupted(f"expected {uri} with {named} {stored.checksums[algorithm]}, received {found}; run again")
