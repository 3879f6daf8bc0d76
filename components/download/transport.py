"""Picks, by a place's scheme, who fetches from it. The one place to extend for another kind of store."""

import contextlib
import importlib.util
import pathlib
from collections.abc import Iterator

from components.core.errors import PipelineError
from components.core.progress import Progress
from components.download.cache import Cache
from components.download.file_to_fetch import (
    CHUNK,
    OWN_PICTURES,
    FileToFetch,
    Patience,
    PlaceFailedError,
    Sums,
    check_sums,
    sums_of,
)
from components.download.places import STORE_SCHEMES, path_behind, scheme_of
from components.download.room import require_room


def fetch_file(place: str, to_fetch: FileToFetch, target: pathlib.Path, cache: Cache, patience: Patience) -> Sums:
    """Brings the file at `place` to `target`, and says what it turned out to be.

    Raises:
        PlaceFailedError: this place has no such file; another may.
        PipelineError: the scheme is unknown, or the disk is full.
    """
    scheme = scheme_of(place)
    if scheme in ("http", "https"):
        from components.download import web  # imports requests, which most runs don't need

        return web.fetch_url(place, to_fetch, target, cache, patience)
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
