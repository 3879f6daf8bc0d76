"""Reads a listing of objects in a store: pictures that are read where they lie."""

import collections
import pathlib

from components.core.artifacts.raw import Listing, iter_listing, listed_at
from components.core.progress import Progress
from components.preprocess.sources.beside import READ, label_ending, telling_ending
from components.preprocess.sources.found import Found
from components.preprocess.sources.names import is_table
from components.preprocess.sources.payloads import InStore


def find_listed(path: pathlib.Path, listing: Listing, scratch: pathlib.Path, labelled: bool) -> Found:
    """The pictures among the objects of a listing; hidden and other files are left out, as in an archive.

    Args:
        labelled: by a table that the user named.

    Raises:
        PipelineError: there is no picture, or a table of labels is not as it was listed.
    """
    found = Found(listing.uri)
    payloads = InStore(path, listing.uri)
    labels: dict[str, list[tuple[str, int, int]]] = collections.defaultdict(list)
    with Progress("read", listing.objects, "objects") as progress:
        for offset, listed in iter_listing(path):
            folder = found.picture_in(listed.key)
            if folder is not None:
                found.add(listed.key, folder, offset, listed.size)
            elif is_table(listed.key):
                found.tables[listed.key] = scratch / f"table-{len(found.tables)}"
                found.tables[listed.key].write_bytes(b"".join(payloads.read([offset], [listed.size])))
            elif ending := label_ending(listed.key):
                labels[ending].append((listed.key, offset, listed.size))
            progress.advance(1)
    found.close(payloads, lambda first, last: (one.key for one in listed_at(path, found.offsets[first:last])))
    # A request each: only of those that may tell.
    ending = telling_ending(labels, len(found.folder_numbers))
    if ending and not found.tables_above and not labelled:
        names, offsets, sizes = zip(*labels[ending], strict=True)
        for name, data in zip(names, payloads.read(offsets, [min(size, READ) for size in sizes]), strict=True):
            found.beside.add(name, data)
    return found
