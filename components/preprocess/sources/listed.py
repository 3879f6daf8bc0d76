"""Reads a listing of objects in a store: pictures that are read where they lie."""

import pathlib

from components.core.artifacts.raw import Listing, iter_listing, listed_at
from components.core.progress import Progress
from components.core.wording import printable
from components.preprocess.sources.found import Found
from components.preprocess.sources.payloads import InStore
from components.preprocess.sources.source import Source


def read_listed(path: pathlib.Path, listing: Listing) -> Source:
    """Class folders as read_layout understands them, hidden and other files left out, as in an archive.

    Raises:
        PipelineError: as read_layout does, or there is no picture.
    """
    found = Found()
    with Progress("read", listing.objects, "objects") as progress:
        for offset, listed in iter_listing(path):
            folder = found.picture_in(listed.name)
            if folder is not None:
                found.add(listed.name, folder, offset, listed.size)
            progress.advance(1)
    found.require_pictures(listing.uri)

    def name(picture: int) -> str:
        return printable(next(listed_at(path, [found.offsets[picture]])).name)

    return found.source(InStore(path, listing.uri), name, {})
