"""Where a run's checkpoints lie: a directory, or a store that outlives the pod; under a key that the run itself gives.

The key is a digest of all that decides what the weights become: a retried step, a re-driven one and a new run of the
same job find the same checkpoint, and no other job does. It needs no run id, which would defeat KFP's cache.

Two runs of one job at the same time share the place: each writes whole checkpoints only, and goes on from the newest
whole one, whoever wrote it, as both are on the way to the same weights.

In a store:

    STEP-TOKEN/checkpoint.npz   one checkpoint; the token makes each save's place its own
    STEP-TOKEN/manifest.json    written last: from then on it counts
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import uuid
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from components.core.errors import PipelineError
from components.core.files import scratch_directory
from components.core.storage import bundle, open_store
from components.core.storage.backend import Limits
from components.core.storage.errors import Corrupted, NotFound, StorageError, tell
from components.train.checkpoint import Checkpoint


def run_key(identity: dict[str, Any]) -> str:
    """16 hexadecimal digits for a run."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def checkpoint_place(checkpoints: str, identity: dict[str, Any]) -> str:
    """The place of this run's checkpoint below the one of all runs; empty if there is none."""
    return f"{checkpoints.rstrip('/')}/{run_key(identity)}" if checkpoints else ""


def open_checkpoint(place: str, identity: dict[str, Any], scratch: str | os.PathLike) -> Checkpoint:
    """The checkpoint at `place`: a path or a store's URI.

    Args:
        scratch: a directory for the copy of one that lies in a store.
    """
    if "://" not in place or place.startswith("file://"):
        return Checkpoint(open_store(place).uri(), identity)
    return StoredCheckpoint(place, identity, scratch)


class StoredCheckpoint(Checkpoint):
    """A checkpoint in gs://, s3:// or minio://: written here, and uploaded whole."""

    def __init__(self, uri: str, identity: dict[str, Any], scratch: str | os.PathLike):
        ending = contextlib.ExitStack()
        super().__init__(ending.enter_context(scratch_directory(pathlib.Path(scratch) / "checkpoint")), identity)
        # Also if training fails: then when this process ends.
        self.clean = weakref.finalize(self, ending.close)
        self.stored = Checkpoints(uri)
        self.place = uri

    def save(self, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
        super().save(arrays, state)
        self.stored.save(self.path.parent, step=len(state["history"]))

    def load(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        fetched = self.path.parent / "fetched"
        if self.stored.newest(fetched) is None:
            return None
        (fetched / self.path.name).replace(self.path)
        shutil.rmtree(fetched)
        return super().load()

    def delete(self) -> None:
        super().delete()
        self.stored.delete()
        with contextlib.suppress(OSError):
            self.clean()


class Checkpoints:
    """The checkpoints of one run, below `uri`, for instance gs://bucket/checkpoints/RUN_KEY."""

    def __init__(self, uri: str, limits: Limits | None = None):
        self.store = open_store(uri, limits)
        self.told = False

    def save(self, directory: str | pathlib.Path, step: int) -> None:
        """Stores all files of `directory` as the checkpoint of `step` (an epoch; grows with training).

        Whole or not at all, at whatever moment the process ends. Then removes those before it; what has no manifest
        stays to the end, as a run of the same job may be writing it.
        """
        place = f"{step:010d}-{uuid.uuid4().hex[:8]}"
        files = bundle.files_below(pathlib.Path(directory))
        bundle.write(self.store, place, files, bundle.describe(files, {"step": step}), "checkpoint")
        with self._kept_at_worst():
            for other in self._places():
                if other != place and _step(other) <= step and self.store.exists(f"{other}/{bundle.MANIFEST}"):
                    bundle.delete(self.store, other)

    def newest(self, path: str | pathlib.Path) -> int | None:
        """Downloads the newest whole checkpoint into the new directory `path`; returns its step, None if there is none.

        Raises:
            PipelineError: it is damaged. It is never skipped: who deletes it decides to lose it.
        """
        for place in self._places():
            try:
                bundle.fetch(self.store, place, pathlib.Path(path), "checkpoint")
            except NotFound:  # cut off while it was written, or taken away by a run of the same job
                continue
            except Corrupted as damaged:
                if not self.store.exists(f"{place}/{bundle.MANIFEST}"):
                    continue
                raise PipelineError(
                    f"expected a whole checkpoint in {self.store.uri(place)}, received a damaged one ({damaged}); "
                    "delete it to go on from the one before it, or to train from the start"
                ) from None
            return _step(place)
        return None

    def delete(self) -> None:
        """Removes all checkpoints, for instance after the run has succeeded."""
        with self._kept_at_worst():
            for place in self._places():
                bundle.delete(self.store, place)

    @contextlib.contextmanager
    def _kept_at_worst(self) -> Iterator[None]:
        """Lets nothing be lost for want of tidying: the bucket may have a retention policy, or give no right to delete,
        or its store may be away as the trained model is about to be handed on. It is told once."""
        try:
            yield
        except StorageError as error:
            if not self.told:
                tell(f"note: checkpoints that are done with stay in {self.store.uri()}: {error}")
            self.told = True

    def _places(self) -> list[str]:
        """The checkpoints' directories, newest first, whole or not; what does not look like one is left alone."""
        children = [child for child in self.store.directories() if child.partition("-")[0].isdecimal()]
        return sorted(children, reverse=True)


def _step(place: str) -> int:
    return int(place.partition("-")[0])
