"""Files and directories that appear whole or not at all."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

CHUNK = 1 << 20


@contextlib.contextmanager
def whole_directory(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a fresh directory beside `path`, and renames it to `path` when the body ends without an error.

    On an error (or a kill, at the next attempt) what was half-written is removed. An older result at `path` is
    replaced only by a whole one.
    """
    target = pathlib.Path(path)
    beside = target.with_name(f".{target.name}.partial")
    remove(beside)
    beside.mkdir(parents=True)
    try:
        yield beside
        remove(target)
        beside.rename(target)
    finally:
        remove(beside)


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a path beside `path` to write to, and renames it to `path` when the body ends without an error."""
    target = pathlib.Path(path)
    beside = target.with_name(f".{target.name}.partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield beside
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as readable JSON, whole or not at all. NaN and Infinity are refused: few other tools read them."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sha256_of(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal, read in constant memory."""
    digest = hashlib.sha256()
    with pathlib.Path(path).open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def remove(path: pathlib.Path) -> None:
    """Removes a file or a directory tree, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
