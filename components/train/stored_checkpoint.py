"""Where a run's checkpoints lie: a directory, or a store that outlives the pod; under a key that the run itself gives.

The key is a digest of all that decides what the weights become: a retried step, a re-driven one and a new run of the
same job find the same checkpoint, and no other job does. It needs no run id, which would defeat KFP's cache.

Two runs of one job at the same time share the place: each writes whole checkpoints only, and goes on from the newest
whole one, whoever wrote it, as both are on the way to the same weights.
"""

import hashlib
import json
import os
import pathlib
from typing import Any

import numpy as np

from components.core.artifacts.checkpoints import Checkpoints
from components.core.files import scratch_directory
from components.core.storage import open_store
from components.train.checkpoint import FILE, Checkpoint


def run_key(identity: dict[str, Any]) -> str:
    """16 hexadecimal digits for a run."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def open_checkpoint(place: str, identity: dict[str, Any], scratch: str | os.PathLike, kept: bool = False) -> Checkpoint:
    """The checkpoint at `place`: a path or a store's URI.

    Args:
        scratch: a directory for the copy of one that lies in a store.
        kept: as Checkpoint has it.
    """
    if "://" not in place or place.startswith("file://"):
        checkpoint = Checkpoint(open_store(place).uri(), identity)
    else:
        checkpoint = StoredCheckpoint(place, identity, scratch)
    checkpoint.kept = kept
    return checkpoint


class StoredCheckpoint(Checkpoint):
    """A checkpoint in gs://, s3:// or minio://: written here, uploaded whole, and gone from here."""

    def __init__(self, uri: str, identity: dict[str, Any], scratch: str | os.PathLike):
        super().__init__(scratch, identity)
        self.scratch = pathlib.Path(scratch) / "checkpoint"
        self.stored = Checkpoints(uri)
        self.place = uri

    def save(self, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
        with scratch_directory(self.scratch) as directory:
            self.path = directory / FILE
            super().save(arrays, state)
            self.stored.save(directory, step=len(state["history"]))

    def load(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        with scratch_directory(self.scratch) as directory:
            self.path = directory / "fetched" / FILE
            return None if self.stored.newest(self.path.parent) is None else super().load()

    def delete(self) -> None:
        self.stored.delete()
