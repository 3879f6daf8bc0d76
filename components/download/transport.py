"""A file or a folder from wherever it lies. The one place to extend for another kind of store."""

import contextlib
import importlib.util
import pathlib
import shutil
from collections.abc import Iterator

from components.core.errors import PipelineError
from components.core.progress import Progress
from components.download.cache import Cache, Partial, link_or_copy, require_room
from components.download.file_to_fetch import (
    CHUNK,
    OWN_PICTURES,
    FileToFetch,
    PlaceFailedError,
    Sums,
    check_sums,
    sums_of,
)
from components.download.places import STORE_SCHEMES, path_behind, public, scheme_of


def fetch_file(place: str, to_fetch: FileToFetch, target: pathlib.Path, cache: Cache) -> Sums:
    """Brings the file at `place` to `target`, and says what it turned out to be.

    Raises:
        PlaceFailedError: this place has no such file; another may.
        PipelineError: the scheme is unknown, or the disk is full.
    """
    scheme = scheme_of(place)
    if scheme in ("http", "https"):
        return _fetch_url(place, to_fetch, target, cache)
    if scheme in STORE_SCHEMES:
        from components.download import objects

        return objects.fetch_object(place, to_fetch, target, cache)
    return _copy(_packaged(place) if scheme == "package" else path_behind(place), to_fetch, target)


@contextlib.contextmanager
def folder_at(place: str, cache: Cache) -> Iterator[pathlib.Path | None]:
    """The folder at a place, here for as long as the block runs; None if there is a file, or nothing."""
    scheme = scheme_of(place)
    if scheme in STORE_SCHEMES:
        from components.download import objects

        with objects.fetched_folder(place, cache) as folder:
            yield folder
        return
    path = path_behind(place) if scheme == "file" else None
    yield path if path and path.is_dir() else None


def _fetch_url(url: str, to_fetch: FileToFetch, target: pathlib.Path, cache: Cache) -> Sums:
    """By way of the cache, so that no byte is fetched twice."""
    from components.download.transfer import transfer  # imports requests, which most runs don't need

    original = cache.original(to_fetch, url)
    partial = Partial(original)
    with cache.locked(original):
        if not to_fetch.checksum:
            transfer(url, partial, to_fetch)
            # Nothing could prove it next time, so it is not kept.
            shutil.move(partial.path, target)
            partial.discard()
            return sums_of(target)
        if target.parent.stat().st_dev != cache.folder.stat().st_dev:
            require_room(target.parent, to_fetch.bytes or 0)
        sums = _kept(original, to_fetch)
        while sums is None:
            continued = partial.size > 0
            transfer(url, partial, to_fetch)
            sums = _proven(url, partial, to_fetch, original, continued)
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


def _proven(url: str, partial: Partial, to_fetch: FileToFetch, original: pathlib.Path, continued: bool) -> Sums | None:
    """The sums of what has come, which becomes the original. A wrong sum of a file put together from two transfers says
    nothing about either: None, and it is to be fetched once more, in one piece."""
    sums = sums_of(partial.path)
    try:
        check_sums(sums, to_fetch, public(url))
        partial.path.replace(original)
        return sums
    except PlaceFailedError:
        if not continued:
            raise
        print(f"{to_fetch.name} has the wrong checksum once put together; fetching it in one piece", flush=True)
        return None
    finally:
        partial.discard()


def _copy(source: pathlib.Path, to_fetch: FileToFetch, target: pathlib.Path) -> Sums:
    """A plain copy, never a link: the artifact must not change with the user's file, nor share its owner."""
    if not source.is_file():
        what = "a folder" if source.is_dir() else "no regular file" if source.exists() else "nothing"
        advice = OWN_PICTURES if source.is_dir() else "check the path"
        raise PlaceFailedError(f"expected the file {source}, received {what} there; {advice}", f"{what} there")
    size = source.stat().st_size
    require_room(target.parent, size)
    with source.open("rb") as read, target.open("wb") as write, Progress("copy", size, "B") as progress:
        while chunk := read.read(CHUNK):
            write.write(chunk)
            progress.advance(len(chunk))
    sums = sums_of(target)
    check_sums(sums, to_fetch, str(source))
    return sums


def _packaged(place: str) -> pathlib.Path:
    """The file of `package:<package>/<path>`, found without importing the package: scikit-learn's import costs 1 s."""
    package, _, path = place.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise PipelineError(f"expected the installed package {package}, which holds {path}, received none; install it")
    return pathlib.Path(spec.submodule_search_locations[0]) / path
