"""Files into objects: small ones many at once, large ones in parallel parts."""

import contextlib
import functools
import pathlib
from collections.abc import Iterator

from components.core.files import unfinished
from components.core.progress import Progress
from components.core.storage.backend import Stored
from components.core.storage.errors import StorageError, tell
from components.core.storage.objects import Objects
from components.core.storage.parallel import Task, run_all


def upload_directory(store: Objects, path: pathlib.Path, prefix: str, label: str) -> list[Stored]:
    """Stores all files below `path`; returns their descriptions, sorted by key."""
    if not path.is_dir():
        raise StorageError(f"expected a directory to upload, received {path}")
    names = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
    if left_out := [name for name in names if unfinished(name)]:
        names = [name for name in names if not unfinished(name)]
        tell(f"{label}: {len(left_out):,} unfinished files are left out, for instance {path / left_out[0]}")
    if not names:
        raise StorageError(f"expected files to upload below {path}, received none")
    prefix = prefix.strip("/")
    keys = [f"{prefix}/{name.as_posix()}" if prefix else name.as_posix() for name in names]
    return upload_files(store, [(path / name, key) for name, key in zip(names, keys, strict=True)], label)


def upload_files(store: Objects, files: list[tuple[pathlib.Path, str]], label: str) -> list[Stored]:
    """Stores files under the keys given beside them; returns their descriptions in the same order."""
    sizes = {}
    for path, _ in files:
        with reading(path):
            sizes[path] = path.stat().st_size
    limits = store.limits
    held_by_large = limits.part * limits.part_workers
    results: dict[str, Stored] = {}
    with Progress(label, sum(sizes[path] for path, _ in files), "B") as progress:

        def small(path: pathlib.Path, key: str) -> None:
            with reading(path):
                data = path.read_bytes()
            results[key] = store.write_bytes(key, data)
            progress.advance(len(data))

        def large(path: pathlib.Path, key: str) -> None:
            counted: list[int] = []

            def sent(amount: int) -> None:
                counted.append(amount)
                progress.advance(amount)

            results[key] = store.put_large(key, path, sent)
            # One that began anew has told too much.
            progress.advance(sizes[path] - sum(counted))

        # The large ones first: the small ones fill the time in which those wait for answers.
        tasks = (
            Task(sizes[path], functools.partial(small, path, key))
            if sizes[path] <= limits.part
            else Task(held_by_large, functools.partial(large, path, key))
            for path, key in sorted(files, key=lambda file: -sizes[file[0]])
        )
        run_all(tasks, limits.workers, limits.window + held_by_large)
    return [results[key] for _, key in files]


@contextlib.contextmanager
def reading(path: pathlib.Path) -> Iterator[None]:
    """Makes one line of what the local disk refuses."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"can't read {path}: {error.strerror}; check the path") from None
