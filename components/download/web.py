"""A file from an http(s) place, by way of the cache, so that no byte is fetched twice."""

import pathlib
import shutil

from components.download.cache import Cache, Partial
from components.download.file_to_fetch import FileToFetch, Patience, PlaceFailedError, Sums, check_sums, sums_of
from components.download.places import public
from components.download.room import link_or_copy, require_room
from components.download.transfer import transfer


def fetch_url(url: str, to_fetch: FileToFetch, target: pathlib.Path, cache: Cache, patience: Patience) -> Sums:
    """Brings the file at `url` to `target`.

    Raises:
        PlaceFailedError: the place refused, gave up, or sent another file than was to come.
        PipelineError: no room on a disk.
    """
    original = cache.original(to_fetch, url)
    with cache.locked(original):
        if to_fetch.checksum is None:
            partial = cache.partial(original)
            transfer(url, partial, to_fetch, patience)
            arrived = sums_of(partial.path)
            # Nothing could prove it next time, so it is not kept.
            _make_room(target, arrived.bytes, cache)
            shutil.move(partial.path, target)
            partial.discard()
            return arrived
        _make_room(target, to_fetch.bytes or 0, cache)
        sums = _kept(original, to_fetch)
        if sums is None:
            sums = _proven(url, cache.partial(original), to_fetch, patience)
            cache.partial(original).path.replace(original)
            cache.partial(original).discard()
        _make_room(target, sums.bytes, cache)
        link_or_copy(original, target)
        return sums


def _kept(original: pathlib.Path, to_fetch: FileToFetch) -> Sums | None:
    """The sums of an original fetched before, if it is still what it was."""
    if not original.is_file():
        return None
    sums = sums_of(original)
    try:
        check_sums(sums, to_fetch, str(original))
    except PlaceFailedError as error:
        print(f"the copy kept in {original} is damaged ({error.reason}); fetching it again", flush=True)
        original.unlink()
        return None
    print(f"{to_fetch.name} is here already, in {original.parent}", flush=True)
    return sums


def _proven(url: str, partial: Partial, to_fetch: FileToFetch, patience: Patience) -> Sums:
    """Fetches until the checksum holds. A wrong sum of a file put together from two transfers says nothing about
    either, so that one is fetched once more, in one piece."""
    while True:
        continued = partial.size > 0
        transfer(url, partial, to_fetch, patience)
        sums = sums_of(partial.path)
        try:
            check_sums(sums, to_fetch, public(url))
        except PlaceFailedError:
            partial.discard()
            if not continued:
                raise
            print(f"{to_fetch.name} has the wrong checksum once put together; fetching it in one piece", flush=True)
        else:
            return sums


def _make_room(target: pathlib.Path, size: int, cache: Cache) -> None:
    if target.parent.stat().st_dev != cache.folder.stat().st_dev:
        require_room(target.parent, size)
