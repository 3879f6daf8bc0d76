"""The folder that outlives a failed run: transfers broken off half-way, and originals proven by their checksum.

<key>            a finished original; only kept if a checksum names it, and proven again before each use
<key>.part       the first bytes of one
<key>.part.json  where they came from, so that they are never continued with bytes of another file
<key>.lock       held while a process works on the key, so that two runs at once fetch it once
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import urllib.parse
from collections.abc import Iterator

from components.core.files import lock, require_free, write_json
from components.download.file_to_fetch import FileToFetch

VARIABLE = "CONV2D_DOWNLOAD_CACHE"


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a partial file came from: a digest of the URL (which may hold a secret), the server's validator (a strong
    ETag or a Last-Modified date; empty if it gave none), and the whole file's size if it is known."""

    url: str
    validator: str
    total: int | None


class Partial:
    """An original on its way."""

    def __init__(self, original: pathlib.Path):
        self.path = original.with_name(f"{original.name}.part")
        self.origin_path = original.with_name(f"{original.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes here already."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def origin(self) -> Origin | None:
        """Where they came from, or None if that can't be told."""
        try:
            return Origin(**json.loads(self.origin_path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, origin: Origin) -> None:
        """Empties the file for bytes of `origin`. At no moment do its bytes carry another file's origin."""
        self.discard()
        write_json(self.origin_path, dataclasses.asdict(origin))

    def discard(self) -> None:
        """Forgets what came so far."""
        self.path.unlink(missing_ok=True)
        self.origin_path.unlink(missing_ok=True)


class Cache:
    """The folder named by CONV2D_DOWNLOAD_CACHE, or else one beside the artifact."""

    def __init__(self, folder: str | os.PathLike):
        self.folder = pathlib.Path(folder)

    @classmethod
    def beside(cls, artifact: str | os.PathLike) -> "Cache":
        """The cache for an artifact that will lie at `artifact`."""
        return cls(os.environ.get(VARIABLE) or pathlib.Path(artifact).absolute().parent / ".downloads")

    def original(self, to_fetch: FileToFetch, url: str) -> pathlib.Path:
        """Where the finished file lies or would lie: under its checksum, so that all mirrors share it, or its URL."""
        return self.folder / f"{to_fetch.checksum or f'url-{url_digest(url)}'}-{to_fetch.name}"

    @contextlib.contextmanager
    def locked(self, original: pathlib.Path) -> Iterator[None]:
        """Waits until no other process works on this original. The lock ends with the process, however that ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        guard = original.with_name(f"{original.name}.lock")
        guard.touch()
        held = lock(guard)
        if held is None:
            print("another run is fetching this file; waiting for it", flush=True)
            held = lock(guard, wait=True)
        assert held is not None, "who waits gets it"
        try:
            yield
        finally:
            os.close(held)


def url_digest(url: str) -> str:
    """A name for a URL that gives nothing away; user and password don't count."""
    parts = urllib.parse.urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
    return hashlib.sha256(bare.encode()).hexdigest()[:32]


def require_room(folder: pathlib.Path, needed: int) -> None:
    """Raises PipelineError if the file system of `folder` has less than `needed` bytes free."""
    require_free(folder, needed, "free some, or set CONV2D_DOWNLOAD_CACHE and the output to a larger disk")


def link_or_copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """A second name for the same bytes if the file system allows it, else a copy. Neither is written to again."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
