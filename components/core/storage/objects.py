"""Objects below one location, whoever keeps them: looked at, read, written under conditions, copied, removed."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from components.core.storage.backend import Backend, Limits, Stored
from components.core.storage.checksums import check_bytes
from components.core.storage.errors import Corrupted, NotFound, PreconditionFailed, Transient
from components.core.storage.location import Location, check_key, local_parts
from components.core.storage.parallel import run_all
from components.core.storage.retry import patiently

Item = TypeVar("Item")
# Below, `list` is a method.
Listing = list[Stored]
Keys = list[str]


class Objects:
    """Objects below one location. Keys are relative to it, with `/` between their parts.

    Every method raises a StorageError of one line: NotFound, BucketMissing, Denied, PreconditionFailed, Corrupted,
    Unreachable after all retries. Threads may share a Store.
    """

    def __init__(self, place: Location, backend: Backend, limits: Limits):
        self.location, self.backend, self.limits = place, backend, limits

    def uri(self, key: str = "") -> str:
        """How to write the place of `key` (or of the store) for people and for other tools."""
        return self.location.uri(key)

    # -- Looking ------------------------------------------------------------------------------------------------------

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """All objects below `prefix`, taken as a directory, sorted by key. Markers of directories are left out."""
        for objects, _ in self._pages(prefix, flat=True):
            yield from objects

    def directories(self, prefix: str = "") -> Keys:
        """The names of the directories directly below `prefix`, sorted."""
        top = self._directory(prefix)
        names = [name[len(top) :].rstrip("/") for _, found in self._pages(prefix, flat=False) for name in found]
        return sorted(set(names))

    def files(self, prefix: str = "") -> Listing:
        """The objects directly below `prefix`, sorted by key."""
        return [stored for objects, _ in self._pages(prefix, flat=False) for stored in objects]

    def stat(self, key: str) -> Stored:
        """Describes one object."""
        return self._relative(self._try("look at", key, self.backend.stat))

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        try:
            self.stat(key)
        except NotFound:
            return False
        return True

    # -- Small objects ------------------------------------------------------------------------------------------------

    def read_bytes(self, key: str) -> bytes:
        """The whole of a small object, checked against its checksum."""
        return self.read(key)[0]

    def read(self, key: str) -> tuple[bytes, Stored]:
        """The whole of a small object and its description, whose `generation` a later write can name."""
        data, stored = self._try("read", key, lambda whole: self._checked(key, *self.backend.get(whole, 0, None, None)))
        return data, self._relative(stored)

    def read_as_listed(self, listed: Stored) -> bytes:
        """The whole of a small object, checked, as a listing described it.

        Raises:
            PreconditionFailed: it is another one by now. NotFound: it is gone.
        """

        def attempt(whole: str) -> tuple[bytes, Stored]:
            data, stored = self.backend.get(whole, 0, None, listed.generation)
            return self._checked(listed.key, data, dataclasses.replace(stored, size=listed.size))

        return self._try("read", listed.key, attempt)[0]

    def write_bytes(
        self, key: str, data: bytes, *, if_absent: bool = False, if_generation: str | None = None
    ) -> Stored:
        """Writes a small object, whole or not at all.

        Args:
            if_absent: only if no object is yet.
            if_generation: only over that generation of it.

        Raises:
            PreconditionFailed: the condition did not hold. After a lost answer the object is read back, and equal
                bytes count as written by this call: where two writers must not be taken for each other, put something
                unique into the data.
        """
        retries = []
        over = "" if if_absent else if_generation
        try:
            stored = self._try(
                "write", key, lambda whole: self.backend.put(whole, data, over), lambda: retries.append(1)
            )
        except NotFound:
            # S3's answer to If-Match where no object is.
            if if_generation is None:
                raise
            raise PreconditionFailed(f"{self.uri(key)} was deleted by somebody else; look and try again") from None
        except PreconditionFailed:
            with contextlib.suppress(NotFound):  # deleted meanwhile, or never there
                if retries and (found := self.read(key))[0] == data:
                    return found[1]
            raise
        return self._relative(stored)

    def delete(self, key: str) -> None:
        """Removes an object; one that is gone already is no error."""
        with contextlib.suppress(NotFound):
            self._try("delete", key, self.backend.delete)

    def copy(self, source: str, target: str, *, if_generation: str | None = None) -> None:
        """Copies an object inside the store: its bytes do not travel through this machine.

        Args:
            if_generation: only that generation of the source.

        Raises:
            PreconditionFailed: the source is another one by now. NotFound: it is gone.
        """
        whole = self._key(target)
        self._try("copy", source, lambda origin: self.backend.copy(origin, whole, if_generation))

    def provable(self, key: str) -> Stored:
        """As `stat`, with a checksum if the store can tell one at all: it may take a request for each of its parts."""
        return self._relative(self._try("look at", key, self.backend.provable))

    def delete_files(self, keys: Keys) -> None:
        """Removes objects, many at once."""
        self.for_each(keys, self.delete)

    def for_each(self, items: Iterable[Item], deed: Callable[[Item], object]) -> None:
        """Calls `deed` with each item in threads, as many at once as requests are allowed; the first error ends it."""
        run_all((functools.partial(deed, item) for item in items), self.limits.workers)

    # -- Inside the package --------------------------------------------------------------------------------------------

    def get(self, stored: Stored, start: int, end: int | None) -> tuple[bytes, Stored]:
        """The bytes [start, end) of exactly this generation; PreconditionFailed where it has changed since."""
        return self._try("read", stored.key, lambda whole: self.backend.get(whole, start, end, stored.generation))

    def put_large(self, key: str, path: pathlib.Path, sent: Callable[[int], None]) -> Stored:
        """Writes a large file; the parts are retried one by one inside, so that few tries are left to make here."""
        return self._relative(self._try("write", key, lambda whole: self.backend.put_large(whole, path, sent)))

    def _pages(self, prefix: str, flat: bool) -> Iterator[tuple[Listing, Keys]]:
        top, token = self._directory(prefix), None
        while True:
            page = patiently(
                functools.partial(self.backend.page, top, flat, token),
                lambda error: self.backend.explain(error, top),
                f"list {self.uri(prefix)}",
                self.limits,
            )
            yield [self._relative(item) for item in page.objects if not item.key.endswith("/")], page.directories
            token = page.following
            if token is None:
                return

    def _checked(self, key: str, data: bytes, stored: Stored) -> tuple[bytes, Stored]:
        """The bytes that came, if they are the store's; else it is worth another try."""
        try:
            check_bytes(data, stored, self.uri(key))
        except Corrupted as damaged:
            raise Transient(str(damaged)) from None
        return data, stored

    def _try(
        self, deed: str, key: str, attempt: Callable[[str], Any], retried: Callable[[], Any] = lambda: None
    ) -> Any:
        whole = self._key(key)
        return patiently(
            lambda: attempt(whole),
            lambda error: self.backend.explain(error, whole),
            f"{deed} {self.uri(key)}",
            self.limits,
            retried,
        )

    def _key(self, key: str) -> str:
        if self.location.scheme == "file":
            local_parts(key)
            return self.location.key(key)
        return check_key(self.location.key(key))

    def _directory(self, prefix: str) -> str:
        whole = self.location.key(prefix.rstrip("/"))
        return f"{whole}/" if whole else ""

    def _relative(self, stored: Stored) -> Stored:
        return dataclasses.replace(stored, key=stored.key.removeprefix(self._directory("")))
