"""The team's own copies of originals: a slow origin is paid for once a team, not once a run.

originals/CHECKSUM/NAME    the bytes, under the checksum that proves them, so that every writer of a key writes the same
"""

import pathlib

from components.core.files import scratch_directory
from components.core.storage import Limits, NotFound, StorageError, open_store
from components.core.storage.errors import tell
from components.download.file_to_fetch import FileToFetch, PlaceFailedError, Sums, check_sums, sums_of


class Mirror:
    """Originals with a known checksum, in the store at `uri`."""

    def __init__(self, uri: str, limits: Limits | None = None):
        self.uri, self.store = uri, open_store(uri, limits)

    def fetch(self, to_fetch: FileToFetch, target: pathlib.Path) -> Sums | None:
        """Brings the team's copy to `target`; None if there is none, or none that is proven, which is told."""
        try:
            with scratch_directory(target) as beside:  # what lies there becomes part of the artifact
                copy = beside / to_fetch.name
                self.store.download_file(_key(to_fetch), copy, "mirror")
                sums = sums_of(copy)
                check_sums(sums, to_fetch, self.uri)
                copy.rename(target)
        except NotFound:
            return None
        except (StorageError, PlaceFailedError) as failure:
            tell(f"mirror: {failure}; fetching the original instead")
            return None
        tell(f"{to_fetch.name} from the mirror {self.uri}")
        return sums

    def keep(self, to_fetch: FileToFetch, path: pathlib.Path) -> None:
        """Gives the team a copy of proven bytes. One that can't be given is told, and costs this run nothing."""
        try:
            self.store.upload_file(path, _key(to_fetch), "mirror")
        except StorageError as failure:
            tell(f"mirror: {to_fetch.name} was not kept: {failure}")


def _key(to_fetch: FileToFetch) -> str:
    return f"originals/{to_fetch.checksum}/{to_fetch.name}"
