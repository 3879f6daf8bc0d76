"""A place for objects, whoever keeps it. The rest of the code knows this interface and no provider.

Imports lead downward only: store, then download and upload, then objects, then what all of them share; a provider
(gcs, s3, local) knows none of these.
"""

import os
import pathlib

from components.core.storage.backend import Backend, Limits, Stored
from components.core.storage.download import download_directory, download_files
from components.core.storage.errors import StorageError
from components.core.storage.location import Location, parse
from components.core.storage.objects import Objects
from components.core.storage.upload import upload_directory, upload_files

# What to install for a scheme whose client is missing. The image has both; a laptop that only submits may not.
CLIENTS = {"gs": "google-cloud-storage", "s3": "boto3", "minio": "boto3"}


class Store(Objects):
    """Objects, and the files and directories of this machine that become objects or are made of them."""

    def download_file(self, key: str, path: str | os.PathLike, label: str = "download") -> Stored:
        """Fetches an object into a file: parallel ranges, resumed after a kill, checked, then renamed into place."""
        return download_files(self, [(self.stat(key), pathlib.Path(path))], label)[0]

    def upload_file(self, path: str | os.PathLike, key: str, label: str = "upload") -> Stored:
        """Stores a file: parallel parts, each checked and retried; the object appears whole or not at all."""
        return upload_files(self, [(pathlib.Path(path), key)], label)[0]

    def download_directory(self, prefix: str, path: str | os.PathLike, label: str = "download") -> list[Stored]:
        """Fetches all objects below `prefix`. Each file appears whole; those that are there already are kept.

        Raises:
            NotFound: there are none.
        """
        return download_directory(self, prefix, pathlib.Path(path), label)

    def upload_directory(self, path: str | os.PathLike, prefix: str = "", label: str = "upload") -> list[Stored]:
        """Stores all files below `path`, under `prefix`."""
        return upload_directory(self, pathlib.Path(path), prefix, label)

    def upload_files(self, files: list[tuple[pathlib.Path, str]], label: str = "upload") -> list[Stored]:
        """Stores files under the keys given beside them, in no particular order."""
        return upload_files(self, files, label)

    def download_files(self, places: list[tuple[Stored, pathlib.Path]], label: str = "download") -> list[Stored]:
        """Fetches objects, as a listing described them, into the files given beside them."""
        return download_files(self, places, label)


def open_store(uri: str, limits: Limits | None = None) -> Store:
    """Opens a place for objects: gs://, s3:// or minio://bucket[/prefix], file://, or a local path.

    Nothing is asked of the store yet; a missing bucket shows at the first use.

    Raises:
        StorageError: the URI is not one, or the package for its scheme is not installed.
        Denied: no credentials found.
    """
    place = parse(uri)
    limits = limits or Limits()
    return Store(place, _backend(place, limits), limits)


def _backend(place: Location, limits: Limits) -> Backend:
    # Imported here: google-cloud-storage takes 0.6 s, boto3 0.3 s, and most processes need neither.
    try:
        if place.scheme == "gs":
            from components.core.storage.gcs import GcsBackend

            return GcsBackend(place.bucket, limits)
        if place.scheme in ("s3", "minio"):
            from components.core.storage.s3 import S3Backend

            return S3Backend(place.scheme, place.bucket, limits)
    except ImportError as missing:
        raise StorageError(
            f"{place.scheme}:// needs the package {CLIENTS[place.scheme]}, and {missing.name} is not installed; "
            "try `make clean`, then any make target, which makes the environment anew"
        ) from None
    from components.core.storage.local import LocalBackend

    return LocalBackend(place.prefix)
