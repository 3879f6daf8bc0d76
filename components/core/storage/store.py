"""A place for objects, whoever keeps it. The rest of the code knows this interface and no provider.

Imports lead downward only: store, then download, then objects, then what all of them share; a provider (gcs, s3, local)
knows none of these.
"""

import functools
import math
import os
import pathlib
from collections.abc import Callable

from components.core.files import files_below, require_free, unfinished
from components.core.progress import Progress
from components.core.storage.backend import Backend, Limits, Stored
from components.core.storage.download import Landing, reading, writing
from components.core.storage.errors import NotFound, StorageError, tell
from components.core.storage.location import Location, local_parts, parse
from components.core.storage.objects import Listing, Objects
from components.core.storage.parallel import run_all

# A damaged or replaced object is fetched again from the start this many times in all.
ROUNDS = 3
# Uploads in parts at once, each of which holds part * part_workers bytes.
LARGE_AT_ONCE = 2


class Store(Objects):
    """Objects, and the files and directories of this machine that become objects or are made of them."""

    def download_file(self, key: str, path: str | os.PathLike, label: str = "download") -> Stored:
        """Fetches an object into a file: parallel ranges, resumed after a kill, checked, then renamed into place."""
        return self.download_files([(self.stat(key), pathlib.Path(path))], label)[0]

    def download_directory(self, prefix: str, path: str | os.PathLike, label: str = "download") -> Listing:
        """Fetches all objects below `prefix`. Each file appears whole; those that are there already are kept.

        Raises:
            NotFound: there are none.
        """
        top = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        found = list(self.list(prefix))
        if not found:
            raise NotFound(f"expected objects below {self.uri(prefix)}/, received none; check the prefix")
        return self.download_files(
            [(stored, pathlib.Path(path, *local_parts(stored.key[len(top) :]))) for stored in found], label
        )

    def download_files(self, places: list[tuple[Stored, pathlib.Path]], label: str = "download") -> Listing:
        """Fetches objects, as a listing described them, into the files given beside them; describes them."""
        landings = [Landing(self, stored, path) for stored, path in places]
        left = [landing for landing in landings if not landing.there_already()]
        there = sum(landing.here for landing in landings)
        if places:
            path = places[0][1]
            with writing(path):  # at once, and not when the disk is full in an hour
                require_free(path.parent, sum(stored.size for stored, _ in places) - there, "make room")
        with Progress(label, sum(stored.size for stored, _ in places), "B", start=there) as progress:
            for rounds_left in reversed(range(ROUNDS)):
                tasks = (task for landing in left for task in landing.tasks(progress))
                run_all(tasks, self.limits.workers)
                left = [landing for landing in left if landing.failure]
                if not left:
                    break
                if not rounds_left and left[0].failure:
                    raise left[0].failure
                for landing in left:
                    landing.start_over(progress)
        return [landing.stored for landing in landings]

    def upload_file(self, path: str | os.PathLike, key: str, label: str = "upload") -> Stored:
        """Stores a file: parallel parts, each checked and retried; the object appears whole or not at all."""
        return self.upload_files([(pathlib.Path(path), key)], label)[0]

    def upload_directory(self, directory: str | os.PathLike, prefix: str = "", label: str = "upload") -> Listing:
        """Stores all files below a directory, under `prefix`; returns their descriptions, sorted by key."""
        path = pathlib.Path(directory)
        if not path.is_dir():
            raise StorageError(f"expected a directory to upload, received {path}")
        found = files_below(path)
        if left_out := list(filter(unfinished, found.values())):
            tell(f"{label}: {len(left_out):,} unfinished files are left out, for instance {left_out[0]}")
        top = prefix.strip("/")
        files = [(file, f"{top}/{name}".lstrip("/")) for name, file in found.items() if not unfinished(file)]
        if not files:
            raise StorageError(f"expected files to upload below {path}, received none")
        return self.upload_files(files, label)

    def upload_files(self, files: list[tuple[pathlib.Path, str]], label: str = "upload") -> Listing:
        """Stores files under the keys given beside them; returns their descriptions in the same order."""
        sizes = {}
        for path, _ in files:
            with reading(path):
                sizes[path] = path.stat().st_size
        results: dict[str, Stored] = {}
        with Progress(label, sum(sizes[path] for path, _ in files), "B") as progress:

            def small(path: pathlib.Path, key: str) -> None:
                with reading(path):
                    data = path.read_bytes()
                results[key] = self.write_bytes(key, data)
                progress.advance(len(data))

            def large(path: pathlib.Path, key: str) -> None:
                counted: list[int] = []

                def sent(amount: int) -> None:
                    counted.append(amount)
                    progress.advance(amount)

                results[key] = self.put_large(key, path, sent)
                # One that began anew has told too much.
                progress.advance(sizes[path] - sum(counted))

            def send(deed: Callable[[pathlib.Path, str], None], above: int, most: float, at_once: int) -> None:
                some = (file for file in files if above < sizes[file[0]] <= most)
                run_all((functools.partial(deed, *file) for file in some), at_once)

            send(small, -1, self.limits.chunk, self.limits.workers)
            # Held whole, and longer than what a download holds, so fewer at a time.
            send(small, self.limits.chunk, self.limits.part, self.limits.part_workers)
            send(large, self.limits.part, math.inf, LARGE_AT_ONCE)
        return [results[key] for _, key in files]


def open_store(uri: str, limits: Limits | None = None) -> Store:
    """Opens a place for objects: gs://, s3:// or minio://bucket[/prefix], file://, or a local path.

    Nothing is asked of the store yet; a missing bucket shows at the first use.

    Raises:
        StorageError: the URI is not one.
        Denied: no credentials found.
    """
    place = parse(uri)
    limits = limits or Limits()
    return Store(place, _backend(place, limits), limits)


def _backend(place: Location, limits: Limits) -> Backend:
    # Imported here: google-cloud-storage takes 0.6 s, boto3 0.3 s, and most processes need neither.
    if place.scheme == "gs":
        from components.core.storage.gcs import GcsBackend

        return GcsBackend(place.bucket, limits)
    if place.scheme in ("s3", "minio"):
        from components.core.storage.s3 import S3Backend

        return S3Backend(place.scheme, place.bucket, limits)
    from components.core.storage.local import LocalBackend

    return LocalBackend(place.prefix)
