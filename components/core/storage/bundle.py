"""Several objects that count only together: files under one prefix, and `manifest.json`, written last, that names them.

Stores have no rename, so a directory can't appear at once. It can be made to count at once: whoever reads looks for
the manifest first, and a bundle without one is not there. Reading compares every file with the manifest's SHA-256.
"""

import pathlib
import re
from typing import Any

import pydantic

from components.core.errors import one_line
from components.core.files import sha256_of, whole_directory
from components.core.storage.backend import Stored
from components.core.storage.download import reading
from components.core.storage.errors import Corrupted, StorageError
from components.core.storage.location import local_parts
from components.core.storage.store import Store

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
SHA256 = re.compile(r"[0-9a-f]{64}")


class BundledFile(pydantic.BaseModel):
    """One file: its size in bytes and its SHA-256 in hexadecimal."""

    bytes: int = pydantic.Field(ge=0)
    sha256: str = pydantic.Field(pattern=SHA256)


class Manifest(pydantic.BaseModel):
    """What manifest.json says: every file by its path below the prefix, and the writer's own facts."""

    format_version: int = FORMAT_VERSION
    files: dict[str, BundledFile]
    facts: dict[str, Any] = {}

    @property
    def bytes(self) -> int:
        """The size of all files together."""
        return sum(file.bytes for file in self.files.values())


def manifest_of(files: dict[str, pathlib.Path], facts: dict[str, Any]) -> Manifest:
    """The manifest of local files, by the path that each shall have below the prefix."""
    described = {}
    for name, path in sorted(files.items()):
        if name == MANIFEST:
            raise StorageError(f"expected files to bundle, received one that is called {MANIFEST}; leave it out")
        local_parts(name)
        with reading(path):
            described[name] = BundledFile(bytes=path.stat().st_size, sha256=sha256_of(path))
    return Manifest(files=described, facts=facts)


def write(store: Store, prefix: str, files: dict[str, pathlib.Path], manifest: Manifest, label: str = "upload") -> None:
    """Uploads files, and then the manifest that describes them and makes them count."""
    store.upload_files([(path, f"{prefix}/{name}") for name, path in files.items()], label)
    write_manifest(store, prefix, manifest)


def write_manifest(store: Store, prefix: str, manifest: Manifest, *, if_absent: bool = False) -> None:
    """Writes the manifest, the last step."""
    text = manifest.model_dump_json(indent=2) + "\n"
    store.write_bytes(f"{prefix}/{MANIFEST}", text.encode(), if_absent=if_absent)


def read_manifest(store: Store, prefix: str) -> Manifest:
    """Reads a bundle's manifest.

    Raises:
        NotFound: there is no whole bundle at `prefix`.
        Corrupted: the manifest is not one.
    """
    key = f"{prefix}/{MANIFEST}"
    data = store.read_bytes(key)
    try:
        manifest = Manifest.model_validate_json(data)
        for name in manifest.files:
            local_parts(name)
        if manifest.format_version != FORMAT_VERSION:
            raise ValueError(f"format version {manifest.format_version}, not {FORMAT_VERSION}")
    except (ValueError, StorageError) as error:
        raise Corrupted(
            f"expected a manifest in {store.uri(key)}, received one that can't be read ({one_line(error, 200)})"
        ) from None
    return manifest


def check_listing(store: Store, prefix: str, manifest: Manifest) -> dict[str, Stored]:
    """Compares a bundle's objects with its manifest by name and size; returns them by name.

    Raises:
        Corrupted: a file is missing or has another size. One line that names the first.
    """
    found = {stored.key[len(prefix) + 1 :]: stored for stored in store.list(prefix)}
    for name, file in manifest.files.items():
        size = found[name].size if name in found else None
        if size != file.bytes:
            received = "none" if size is None else f"{size:,} bytes"
            raise Corrupted(
                f"expected {store.uri(f'{prefix}/{name}')} of {file.bytes:,} bytes as its {MANIFEST} says, "
                f"received {received}; it was changed or deleted since, so write it anew"
            )
    return found


def fetch(store: Store, prefix: str, path: pathlib.Path, label: str = "download") -> Manifest:
    """Downloads a whole bundle into the new directory `path`, and proves every file.

    Raises:
        NotFound: there is no whole bundle at `prefix`.
        Corrupted: files and manifest disagree; `path` does not appear then.
    """
    manifest = read_manifest(store, prefix)
    found = check_listing(store, prefix, manifest)
    with whole_directory(path) as beside:
        store.download_files([(found[name], beside.joinpath(*local_parts(name))) for name in manifest.files], label)
        for name, file in manifest.files.items():
            sha256 = sha256_of(beside.joinpath(*local_parts(name)))
            if sha256 != file.sha256:
                raise Corrupted(
                    f"expected {store.uri(f'{prefix}/{name}')} with sha256 {file.sha256} as its {MANIFEST} says, "
                    f"received {sha256}; it was changed since, so write it anew"
                )
    return manifest


def delete(store: Store, prefix: str) -> None:
    """Removes a bundle, the manifest first, so that it never counts in part; also one without a manifest."""
    store.delete(f"{prefix}/{MANIFEST}")
    store.delete_files([stored.key for stored in store.list(prefix)])
