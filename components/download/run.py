"""Download: copies the source of a data set, byte for byte, into the raw artifact.

Pictures below a prefix in a store are not copied: the artifact then has a listing, by which preprocess reads them.
"""

import contextlib
import hashlib
import pathlib
from collections.abc import Iterator

from components.core.artifacts.raw import LABELS_FILE, LISTING_FILE, SOURCE_FILE, Listing, RawFile, RawInfo
from components.core.catalog import DATASETS, KnownDataset, Original
from components.core.errors import PipelineError
from components.core.files import whole_directory, write_json
from components.core.progress import amount
from components.core.wording import printable
from components.download import packing
from components.download.cache import Cache
from components.download.file_to_fetch import FileToFetch, PlaceFailedError, Sums, sums_of
from components.download.mirror import Mirror
from components.download.places import STORE_SCHEMES, inside, name_of, places_of, public, scheme_of
from components.download.sanity import checked_kind
from components.download.settings import DownloadSettings
from components.download.transport import fetch_file, folder_at

PICTURES = "pictures"
Brought = tuple[RawFile, str]  # and its MD5


def download(settings: DownloadSettings, raw_path: str, known: KnownDataset | None = None) -> RawInfo:
    """Writes the raw artifact (core/artifacts/raw.py) at `raw_path`, whole or not at all.

    Without a source, from the data set's mirrors, proven by the published checksums. A broken transfer is continued,
    also by the next run: what came so far stays in the folder CONV2D_DOWNLOAD_CACHE, or else beside the artifact.

    Args:
        known: a data set that need not be in the catalog.

    Raises:
        PipelineError: the source is missing, refuses, or is not what was asked for; a checksum differs; no room.
    """
    known = known or DATASETS[settings.dataset]
    with whole_directory(raw_path) as folder:
        cache = Cache.beside(raw_path)
        mirror = Mirror(settings.mirror) if settings.mirror else None
        files = [_run(to_fetch, tried, known, folder, cache, mirror) for to_fetch, tried in _errands(settings, known)]
        info = _describe(settings, known, files)
        # A sum of them all accepts others.
        for original, md5 in _others(known, files) if settings.source and not settings.source_sha256 else ():
            raise PipelineError(
                f"expected {original.name} with md5 {original.md5}, received md5 {md5} from {info.uri}; if these "
                f"data are meant, give source_sha256={info.sha256}"
            )
        if settings.source_sha256 not in ("", info.sha256):
            received = f"{info.sha256} from {info.uri}"
            raise PipelineError(f"expected sha256 {settings.source_sha256}, received {received}; check source_sha256")
        write_json(folder / SOURCE_FILE, info.model_dump())
    for listing in (file.listing for file in info.files if file.listing):
        print(f"{listing.objects:,} objects below {listing.uri} stay there; preprocess reads them", flush=True)
    print(f"{info.title}: {amount(info.bytes, 'B')} from {info.uri}, sha256 {info.sha256}", flush=True)
    return info


def _errands(settings: DownloadSettings, known: KnownDataset) -> Iterator[tuple[FileToFetch, tuple[str, ...]]]:
    """Each file to fetch, and the places to try for it in turn."""
    own_sum = f"sha256-{settings.source_sha256}" if settings.source_sha256 else ""
    if not known.originals:
        places = places_of(settings.source)
        for number, place in enumerate(places, start=1):
            name = f"{PICTURES}-{number}" if len(places) > 1 else PICTURES
            yield FileToFetch(name, own_sum if len(places) == 1 and not settings.labels else ""), (place,)
        if settings.labels:
            yield FileToFetch(LABELS_FILE), (settings.labels,)
    several = len(known.originals) > 1
    for original in known.originals:
        published = f"md5-{original.md5}" if original.md5 else ""
        if not settings.source:
            yield FileToFetch(original.name, published, original.bytes), original.mirrors
            continue
        place = inside(settings.source, original.name) if several else settings.source
        # The user's own sum stands in for the published one. Those of several files are compared once all are here.
        yield FileToFetch(original.name, "" if several else own_sum or published), (place,)


