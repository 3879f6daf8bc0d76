"""Checkpoints under a stable key: a retried or re-driven step finds the newest one that is whole.

    STEP-TOKEN/...              the files of one checkpoint
    STEP-TOKEN/manifest.json    written last: from then on it counts

Each save has a place of its own, so that none ever overwrites another in part.
"""

import pathlib
import uuid

from components.core.storage import bundle
from components.core.storage.backend import Limits
from components.core.storage.errors import Corrupted, NotFound, tell
from components.core.storage.store import open_store


class Checkpoints:
    """The checkpoints of one run, below `uri`, for instance gs://bucket/checkpoints/RUN_ID. One writer at a time."""

    def __init__(self, uri: str, keep: int = 2, limits: Limits | None = None):
        self.store, self.keep = open_store(uri, limits), keep

    def save(self, directory: str | pathlib.Path, step: int) -> None:
        """Stores all files of `directory` as the checkpoint of `step` (an epoch, a batch count; grows with training).

        Whole or not at all, at whatever moment the process ends. Then removes all but the `keep` newest.
        """
        place = f"{step:010d}-{uuid.uuid4().hex[:8]}"
        files = bundle.files_below(pathlib.Path(directory))
        bundle.write(self.store, place, files, bundle.describe(files, {"step": step}), "checkpoint")
        older = [other for other in self._places() if other != place and _step(other) <= step]
        # What has no manifest was cut off by a kill: it takes none of the kept ones' room.
        whole = [other for other in older if self.store.exists(f"{other}/{bundle.MANIFEST}")]
        for other in set(older) - set(whole[: self.keep - 1]):
            bundle.delete(self.store, other)

    def newest(self, path: str | pathlib.Path) -> int | None:
        """Downloads the newest whole checkpoint into the new directory `path`; returns its step, None where none is.

        A damaged one is named in a line, and the one before it is taken.
        """
        for place in self._places():
            try:
                bundle.fetch(self.store, place, pathlib.Path(path), "checkpoint")
            except NotFound:
                continue
            except Corrupted as damaged:
                tell(f"checkpoint {self.store.uri(place)} is refused: {damaged}")
                continue
            return _step(place)
        return None

    def delete(self) -> None:
        """Removes all checkpoints, for instance after the run has succeeded."""
        for place in self._places():
            bundle.delete(self.store, place)

    def _places(self) -> list[str]:
        """The checkpoints' directories, newest first, whole or not; what does not look like one is left alone."""
        children = [child for child in self.store.directories() if child.partition("-")[0].isdecimal()]
        return sorted(children, reverse=True)


def _step(place: str) -> int:
    return int(place.partition("-")[0])
