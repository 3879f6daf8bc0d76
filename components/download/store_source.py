"""What a URI of a user means: one object, or all objects below a prefix."""

import contextlib
import dataclasses
import pathlib

from components.core.storage import location
from components.core.storage.backend import Limits, Stored
from components.core.storage.errors import NotFound, StorageError
from components.core.storage.location import local_parts
from components.core.storage.store import Store, open_store


@dataclasses.dataclass(frozen=True)
class StoreSource:
    """Objects that a URI stands for.

    Attributes:
        uri: as given, without a slash at its end.
        is_file: whether it is a single object; else a prefix that is taken as a directory.
        objects: with keys below the bucket, sorted; without the empty ones that stand for a directory.
    """

    uri: str
    is_file: bool
    store: Store
    key: str
    objects: list[Stored]

    @property
    def bytes(self) -> int:
        """The size of all of it."""
        return sum(stored.size for stored in self.objects)

    @property
    def name(self) -> str:
        """The last part of its name: `photos.tar`, or the directory's."""
        return self.key.rpartition("/")[2] or self.store.location.bucket

    def fetch(self, path: str | pathlib.Path, label: str = "download") -> None:
        """Downloads it: a single object to the file `path`, a prefix into the directory `path`. Resumes; checks."""
        if self.is_file:
            self.store.download_files([(self.objects[0], pathlib.Path(path))], label)
        else:
            top = f"{self.key}/" if self.key else ""
            places = (pathlib.Path(path, *local_parts(stored.key.removeprefix(top))) for stored in self.objects)
            self.store.download_files(list(zip(self.objects, places, strict=True)), label)


def find(uri: str, limits: Limits | None = None) -> StoreSource:
    """Looks at what gs://, s3:// or minio://bucket[/key] stands for. A slash at the end means a prefix.

    Consoles, gcsfuse and others leave an empty object `photos` or `photos/cat` for a directory: what has objects below
    it is a directory.

    Raises:
        NotFound: neither an object nor a prefix with objects below it.
        StorageError: the URI is none of a bucket.
    """
    place = location.parse(uri)
    if place.scheme not in location.BUCKET_SCHEMES:
        raise StorageError(f"expected gs://, s3:// or minio://bucket/key, received {uri!r}")
    store, key = open_store(f"{place.scheme}://{place.bucket}", limits), place.prefix
    stored = None
    if key and not uri.endswith("/"):
        with contextlib.suppress(NotFound):
            stored = store.stat(key)
    if stored and stored.size:
        return StoreSource(place.uri(), True, store, key, [stored])
    objects = list(store.list(key))
    directories = {parent for found in objects for parent in _parents(found.key)}
    objects = [found for found in objects if found.size or found.key not in directories]
    if stored and not objects:
        return StoreSource(place.uri(), True, store, key, [stored])
    if not objects:
        raise NotFound(f"expected an object {place.uri()} or objects below it, received none; check the name")
    return StoreSource(place.uri(), False, store, key, objects)


def _parents(key: str) -> list[str]:
    """`a` and `a/b` of `a/b/c`."""
    parts = key.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
