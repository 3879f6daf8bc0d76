"""Objects into files: parallel, in ranges, resumed, checked.

A file of more than one chunk is written into `.NAME.partial` at its places, in any order, and `.NAME.partial.done`
lists the chunks that are there, so that a process that was killed goes on where it was. Nobody else may fetch into the
same file meanwhile: who comes back to a folder holds a lock on it (download/cache.py), all others have a fresh one. The
whole is compared with the store's checksum before it gets its name; if it differs, it is fetched once more from the
start.
"""

import contextlib
import dataclasses
import functools
import pathlib
import threading
import uuid
from collections.abc import Callable, Iterator

from components.core.files import hidden_beside
from components.core.progress import Progress
from components.core.storage.backend import Stored
from components.core.storage.checksums import check_bytes, known
from components.core.storage.errors import Corrupted, PreconditionFailed, StorageError
from components.core.storage.objects import Objects


class Landing:
    """One object on its way into one file.

    Attributes:
        here: bytes that are there from an earlier run.
        failure: why this round's bytes are no good; None if they are, or are still coming.
    """

    def __init__(self, store: Objects, stored: Stored, path: pathlib.Path):
        self.store, self.stored, self.path = store, stored, path
        self.partial, self.journal = hidden_beside(path, "partial"), hidden_beside(path, "partial.done")
        self.lock = threading.Lock()
        self.failure: Exception | None = None
        self.begin()

    def begin(self) -> None:
        """Plans what to fetch, given what an earlier run left."""
        chunk, size = self.store.limits.chunk, self.stored.size
        self.ranges = [(start, min(start + chunk, size)) for start in range(0, size, chunk)] or [(0, 0)]
        self.done = self._read_journal() if len(self.ranges) > 1 else set()
        self.here = self._size_of_done()

    def there_already(self) -> bool:
        """Whether the file has its name already and is provably the object."""
        with writing(self.path):
            if not self.path.is_file():
                return False
        if len(self.ranges) > 1:
            self._ask_for_checksum()
        if not known(self.stored):
            return False
        try:
            check_bytes(self.path, self.stored, "")
        except Corrupted:
            return False
        self.here = self.stored.size
        return True

    def tasks(self, progress: Progress) -> Iterator[Callable[[], None]]:
        """The requests that are left to make."""
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        if len(self.ranges) == 1:
            yield lambda: self._whole(progress)
            return
        self._write_journal()
        left = [number for number in range(len(self.ranges)) if number not in self.done]
        if not left:
            yield self._land
        for number in left:
            yield functools.partial(self._chunk, number, progress)

    def start_over(self, progress: Progress) -> None:
        """Forgets all that was fetched, and asks anew what there is to fetch."""
        self.journal.unlink(missing_ok=True)
        progress.advance(-self._size_of_done())
        self.failure = None
        self.stored = self.store.stat(self.stored.key)
        self.begin()

    def _whole(self, progress: Progress) -> None:
        """A small object: one request, and no partial file to come back to."""
        try:
            data, answered = self.store.get(self.stored, 0, None)
            check_bytes(data, self._promised(answered), self.store.uri(self.stored.key))
        except (Corrupted, PreconditionFailed) as failure:
            self.failure = failure
            return
        # Of its own: a disk that knows no capitals has one `.NAME.partial` for two objects.
        partial = hidden_beside(self.path, f"{uuid.uuid4().hex[:12]}.partial")
        with writing(self.path):
            try:
                partial.write_bytes(data)
                partial.replace(self.path)
            finally:
                partial.unlink(missing_ok=True)
        progress.advance(len(data))

    def _chunk(self, number: int, progress: Progress) -> None:
        if self.failure:
            return
        start, end = self.ranges[number]
        try:
            data, answered = self.store.get(self.stored, start, end)
        except PreconditionFailed as changed:
            self.failure = changed
            return
        with writing(self.path), self.partial.open("r+b") as file:
            file.seek(start)
            file.write(data)
        progress.advance(len(data))
        with self.lock:
            self.stored = self._promised(answered)
            with writing(self.path), self.journal.open("a", encoding="ascii") as journal:
                journal.write(f"{number}\n")
            self.done.add(number)
            complete = len(self.done) == len(self.ranges)
        if complete:
            self._land()

    def _land(self) -> None:
        self._ask_for_checksum()
        try:
            check_bytes(self.partial, self.stored, self.store.uri(self.stored.key))
        except Corrupted as failure:
            self.failure = failure
            return
        with writing(self.path):
            self.partial.replace(self.path)
            self.journal.unlink(missing_ok=True)

    def _size_of_done(self) -> int:
        return sum(end - start for number, (start, end) in enumerate(self.ranges) if number in self.done)

    def _promised(self, answered: Stored) -> Stored:
        """What is known of the whole object: S3 tells our checksum with the answer, not in the listing."""
        return dataclasses.replace(self.stored, checksums=answered.checksums | self.stored.checksums)

    def _ask_for_checksum(self) -> None:
        """S3's listings tell none, nor do its answers of what another tool uploaded in parts."""
        if not known(self.stored):
            checksums = self.store.provable(self.stored.key).checksums
            self.stored = dataclasses.replace(self.stored, checksums=checksums)

    def _journal_head(self) -> str:
        return f"{self.stored.generation} {self.stored.size} {self.store.limits.chunk}"

    def _write_journal(self) -> None:
        """Begins the files, or goes on with those of an earlier run, whose last line may be torn."""
        with writing(self.path):
            self.partial.open("ab" if self.done else "wb").close()
            lines = [self._journal_head(), *map(str, self.done)]
            self.journal.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _read_journal(self) -> set[int]:
        """The chunks that an earlier run wrote, if it fetched the same generation. A torn last line does not count."""
        try:
            head, *lines = self.journal.read_text(encoding="utf-8").split("\n")[:-1]
            there = self.partial.stat().st_size
            if head != self._journal_head():
                return set()
            ends = [end for _, end in self.ranges if end <= there]
            return {int(line) for line in lines if line.isdigit() and int(line) < len(ends)}
        except (OSError, ValueError):
            return set()


@contextlib.contextmanager
def writing(path: pathlib.Path, deed: str = "write") -> Iterator[None]:
    """Makes one line of what the local disk refuses."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"can't {deed} {path}: {error.strerror}; check the disk and the path") from None


def reading(path: pathlib.Path) -> contextlib.AbstractContextManager[None]:
    """The same, of a file that is read."""
    return writing(path, "read")
