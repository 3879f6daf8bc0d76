"""Files and folders from an object store, by way of the cache, so that a kill costs little."""

import contextlib
import hashlib
import pathlib
import shutil
from collections.abc import Iterator

from components.core.files import remove
from components.core.storage import NotFound
from components.download.cache import Cache, url_digest
from components.download.room import check_room, link_or_copy
from components.download.store_source import StoreSource, find
from components.download.wanted import PlaceFailedError, Sums, Wanted, check_sums, sums_of


def fetch(place: str, wanted: Wanted, target: pathlib.Path, cache: Cache) -> Sums:
    """Brings the object at `place` to `target`: parallel ranges, each checked, continued after a kill.

    Raises:
        PlaceFailedError: there is no such object, or it is another file than the wanted one.
        StorageError: the store does not answer, or refuses.
    """
    original = cache.original(wanted, place)
    with cache.locked(original):
        try:
            source = find(place)
        except NotFound as missing:
            raise PlaceFailedError(str(missing), "no such object") from None
        if not source.is_file:
            raise PlaceFailedError(f"expected an object at {place}, received a prefix of objects", "a prefix")
        check_room(cache.folder, source.bytes)
        source.fetch(original)
        sums = sums_of(original)
        try:
            check_sums(sums, wanted, place)
            link_or_copy(original, target)
        finally:
            # The next run must ask the store again: what lies at a key may have changed.
            remove(original)
    return sums


def is_folder(place: str) -> bool:
    """Whether objects lie below `place`, and none at it."""
    try:
        return not find(place).is_file
    except NotFound:
        return False


@contextlib.contextmanager
def fetched_folder(place: str, cache: Cache) -> Iterator[pathlib.Path]:
    """Downloads all objects below `place` into a folder of the cache that is there as long as the block runs.

    The folder of an earlier try that was killed is completed: whole files are kept where their checksums agree. Another
    run with the same place waits until the block ends, as it would take the folder away.

    Raises:
        StorageError: the store does not answer, refuses, or holds a key that is no safe path.
    """
    folder = cache.folder / f"objects-{url_digest(place)}"
    with cache.locked(folder):
        source = find(place)
        folder.mkdir(exist_ok=True)
        _forget_deleted(source, folder)
        check_room(cache.folder, source.bytes)
        source.fetch(folder)
        try:
            yield folder
        finally:
            remove(folder)


def state(place: str) -> str:
    """A digest of what lies at `place` now, by the store's own generations: another one if anything changed."""
    digest = hashlib.sha256()
    for stored in find(place).objects:
        digest.update(f"{stored.key}\0{stored.generation}\n".encode())
    return digest.hexdigest()[:16]


def _forget_deleted(source: StoreSource, folder: pathlib.Path) -> None:
    """Removes an earlier try's files if the store holds some of them no more."""
    top = f"{source.key}/" if source.key else ""
    there = {stored.key.removeprefix(top) for stored in source.objects}
    if any(path.is_file() and path.relative_to(folder).as_posix() not in there for path in folder.rglob("*")):
        shutil.rmtree(folder)
        folder.mkdir()
