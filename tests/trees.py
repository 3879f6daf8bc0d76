"""Files below a folder or a prefix, from their names and contents."""

import pathlib
from collections.abc import Mapping

from components.core.storage import open_store


def tree(folder: pathlib.Path, members: Mapping[str, bytes | str]) -> pathlib.Path:
    """Writes files below a folder, which it gives."""
    for name, data in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def fill(uri: str, members: Mapping[str, bytes]) -> str:
    """Writes objects below a place, which it gives."""
    store = open_store(uri)
    for name, data in members.items():
        store.write_bytes(name, data)
    return uri
