"""A team's own copies of fetched originals: written once, proven at every read.

originals/IDENTITY/SHA256/NAME    the bytes, under their own checksum, so that two writers can't mix theirs
originals/IDENTITY/manifest.json  which of them counts: the first that was kept
"""

import pathlib
from typing import Any

from components.core.files import sha256_of
from components.core.storage import bundle
from components.core.storage.backend import Limits
from components.core.storage.errors import Corrupted, NotFound, PreconditionFailed, tell
from components.core.storage.store import open_store


class Originals:
    """Originals below `uri` (gs://bucket/prefix and so on).

    `identity` says which original is meant: its published checksum (`md5-c58f...`) if it has one, else a checksum
    of its address; letters, digits and dashes.
    """

    def __init__(self, uri: str, limits: Limits | None = None):
        self.store = open_store(uri, limits)

    def fetch(self, identity: str, path: str | pathlib.Path) -> bool:
        """Downloads an original to the file `path` and proves it; False if the mirror has none, or a damaged one.

        A damaged one is told in a line; `keep` repairs it with the same bytes.
        """
        prefix, path = _prefix(identity), pathlib.Path(path)
        try:
            manifest = bundle.read_manifest(self.store, prefix)
            (name, file), *_ = manifest.files.items()
            bundle.check_listing(self.store, prefix, manifest)
            self.store.download_file(f"{prefix}/{name}", path, "mirror")
            if sha256_of(path) != file.sha256:
                path.unlink()
                raise Corrupted(f"expected {self.store.uri(f'{prefix}/{name}')} with sha256 {file.sha256}")
        except NotFound:
            return False
        except Corrupted as damaged:
            tell(f"mirror: {damaged}; fetching the original instead")
            return False
        return True

    def keep(self, identity: str, path: str | pathlib.Path, facts: dict[str, Any] | None = None) -> None:
        """Keeps the file `path` as this original, unless one is kept already. Call it only with proven bytes.

        Args:
            facts: JSON values for the manifest, for instance where it came from (without credentials).
        """
        prefix, path = _prefix(identity), pathlib.Path(path)
        described = bundle.describe({path.name: path}, facts or {})
        file = described.files[path.name]
        name = f"{file.sha256}/{path.name}"
        manifest = bundle.Manifest(files={name: file}, facts=described.facts)
        # Same key, same bytes: also right if it repairs a damaged copy or meets another writer.
        self.store.upload_file(path, f"{prefix}/{name}", "mirror")
        try:
            bundle.write_manifest(self.store, prefix, manifest, if_absent=True)
        except PreconditionFailed:
            return


def _prefix(identity: str) -> str:
    return f"originals/{identity}"
