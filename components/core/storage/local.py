"""A plain directory as a store, with the guarantees of the others: for tests, local runs and shared file systems.

An object is a file. It appears by a rename, or, where nothing may be there yet, by a hard link, which the file system
refuses if another was first. Compare-and-set holds a lock on the object's directory while it compares and renames.
"""

import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
import uuid
from collections.abc import Callable, Iterator

from components.core.storage.backend import Condition, Page, Stored
from components.core.storage.errors import Denied, NotFound, PreconditionFailed, StorageError, Transient

PARTIAL = ".partial"


class LocalBackend:
    """Files below one directory. Keys are absolute paths."""

    def __init__(self, root: str):
        self.root = pathlib.Path(root)

    def page(self, prefix: str, flat: bool, token: str | None) -> Page:
        top = pathlib.Path(prefix)
        if not top.is_dir():
            return Page([], [], None)
        if not flat:
            entries = sorted(os.scandir(top), key=lambda entry: entry.name)
            files = [_describe(entry.path) for entry in entries if entry.is_file() and not _unfinished(entry.name)]
            return Page(files, [f"{entry.path}/" for entry in entries if entry.is_dir()], None)
        paths = [path for path in top.rglob("*") if not _unfinished(path.name) and path.is_file()]
        return Page([_describe(path) for path in sorted(map(str, paths))], [], None)

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

    def put(self, key: str, data: bytes, condition: Condition) -> Stored:
        return self._place(key, condition, lambda beside: beside.write_bytes(data))

    def put_large(self, key: str, path: pathlib.Path, condition: Condition, sent: Callable[[int], None]) -> Stored:
        stored = self._place(key, condition, lambda beside: shutil.copyfile(path, beside))
        sent(stored.size)
        return stored

    def copy(self, source: str, target: str) -> None:
        self._place(target, Condition(), lambda beside: shutil.copyfile(source, beside))

    def delete(self, key: str, generation: str | None) -> None:
        directory = pathlib.Path(key).parent
        with _locked(directory):
            if generation is not None and _describe(key).generation != generation:
                raise PreconditionFailed(f"{key} has changed")
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

    def _place(self, key: str, condition: Condition, fill: Callable[[pathlib.Path], object]) -> Stored:
        """Fills a file beside `key` and gives it its name under the condition."""
        target = pathlib.Path(key)
        if target.is_dir():
            raise StorageError(f"expected {key} to be free for an object, received a directory; choose another name")
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{uuid.uuid4().hex}{PARTIAL}")
        try:
            fill(beside)
            with _locked(target.parent):
                if condition.absent:
                    _link(beside, target)
                else:
                    if condition.generation is not None:
                        _require(target, condition.generation)
                    beside.replace(target)
                return _describe(key)
        except FileNotFoundError:
            if target.parent.exists():
                raise
            raise _removed(target.parent) from None
        finally:
            beside.unlink(missing_ok=True)


def _link(beside: pathlib.Path, target: pathlib.Path) -> None:
    try:
        os.link(beside, target)
    except FileExistsError:
        raise PreconditionFailed(f"{target} is there already") from None


def _require(target: pathlib.Path, generation: str) -> None:
    try:
        found = _describe(target).generation
    except FileNotFoundError:
        found = None
    if found != generation:
        raise PreconditionFailed(f"{target} has changed")


@contextlib.contextmanager
def _locked(directory: pathlib.Path) -> Iterator[None]:
    """Holds an exclusive lock on the directory itself, which leaves no lock file behind."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not directory.exists():
            raise _removed(directory)
        yield
    finally:
        os.close(descriptor)


def _removed(directory: pathlib.Path) -> OSError:
    """Deleting the last object of a directory removes it: perhaps between making it and writing into it."""
    return OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(directory))


def _unfinished(name: str) -> bool:
    return name.startswith(".") and PARTIAL in name


def _describe(path: str | pathlib.Path) -> Stored:
    return _stored(str(path), pathlib.Path(path).stat())


def _stored(path: str, status: os.stat_result) -> Stored:
    # Each write makes a new file, so that the inode changes with it; its number alone may be used again.
    generation = f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"
    return Stored(key=path, size=status.st_size, generation=generation, updated=status.st_mtime)
