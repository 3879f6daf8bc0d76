"""A provider's part: one attempt at one request each. Retries, checks and parallel work are not its job."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class Stored:
    """One object as its store describes it.

    Attributes:
        key: its name; below the store's location where a Store returns it, whole where a backend does.
        size: bytes.
        generation: an opaque token that changes with every write (GCS generation, S3 ETag).
        checksums: of the whole content, in hexadecimal, by algorithm: crc32c, md5, etag-of-parts. What the store knows
            without another request, so possibly nothing.
        updated: Unix time of the last write, in seconds; 0 where not known.
    """

    key: str
    size: int
    generation: str
    checksums: dict[str, str] = dataclasses.field(default_factory=dict)
    updated: float = 0.0


@dataclasses.dataclass(frozen=True)
class Page:
    """One page of a listing; `following` is the token of the next one, None after the last."""

    objects: list[Stored]
    directories: list[str]
    following: str | None


@dataclasses.dataclass(frozen=True)
class Limits:
    """How hard to try, and how much at once.

    Attributes:
        deadline_s: how long one request is tried, all retries and pauses included.
        stall_s: how long a connection may be silent before the request counts as failed.
        workers: requests at a time. Small objects cost a round trip each, so their rate is workers / round trip. Each
            holds a chunk in memory, or a file of a part.
        chunk: bytes a ranged read.
        part: bytes a part of a large upload (S3 wants 5 MiB at least); a smaller file goes up in one request.
        part_workers: parts of one large upload at a time.
        first_pause_s: the longest pause before the second try; it doubles with each further one.
    """

    deadline_s: float = 300.0
    stall_s: float = 60.0
    workers: int = 32
    chunk: int = 4 << 20
    part: int = 8 << 20
    part_workers: int = 8
    first_pause_s: float = 0.25


class Backend(Protocol):
    """One provider. Keys are whole keys. Each call is one attempt and raises whatever its client raises."""

    def page(self, prefix: str, flat: bool, token: str | None) -> Page:
        """Lists what begins with `prefix`, sorted by key; not `flat`: only up to the next "/", the rest as names."""

    def stat(self, key: str) -> Stored:
        """Describes one object."""

    def get(self, key: str, start: int, end: int | None, generation: str | None) -> tuple[bytes, Stored]:
        """Reads the bytes [start, end), or all where end is None, of that generation or the present one."""

    def put(self, key: str, data: bytes, over: str | None) -> Stored:
        """Writes a small object, whole or not at all: over that generation alone; empty: only if there is none."""

    def put_large(self, key: str, path: pathlib.Path, sent: Callable[[int], None]) -> Stored:
        """Writes a file of more than one part, parts in parallel, each retried; calls `sent` with bytes now there."""

    def copy(self, source: str, target: str, generation: str | None) -> None:
        """Copies an object (that generation of it) inside the store, without moving its bytes through here."""

    def provable(self, key: str) -> Stored:
        """As `stat`, with a checksum if the store can tell one at all."""

    def delete(self, key: str) -> None:
        """Removes an object; NotFound if there is none, as far as the store tells."""

    def explain(self, error: Exception, key: str) -> Exception:
        """Translates a client's exception into one of `errors`, or Transient; a defect comes back as it is."""
