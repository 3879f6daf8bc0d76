"""The team's own copies of originals: a slow origin is paid for once a team, not once a run."""

import pathlib

from components.core.storage import StorageError
from components.download.file_to_fetch import Checksum, FileToFetch, PlaceFailedError, Sums, check_sums, sums_of
from components.download.originals import Originals


class Mirror:
    """Originals with a known checksum, in the store at `uri`.

    A file that nothing proves is neither kept nor taken: nobody could tell an old copy from a new origin.
    """

    def __init__(self, uri: str):
        self.uri, self.kept = uri, Originals(uri)

    def fetch(self, to_fetch: FileToFetch, target: pathlib.Path) -> Sums | None:
        """Brings the team's copy to `target`; None if there is none, or one that proves wrong."""
        if to_fetch.checksum is None:
            return None
        try:
            if not self.kept.fetch(_identity(to_fetch.checksum), target):
                return None
        except StorageError as failure:
            print(f"mirror: {failure}; fetching the original instead", flush=True)
            return None
        sums = sums_of(target)
        try:
            check_sums(sums, to_fetch, self.uri)
        except PlaceFailedError as wrong:
            print(f"mirror: {wrong}; fetching the original instead", flush=True)
            target.unlink()
            return None
        print(f"{to_fetch.name} from the mirror {self.uri}", flush=True)
        return sums

    def keep(self, to_fetch: FileToFetch, path: pathlib.Path, origin: str) -> None:
        """Gives the team a copy. One that can't be given is told, and costs this run nothing."""
        if to_fetch.checksum is None:
            return
        try:
            self.kept.keep(_identity(to_fetch.checksum), path, {"origin": origin})
        except StorageError as failure:
            print(f"mirror: {to_fetch.name} was not kept: {failure}", flush=True)


def _identity(checksum: Checksum) -> str:
    return f"{checksum.algorithm}-{checksum.digits}"
