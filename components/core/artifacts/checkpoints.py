"""The checkpoints of a training in a store, which train writes as it goes.

    CHECKPOINTS/RUN/STEP-TOKEN/checkpoint.npz   one checkpoint; the token makes each save's place its own
    CHECKPOINTS/RUN/STEP-TOKEN/manifest.json    written last: from then on it counts

KFP stores the model artifact after train has ended, for minutes if it is big. So train leaves the checkpoint after the
last epoch, from which a training whose pod was lost meanwhile goes straight to the model. The step that reads the model
removes it: evaluate, and choose in a sweep. Both run only if KFP has the model. One of fewer epochs stays: a run of the
same job at the same time is on its way, and would begin anew if its pod is lost.
"""

import contextlib
import pathlib
import re
import uuid
from collections.abc import Iterator
from typing import Any

from components.core.errors import PipelineError
from components.core.files import files_below
from components.core.storage import bundle, open_store
from components.core.storage.backend import Limits
from components.core.storage.errors import Corrupted, NotFound, StorageError, tell

RUN = re.compile(r"[0-9a-f]{16}")
CHECKPOINT = re.compile(r"\d{10}-\w+")
# The model is stored by then: a store that is away is not worth more of a step's time.
REMOVING = Limits(deadline_s=60)


def checkpoint_place(checkpoints: str, run: str) -> str:
    """The place of a run's checkpoint below the one of all runs; empty if there is none."""
    return f"{checkpoints.rstrip('/')}/{run}" if checkpoints else ""


def remove_checkpoints(*trainings: dict[str, Any]) -> None:
    """Removes what trainings have left in a store, as their training.json says it. If that fails, it is told."""
    try:
        for training in trainings:
            checkpoints, run = training.get("settings", {}).get("checkpoints", ""), training.get("run", "")
            if checkpoints and RUN.fullmatch(run):
                Checkpoints(checkpoint_place(checkpoints, run), REMOVING).remove(training.get("epochs", 0))
    except StorageError as error:
        _tell_kept(checkpoints, error)


class Checkpoints:
    """The checkpoints of one run, below `uri`, for instance gs://bucket/checkpoints/RUN_KEY."""

    def __init__(self, uri: str, limits: Limits | None = None):
        self.store = open_store(uri, limits)
        self.ours: list[str] = []  # what this process has saved or fetched
        self.told = False

    def save(self, directory: str | pathlib.Path, step: int) -> None:
        """Stores all files of `directory` as the checkpoint of `step` (an epoch; grows with training).

        Whole or not at all, at whatever moment the process ends. Then removes the one before it; others stay, as a run
        of the same job at the same time may be lost and need them.
        """
        place = f"{step:010d}-{uuid.uuid4().hex[:8]}"
        files = files_below(pathlib.Path(directory))
        bundle.write(self.store, place, files, bundle.manifest_of(files, {"step": step}), "checkpoint")
        with self._kept_at_worst():
            for before in self.ours:
                bundle.delete(self.store, before)
        self.ours = [place]

    def newest(self, path: str | pathlib.Path) -> int | None:
        """Downloads the newest whole checkpoint into the new directory `path`; returns its step, None if there is none.

        Raises:
            PipelineError: it is damaged. It is never skipped: who deletes it decides to lose it.
        """
        seen: list[str] = []
        while (places := self._places()) != seen:  # else a run of the same job has saved a newer one meanwhile
            for place in places:
                try:
                    bundle.fetch(self.store, place, pathlib.Path(path), "checkpoint")
                except NotFound:  # cut off while it was written, or taken away by a run of the same job
                    continue
                except Corrupted as damaged:
                    if not self._is_whole(place):
                        continue
                    raise PipelineError(
                        f"expected a whole checkpoint in {self.store.uri(place)}, received a damaged one ({damaged}); "
                        "delete it to go on from the one before it, or to train from the start"
                    ) from None
                self.ours.append(place)
                return _step(place)
            seen = places
        return None

    def delete(self) -> None:
        """Removes all checkpoints, for instance after the run has succeeded."""
        with self._kept_at_worst():
            self.remove()

    def remove(self, step: int = 0) -> None:
        """The same, if failing is an error; whole ones before `step` stay."""
        for place in self._places():
            if _step(place) >= step or not self._is_whole(place):
                bundle.delete(self.store, place)

    def _is_whole(self, place: str) -> bool:
        return self.store.exists(f"{place}/{bundle.MANIFEST}")

    @contextlib.contextmanager
    def _kept_at_worst(self) -> Iterator[None]:
        """Lets nothing be lost for want of tidying: the bucket may have a retention policy, or give no right to delete,
        or its store may be away as the trained model is about to be handed on. It is told once."""
        try:
            yield
        except StorageError as error:
            if not self.told:
                _tell_kept(self.store.uri(), error)
            self.told = True

    def _places(self) -> list[str]:
        """The checkpoints' directories, newest first, whole or not; what does not look like one is left alone."""
        return sorted(filter(CHECKPOINT.fullmatch, self.store.directories()), reverse=True)


def _tell_kept(place: str, error: StorageError) -> None:
    tell(f"note: checkpoints that are done with stay in {place}: {error}")


def _step(place: str) -> int:
    return int(place.partition("-")[0])
