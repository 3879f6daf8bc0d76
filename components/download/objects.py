"""Files and folders from an object store, by way of the cache, so that a kill costs little."""

import hashlib
import pathlib
import shutil

from components.core.files import remove
from components.core.storage import NotFound, Store, open_store
from components.download.cache import Cache, url_digest
from components.download.disk import check_room, link_or_copy
from components.download.wanted import PlaceFailedError, Sums, Wanted, check_sums, sums_of


def fetch(place: str, wanted: Wanted, target: pathlib.Path, cache: Cache) -> Sums:
    """Brings the object at `place` to `target`: parallel ranges, each checked, continued after a kill.

    Raises:
        PlaceFailedError: there is no such object, or it is another file than the wanted one.
        StorageError: the store does not answer, or refuses.
    """
    store, key = _object(place)
    original = cache.original(wanted, place)
    with cache.locked(original):
        try:
            check_room(cache.folder, store.stat(key).size)
            store.download_file(key, original)
        except NotFound as missing:
            raise PlaceFailedError(str(missing), "no such object") from None
        sums = sums_of(original)
        try:
            check_sums(sums, wanted, place)
            link_or_copy(original, target)
        finally:
            # The next run must ask the store again: what lies at a key may have changed.
            remove(original)
    return sums


def is_folder(place: str) -> bool:
    """Whether objects lie below `place`, taken as a folder, and none at it."""
    store, key = _object(place)
    return not store.exists(key) and next(store.list(f"{key}/"), None) is not None


def fetch_folder(place: str, cache: Cache) -> pathlib.Path:
    """Downloads all objects below `place` into a folder of the cache, which the caller removes when it has used it.

    The folder of an earlier try that was killed is completed: whole files are kept where their checksums agree.

    Raises:
        StorageError: the store does not answer, refuses, or holds a key that is no safe path.
    """
    folder = cache.folder / f"objects-{url_digest(place)}"
    _forget_deleted(open_store(place), folder)
    open_store(place).download_directory("", folder)
    return folder


def state(place: str) -> str:
    """A digest of what lies at `place` now, by the store's own generations: another one where anything changed."""
    store, key = _object(place)
    found = [store.stat(key)] if store.exists(key) else list(store.list(f"{key}/"))
    digest = hashlib.sha256()
    for stored in found:
        digest.update(f"{stored.key}\0{stored.generation}\n".encode())
    return digest.hexdigest()[:16]


def _object(place: str) -> tuple[Store, str]:
    """The store of a place's parent, and the name in it."""
    parent, _, name = place.rstrip("/").rpartition("/")
    if parent.endswith(":/"):  # the whole bucket: a folder
        return open_store(place), ""
    return open_store(parent), name


def _forget_deleted(store: Store, folder: pathlib.Path) -> None:
    """Removes files of an earlier try that the store holds no more."""
    if not folder.is_dir():
        return
    there = {stored.key for stored in store.list()}
    if any(path.is_file() and path.relative_to(folder).as_posix() not in there for path in folder.rglob("*")):
        shutil.rmtree(folder)
