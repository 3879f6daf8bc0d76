"""Files and directories that appear whole or not at all, also if several processes write the same one.

Each writer has a partial file or directory of its own, `.NAME.TOKEN.partial` beside the target, and holds a lock on it
for as long as it lives. What carries no lock is left from a dead writer, and the next writer of that target removes it:
the kernel frees the locks of the dead, in whatever container they lived.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from components.core.errors import PipelineError, one_line
from components.core.progress import amount

if TYPE_CHECKING:
    import pydantic

Record = TypeVar("Record", bound="pydantic.BaseModel")
# Names of files end at 255 bytes: a longer one leaves no room for what is put around it.
LONGEST_NAME = 200
# rename's ways to say that a directory can't replace what is there.
TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}


@contextlib.contextmanager
def whole_directory(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a fresh directory beside `path`, and renames it to `path` when the body ends without an error.

    On an error (or a kill, at the next attempt) what was half-written is removed. An older result at `path` is
    replaced only by a whole one; of two writers at once the later one's stays.
    """
    target = pathlib.Path(path)
    with _partial(target, pathlib.Path.mkdir) as partial:
        yield partial
        while True:
            try:
                partial.rename(target)
                return
            except OSError as refused:
                if refused.errno not in TAKEN:
                    raise
            aside = hidden_beside(target, f"{_token()}.partial")
            with contextlib.suppress(FileNotFoundError):
                target.rename(aside)
            # Nobody holds it: another writer may be removing it too.
            shutil.rmtree(aside, ignore_errors=True)
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields an empty file beside `path` to write to, and renames it to `path` when the body ends without an error.

    The body writes into that file, and puts no other in its place: the lock is on the file.
    """
    target = pathlib.Path(path)
    with _partial(target, pathlib.Path.touch) as partial:
        yield partial
        partial.replace(target)


@contextlib.contextmanager
def scratch_directory(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields an empty directory beside `path` that is removed when the body ends; after a kill, by the next one's."""
    with _partial(pathlib.Path(path), pathlib.Path.mkdir) as partial:
        yield partial


def hidden_beside(path: pathlib.Path, ending: str) -> pathlib.Path:
    """`.NAME.ENDING` beside `path`; a digest stands for a name that is too long for that."""
    return path.with_name(f"{_stem(path)}.{ending}")


def unfinished(path: pathlib.Path) -> bool:
    """Whether this is a file that `whole_file` or a download is writing, or has left when it was killed."""
    return path.name.startswith(".") and path.name.endswith((".partial", ".partial.done"))


def lock(path: pathlib.Path, *, wait: bool = False) -> int | None:
    """Locks a file or directory that is there until the descriptor that it returns is closed.

    Returns:
        None if somebody else holds it. A file system without locks says that always, or never to who waits.

    Raises:
        FileNotFoundError: it is gone, or has been replaced meanwhile.
    """
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        if wait:
            return descriptor
        os.close(descriptor)
        return None
    try:
        same = os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        same = False
    if not same:
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return descriptor


@contextlib.contextmanager
def _partial(target: pathlib.Path, make: Callable[[pathlib.Path], None]) -> Iterator[pathlib.Path]:
    """Makes and holds a partial file or directory of this writer alone; removes it when the body ends."""
    held = None
    while held is None:
        partial = hidden_beside(target, f"{_token()}.partial")
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another writer that is done may remove the empty directory
            _clear(target)
            make(partial)
            held = lock(partial, wait=True)
    try:
        yield partial
    finally:
        remove(partial)
        os.close(held)


def _clear(target: pathlib.Path) -> None:
    """Removes what dead writers of `target` left. What can't be removed (another user's) is left where it is."""
    stale = re.compile(rf"{re.escape(_stem(target))}(\.[0-9a-f]{{12}})?\.partial")
    for entry in os.scandir(target.parent):
        if not stale.fullmatch(entry.name):
            continue
        with contextlib.suppress(OSError):
            held = lock(pathlib.Path(entry.path))
            if held is not None:
                try:
                    remove(pathlib.Path(entry.path))
                finally:
                    os.close(held)


def _stem(path: pathlib.Path) -> str:
    name = os.fsencode(path.name)
    return f".{path.name}" if len(name) <= LONGEST_NAME else f".{hashlib.sha256(name).hexdigest()[:32]}"


def _token() -> str:
    return uuid.uuid4().hex[:12]


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as readable JSON, whole or not at all. NaN and Infinity are refused: few other tools read them."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_json(model: type[Record], path: pathlib.Path, artifact: str, advice: str = "") -> Record:
    """Reads a JSON file as a pydantic model.

    Args:
        artifact: what the directory should be, for the error: "an evaluation artifact".
        advice: what to try if it is not.

    Raises:
        PipelineError: there is no such file, or it says something else.
    """
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or one_line(error, 200)
        raise PipelineError(
            f"expected {artifact} with {path.name}, received {path.parent}: {reason}{advice and f'; {advice}'}"
        ) from None


def json_object(path: pathlib.Path) -> dict[str, Any]:
    """The JSON object in a file that may be anybody's; empty if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def require_free(folder: pathlib.Path, needed: int, advice: str) -> None:
    """Raises PipelineError if less than `needed` bytes are free where `folder` lies, or will lie."""
    place = folder.absolute()
    free = shutil.disk_usage(next(there for there in (place, *place.parents) if there.is_dir())).free
    if needed > free:
        raise PipelineError(f"expected {amount(needed, 'B')} free in {folder}, received {amount(free, 'B')}; {advice}")


def files_below(directory: pathlib.Path) -> dict[str, pathlib.Path]:
    """All files of a directory by their paths below it, sorted."""
    return {path.relative_to(directory).as_posix(): path for path in sorted(directory.rglob("*")) if path.is_file()}


def sha256_of(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal, read in constant memory."""
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: pathlib.Path) -> None:
    """Removes a file or a directory tree, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
