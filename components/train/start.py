"""The trained model that a training starts from: fetched, proven, and what it says of itself."""

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np

from components.core.artifacts.model import MODEL_FILE, TRAINING_FILE
from components.core.artifacts.picture_hashes import LEARNED_FILE, read_hashes
from components.core.artifacts.served_model import EXPORT_MANIFEST, EXTRAS, read_description
from components.core.errors import PipelineError
from components.core.files import json_object, sha256_of
from components.core.registry import Registry
from components.core.start_place import WEIGHTS, WHOLE_MODEL, Pinned, is_pinned, named_version, read_pinned
from components.core.storage import NotFound, open_store
from components.train.settings import TrainSettings


@dataclasses.dataclass(frozen=True)
class Ancestor:
    """A trained model that another starts from.

    Attributes:
        name: for people: `digits version 3`, or its place.
        file: a .keras or a .weights.h5 file on this machine.
        sha256: the file's.
        class_names: what it answers with; None if it does not say.
        learned: uint64 [n], the hashes of the pictures that it has learned from; None if it does not say.
    """

    name: str
    file: pathlib.Path
    sha256: str
    class_names: list[str] | None
    learned: np.ndarray | None


def refuse_unseen_start(settings: TrainSettings) -> None:
    """Refuses a model that no look was taken at.

    Raises:
        PipelineError: the pipeline was compiled without one to start from, and started with one.
    """
    if not is_pinned(settings.start_from, settings.start_sha256, settings.start_version):
        raise PipelineError(
            f"start_from: expected a pipeline that was compiled with it, received {settings.start_from} for one that "
            "was not, so that another model there would go unnoticed; compile it with START_FROM="
        )


@contextlib.contextmanager
def found_ancestor(settings: TrainSettings) -> Iterator[Ancestor | None]:
    """Brings the model that the settings name to this machine for as long as the body runs; None if they name none.

    Raises:
        PipelineError: there is none, it has another SHA-256 than it should, or is no file of trained weights.
        StorageError: the store can't be asked.
    """
    if not settings.start_from:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="start-") as scratch:
        folder = pathlib.Path(scratch)
        if pinned := read_pinned(settings.start_version):
            found = _of_registry(pinned, folder / "version")
        elif named_version(settings.start_from):
            raise PipelineError(
                f"start_from: expected {settings.start_from} to be looked up, received it without a start_version; "
                "give publish_uri, the registry, or the path of a model"
            )
        else:
            found = _of_place(settings.start_from, folder)
        wanted = settings.start_sha256 or (pinned.sha256 if pinned else found.sha256)
        if found.sha256 != wanted:
            raise PipelineError(
                f"start_from: expected {found.name} with sha256 {wanted}, received {found.sha256}; it was changed since"
            )
        yield found


def _of_registry(pinned: Pinned, folder: pathlib.Path) -> Ancestor:
    """A version of the registry, each of its files compared with its SHA-256."""
    Registry(pinned.registry).fetch(pinned.name, pinned.version, folder)
    described = read_description(folder)
    name = f"{pinned.name} version {pinned.version}"
    return _described(name, folder / EXTRAS / MODEL_FILE, described.class_names if described else None)


def _of_place(place: str, folder: pathlib.Path) -> Ancestor:
    """A file, or a directory with model.keras: of a run, or an export. What lies beside model.keras tells about it."""
    uri = open_store(place).uri()
    directory, file = (uri, MODEL_FILE)
    if uri.endswith((WHOLE_MODEL, WEIGHTS)):
        directory, _, file = uri.rpartition("/")
    store = open_store(directory)
    try:
        store.download_file(file, folder / file)
    except NotFound:
        raise PipelineError(
            f"start_from: expected a directory with {MODEL_FILE}, or a {WHOLE_MODEL} or {WEIGHTS} file, received "
            f"{place}, where there is none"
        ) from None
    for other in (TRAINING_FILE, EXPORT_MANIFEST, LEARNED_FILE) if file == MODEL_FILE else ():
        with contextlib.suppress(NotFound):
            store.download_file(other, folder / other)
    told = json_object(folder / TRAINING_FILE) or json_object(folder / EXPORT_MANIFEST)
    return _described(store.uri(file), folder / file, told.get("class_names"))


def _described(name: str, file: pathlib.Path, class_names: list[str] | None) -> Ancestor:
    learned = file.with_name(LEARNED_FILE)
    try:
        hashes = read_hashes(learned) if learned.is_file() else None
    except (OSError, ValueError) as error:
        raise PipelineError(f"start_from: expected hashes of pictures in {LEARNED_FILE} of {name}: {error}") from None
    return Ancestor(name, file, sha256_of(file), class_names, hashes)
