"""Files and folders from an object store, by way of the cache, so that a kill costs little; listings of folders."""

import contextlib
import hashlib
import os
import pathlib
import shutil
from collections.abc import Iterator

from components.core.artifacts.raw import Listing, write_listing
from components.core.errors import PipelineError
from components.core.files import files_below, hidden_beside, remove
from components.core.pictures.archives import MAX_MEMBERS
from components.core.progress import Progress
from components.core.storage import NotFound, Stored
from components.core.storage.location import check_key, local_parts
from components.download.cache import Cache, link_or_copy, url_digest
from components.download.file_to_fetch import OWN_PICTURES, FileToFetch, PlaceFailedError, Sums, check_sums, sums_of
from components.download.store_source import StoreSource, find_source


def fetch_object(place: str, to_fetch: FileToFetch, target: pathlib.Path, cache: Cache) -> Sums:
    """Brings the object at `place` to `target`: parallel ranges, each checked, continued after a kill.

    Raises:
        PlaceFailedError: there is no such object, or it is another file than was to come.
        StorageError: the store does not answer, or refuses.
    """
    original = cache.original(to_fetch, place)
    with cache.locked(original):
        try:
            source = find_source(place)
        except NotFound as missing:
            raise PlaceFailedError(str(missing), "no such object") from None
        if source.file is None:
            raise PlaceFailedError(
                f"expected an object at {place}, received a prefix of objects; {OWN_PICTURES}", "a prefix"
            )
        source.store.download_files([(source.file, original)])
        sums = sums_of(original)
        try:
            check_sums(sums, to_fetch, place)
            link_or_copy(original, target)
        finally:
            # The next run must ask the store again: what lies at a key may have changed.
            remove(original)
    return sums


def objects_below(place: str) -> StoreSource | None:
    """The objects below `place`; None if there are none, or one lies at it."""
    with contextlib.suppress(NotFound):
        source = find_source(place)
        return None if source.file else source
    return None


def list_folder(place: str, target: pathlib.Path) -> Listing | None:
    """Writes the listing of all objects below `place` to the file `target`, in constant memory.

    Returns:
        None if no objects lie below `place`, or one lies at it.

    Raises:
        StorageError: the store does not answer, refuses, or holds a key that is no safe path.
        PipelineError: there are more than a data set can have.
    """
    source = objects_below(place)
    return write_listing(target, source.uri, _listed(source)) if source else None


def _listed(source: StoreSource) -> Iterator[Stored]:
    with Progress("list", None, "objects") as progress:
        for count, stored in enumerate(source.objects(), start=1):
            if count > MAX_MEMBERS:
                raise PipelineError(
                    f"expected at most {MAX_MEMBERS:,} objects below {source.uri}, received more; give another prefix"
                )
            name = source.below(stored)
            local_parts(check_key(name))
            yield Stored(name, stored.size, stored.generation)
            progress.advance(1)


@contextlib.contextmanager
def fetched_folder(place: str, cache: Cache) -> Iterator[pathlib.Path | None]:
    """Downloads all objects below `place` into a folder of the cache that is there as long as the block runs.

    Gives None if there are none, or one lies at it.

    The folder of an earlier try that was killed is completed: whole files are kept where their checksums agree. Another
    run with the same place waits until the block ends, as it would take the folder away.

    Raises:
        StorageError: the store does not answer, refuses, or holds a key that is no safe path.
        PipelineError: the disk takes the names of two objects for one.
    """
    source = objects_below(place)
    if source is None:
        yield None
        return
    folder = cache.folder / f"objects-{url_digest(place)}"
    with cache.locked(folder):
        objects = list(source.objects())
        folder.mkdir(exist_ok=True)
        _forget_deleted({source.below(stored) for stored in objects}, folder)
        source.store.download_files([(each, folder.joinpath(*local_parts(source.below(each)))) for each in objects])
        try:
            if (files := sum(len(names) for *_, names in os.walk(folder))) < len(objects):
                raise PipelineError(
                    f"expected {len(objects):,} files in {folder}, received {files:,}: its disk takes names in "
                    f"{source.uri} for one that differ in capitals or accents; rename some, or set "
                    "CONV2D_DOWNLOAD_CACHE to another"
                )
            yield folder
        finally:
            remove(folder)


def state(place: str) -> str:
    """A digest of what lies at `place` now, by the store's own generations: another one if anything changed."""
    digest = hashlib.sha256()
    for stored in find_source(place).objects():
        digest.update(f"{stored.key}\0{stored.generation}\n".encode())
    return digest.hexdigest()[:16]


def _forget_deleted(there: set[str], folder: pathlib.Path) -> None:
    """Removes an earlier try's files that the store holds no more. What it holds and had come in part goes on."""
    gone = files_below(folder).keys() - there
    endings = ("partial", "partial.done")
    if gone and not gone <= {str(hidden_beside(pathlib.Path(name), ending)) for name in there for ending in endings}:
        shutil.rmtree(folder)
        folder.mkdir()
