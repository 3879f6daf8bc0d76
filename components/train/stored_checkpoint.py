"""Where a run's checkpoints lie: a directory, or a store that outlives the pod; under a key that the run itself gives.

The key is a digest of all that decides what the weights become, so a retried step, a re-driven one and a new run of
the same job all find the same checkpoint, and no other job does. It needs no run id, which would defeat KFP's cache.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any

import numpy as np

from components.core.storage import open_store
from components.train.checkpoint import Checkpoint
from components.train.checkpoint_store import Checkpoints

# Where a local run keeps them, unless the user names a place.
VARIABLE = "CONV2D_CHECKPOINTS"


def run_key(identity: dict[str, Any]) -> str:
    """16 hexadecimal digits for a run."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def checkpoint_place(wanted: str, identity: dict[str, Any]) -> str:
    """The place of this run's checkpoint below the wanted one, else below CONV2D_CHECKPOINTS; empty without either."""
    base = wanted or os.environ.get(VARIABLE, "")
    return f"{base.rstrip('/')}/{run_key(identity)}" if base else ""


def open_checkpoint(place: str, identity: dict[str, Any], scratch: str | os.PathLike) -> Checkpoint:
    """The checkpoint at `place`: a path or a store's URI.

    Args:
        scratch: a directory for the copy of one that lies in a store.
    """
    if "://" not in place or place.startswith("file://"):
        return Checkpoint(open_store(place).uri(), identity)
    return StoredCheckpoint(place, identity, scratch)


class StoredCheckpoint(Checkpoint):
    """A checkpoint in gs://, s3:// or minio://: written here, uploaded whole, after every epoch."""

    def __init__(self, uri: str, identity: dict[str, Any], scratch: str | os.PathLike):
        pathlib.Path(scratch).mkdir(parents=True, exist_ok=True)
        self.copy = tempfile.TemporaryDirectory(prefix=".checkpoint-", dir=scratch)
        super().__init__(self.copy.name, identity)
        self.stored = Checkpoints(uri)
        self.place = uri

    def save(self, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
        super().save(arrays, state)
        self.stored.save(self.path.parent, step=len(state["history"]))

    def load(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        fetched = pathlib.Path(self.copy.name) / "fetched"
        if self.stored.newest(fetched) is None:
            return None
        (fetched / self.path.name).replace(self.path)
        shutil.rmtree(fetched)
        return super().load()

    def delete(self) -> None:
        super().delete()
        self.stored.delete()
        with contextlib.suppress(OSError):
            self.copy.cleanup()
