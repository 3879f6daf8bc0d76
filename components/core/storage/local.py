"""A plain directory as a store, with the guarantees of the others: for tests and local runs.

An object is a file that appears by a rename. Whoever writes or deletes holds a lock on the object's directory while it
compares and renames: over a network that lock may be one among the processes of a machine, so that several machines
need a bucket.
"""

import contextlib
import errno
import fcntl
import os
import pathlib
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator

from components.core.storage.backend import Page, Stored
from components.core.storage.errors import Denied, NotFound, PreconditionFailed, StorageError, Transient

# What an object is called before it has its name, and no object can be called.
UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.partial")


class LocalBackend:
    """Files below one directory. Keys are absolute paths."""

    def __init__(self, root: str):
        self.root = pathlib.Path(root)

    def page(self, prefix: str, flat: bool, token: str | None) -> Page:
        top = pathlib.Path(prefix)
        if not top.is_dir():
            return Page([], [], None)
        if flat:
            paths = [f"{directory}/{name}" for directory, _, names in os.walk(top) for name in names]
            return Page(_there(sorted(paths)), [], None)
        entries = sorted(os.scandir(top), key=lambda entry: entry.name)
        directories = [f"{entry.path}/" for entry in entries if entry.is_dir()]
        return Page(_there([entry.path for entry in entries if not entry.is_dir()]), directories, None)

    def stat(self, key: str) -> Stored:
        if pathlib.Path(key).is_dir():
            raise IsADirectoryError(key)
        return _describe(key)

    def get(self, key: str, start: int, end: int | None, generation: str | None) -> tuple[bytes, Stored]:
        with pathlib.Path(key).open("rb") as file:
            stored = _stored(key, os.fstat(file.fileno()))
            if generation is not None and stored.generation != generation:
                raise PreconditionFailed(f"{key} has changed")
            file.seek(start)
            return file.read(-1 if end is None else end - start), stored

    def put(self, key: str, data: bytes, over: str | None) -> Stored:
        return self._place(key, over, lambda beside: beside.write_bytes(data))

    def put_large(self, key: str, path: pathlib.Path, sent: Callable[[int], None]) -> Stored:
        stored = self._place(key, None, lambda beside: shutil.copyfile(path, beside))
        sent(stored.size)
        return stored

    def copy(self, source: str, target: str, generation: str | None) -> None:
        copied = _describe(source).generation
        if generation not in (None, copied):
            raise PreconditionFailed(f"{source} has changed")
        # Looked at once more when the copy gets its name: it never shows what has been deleted by then.
        self._place(target, None, lambda beside: shutil.copyfile(source, beside), (source, copied))

    provable = stat

    def delete(self, key: str) -> None:
        directory = pathlib.Path(key).parent
        with _locked(directory):
            pathlib.Path(key).unlink()
        # Buckets have no empty directories, and a model server would take an empty `7/` for a version.
        while directory != self.root and self.root in directory.parents:
            try:
                directory.rmdir()
            except OSError:
                break
            directory = directory.parent

    def explain(self, error: Exception, key: str) -> Exception:
        if not isinstance(error, OSError):
            return error
        if isinstance(error, IsADirectoryError):
            return NotFound(f"expected an object {key}, received a directory")
        if isinstance(error, FileNotFoundError):
            return NotFound(f"expected an object {key}, received none")
        if isinstance(error, PermissionError):
            return Denied(f"no permission on {error.filename or key}; check its owner and mode")
        if error.errno == errno.ESTALE:
            return Transient("the directory was removed meanwhile")
        return StorageError(f"can't use {key}: {error.strerror}; check the path and the disk")

    def _place(
        self,
        key: str,
        over: str | None,
        fill: Callable[[pathlib.Path], object],
        source: tuple[str, str] | None = None,
    ) -> Stored:
        """Fills a file beside `key` and names it as `put` does, if `source` still has that generation."""
        target = pathlib.Path(key)
        if UNFINISHED.fullmatch(target.name):
            raise StorageError(f"expected another name than {key}: a directory calls unfinished objects so; rename it")
        if target.is_dir():
            raise StorageError(f"expected {key} to be free for an object, received a directory; choose another name")
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{uuid.uuid4().hex}.partial")
        try:
            fill(beside)
            with beside.open("rb") as file:
                os.fsync(file.fileno())  # else a loss of power may leave the name, and nothing in it
            with _locked(target.parent, *((pathlib.Path(source[0]).parent,) if source else ())):
                if source and _describe(source[0]).generation != source[1]:
                    raise PreconditionFailed(f"{source[0]} has changed")
                if over is not None and _generation(target) != over:
                    raise PreconditionFailed(f"{target} {'has changed' if over else 'is there already'}")
                beside.replace(target)
                return _describe(key)
        except FileNotFoundError:
            if target.parent.exists() or (source and not pathlib.Path(source[0]).exists()):
                raise
            # Deleting the last object of a directory removes it: perhaps between making it and writing into it.
            raise Transient("the directory was removed meanwhile") from None
        finally:
            beside.unlink(missing_ok=True)


def _generation(target: pathlib.Path) -> str:
    """The object's; empty if there is none."""
    try:
        return _describe(target).generation
    except FileNotFoundError:
        return ""


@contextlib.contextmanager
def _locked(*directories: pathlib.Path) -> Iterator[None]:
    """Holds exclusive locks on the directories themselves, which leaves no lock files behind."""
    with contextlib.ExitStack() as held:
        # Everybody in the same order, so that no two wait for each other.
        for directory in sorted(set(directories)):
            descriptor = os.open(directory, os.O_RDONLY)
            held.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _there(paths: list[str]) -> list[Stored]:
    """Describes the objects among these; what goes away while we look was not there."""
    found = []
    for path in paths:
        if UNFINISHED.fullmatch(path.rpartition("/")[2]):
            continue
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(path)  # noqa: PTH116, a path object is twice as slow
            if stat.S_ISREG(status.st_mode):
                found.append(_stored(path, status))
    return found


def _describe(path: str | pathlib.Path) -> Stored:
    return _stored(str(path), pathlib.Path(path).stat())


def _stored(path: str, status: os.stat_result) -> Stored:
    # Each write makes a new file, so that the inode changes with it; its number alone may be used again.
    generation = f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"
    return Stored(key=path, size=status.st_size, generation=generation, updated=status.st_mtime)