def _run(
    to_fetch: FileToFetch,
    tried: tuple[str, ...],
    known: KnownDataset,
    folder: pathlib.Path,
    cache: Cache,
    mirror: Mirror | None,
) -> Brought:
    """One errand: fetches, looks the file over, and gives it its final name."""
    packed = known.format == "pictures" and to_fetch.name != LABELS_FILE
    if packed and mirror is None and (listed := _in_place(tried[0], to_fetch, folder)):
        return listed
    path, kind = folder / to_fetch.name, "tar"
    with folder_at(tried[0], cache) if packed else contextlib.nullcontext() as pictures:
        if pictures is not None:
            packing.pack(pictures, path)
            sums = sums_of(path)
        else:
            place, sums = _from_any(to_fetch, tried, path, cache, mirror)
            if packed:
                kind = checked_kind(path, public(place), proven=bool(to_fetch.checksum))
    if packed:
        path = path.rename(folder / f"{to_fetch.name}.{kind}")
    return _brought(path.name, sums, tried[0])


def _in_place(place: str, to_fetch: FileToFetch, folder: pathlib.Path) -> Brought | None:
    """The listing of a prefix in a store; None for any other place, and if the user's sum is of a copy."""
    if scheme_of(place) not in STORE_SCHEMES:
        return None
    from components.download import objects

    path = folder / LISTING_FILE.replace(".", f"{to_fetch.name.removeprefix(PICTURES)}.")
    listing = objects.list_folder(place, path)
    if listing is None:
        return None
    sums = sums_of(path)
    if to_fetch.checksum and sums.like(to_fetch.checksum) != to_fetch.checksum:
        path.unlink()
        return None
    return _brought(path.name, sums, place, listing)


def _brought(name: str, sums: Sums, place: str, listing: Listing | None = None) -> Brought:
    return RawFile(name=name, bytes=sums.bytes, sha256=sums.sha256, uri=public(place), listing=listing), sums.md5


def _from_any(
    to_fetch: FileToFetch,
    tried: tuple[str, ...],
    target: pathlib.Path,
    cache: Cache,
    mirror: Mirror | None,
) -> tuple[str, Sums]:
    """Fetches from the first place that can deliver; returns the place, too. The mirror is asked before all."""
    if not to_fetch.checksum:  # nobody could tell an old copy from a new origin
        mirror = None
    here = cache.original(to_fetch, tried[0]).is_file()
    if mirror is not None and not here and (sums := mirror.fetch(to_fetch, target)) is not None:
        return tried[0], sums
    failures = []
    for place in tried:
        try:
            sums = fetch_file(place, to_fetch, target, cache)
            if mirror is not None:
                mirror.keep(to_fetch, target)
            return place, sums
        except PlaceFailedError as failure:
            if len(tried) == 1:
                raise
            failures.append(f"{public(place)}: {failure.reason}")
            print(f"no {to_fetch.name} from {failures[-1]}", flush=True)
    raise PipelineError(
        f"expected {to_fetch.name} from one of {len(tried)} mirrors, received {'; '.join(failures)}; check the "
        "network, or give source= the path of a copy"
    )


def _describe(settings: DownloadSettings, known: KnownDataset, files: list[Brought]) -> RawInfo:
    """What source.json will say. Without a source the URI is that of the first mirror, whichever delivered: what came
    is the same to the byte, and so must the artifact be."""
    places = places_of(settings.source) or [known.originals[0].mirrors[0]]
    if not settings.source and len(files) > 1:
        places = [places[0].rpartition("/")[0]]
    described = [file for file, _ in files]
    sums = "".join(sorted(f"{file.sha256}  {file.name}\n" for file in described))
    return RawInfo(
        dataset=settings.dataset,
        title=_title(settings.dataset, [] if known.originals and not _others(known, files) else places),
        format=known.format,
        uri=", ".join(map(public, places)),
        labels=public(settings.labels) if settings.labels else "",
        files=described,
        bytes=sum(file.listing.bytes if file.listing else file.bytes for file in described),
        sha256=described[0].sha256 if len(files) == 1 else hashlib.sha256(sums.encode()).hexdigest(),
    )


def _others(known: KnownDataset, files: list[Brought]) -> list[tuple[Original, str]]:
    """The known data set's files that are not the published ones, each with its MD5."""
    each = zip(known.originals, files, strict=False)
    return [(original, md5) for original, (_, md5) in each if original.md5 not in ("", md5)]


def _title(dataset: str, own: list[str]) -> str:
    """Its name for people: a known data set's own, or that of the user's source, or of the first of several."""
    name = printable(name_of(own[0])) or dataset if own else dataset
    return f"{name} and {len(own) - 1:,} more" if len(own) > 1 else name
