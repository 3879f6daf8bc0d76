"""The team's own copies of originals: a slow origin is paid for once a team, not once a run.

originals/CHECKSUM/SHA256/NAME    the bytes, under their own checksum, so that two writers can't mix theirs
originals/CHECKSUM/manifest.json  which of them counts: the last that was kept, so that a damaged one is mended
"""

import pathlib

from components.core.storage import Limits, NotFound, StorageError, bundle, open_store
from components.core.storage.errors import tell
from components.download.file_to_fetch import FileToFetch, PlaceFailedError, Sums, check_sums, sums_of


class Mirror:
    """Originals with a known checksum, in the store at `uri`.

    A file that nothing proves is neither kept nor taken: nobody could tell an old copy from a new origin.
    """

    def __init__(self, uri: str, limits: Limits | None = None):
        self.uri, self.store = uri, open_store(uri, limits)

    def fetch(self, to_fetch: FileToFetch, target: pathlib.Path) -> Sums | None:
        """Brings the team's copy to `target`; None if there is none, or none that is proven, which is told."""
        if to_fetch.checksum is None:
            return None
        prefix = _prefix(to_fetch)
        try:
            manifest = bundle.read_manifest(self.store, prefix)
            bundle.check_listing(self.store, prefix, manifest)
            self.store.download_file(f"{prefix}/{next(iter(manifest.files))}", target, "mirror")
            sums = sums_of(target)
            check_sums(sums, to_fetch, self.uri)
        except NotFound:
            return None
        except (StorageError, PlaceFailedError) as failure:
            tell(f"mirror: {failure}; fetching the original instead")
            target.unlink(missing_ok=True)
            return None
        tell(f"{to_fetch.name} from the mirror {self.uri}")
        return sums

    def keep(self, to_fetch: FileToFetch, path: pathlib.Path, origin: str) -> None:
        """Gives the team a copy of proven bytes. One that can't be given is told, and costs this run nothing.

        Args:
            origin: where it came from, without credentials.
        """
        if to_fetch.checksum is None:
            return
        prefix = _prefix(to_fetch)
        try:
            described = bundle.manifest_of({path.name: path}, {"origin": origin})
            file = described.files[path.name]
            name = f"{file.sha256}/{path.name}"
            # Same key, same bytes: also right if it repairs a damaged copy or meets another writer.
            self.store.upload_file(path, f"{prefix}/{name}", "mirror")
            manifest = described.model_copy(update={"files": {name: file}})
            bundle.write_manifest(self.store, prefix, manifest)
        except StorageError as failure:
            tell(f"mirror: {to_fetch.name} was not kept: {failure}")


def _prefix(to_fetch: FileToFetch) -> str:
    assert to_fetch.checksum is not None, "what nothing proves is not kept"
    return f"originals/{to_fetch.checksum.algorithm}-{to_fetch.checksum.digits}"
