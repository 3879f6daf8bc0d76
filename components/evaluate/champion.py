"""The champion: fetched from the registry, every file proven by its SHA-256, and asked the same test pictures.

It is asked as it is served: by its SavedModel, and only pictures of the shape, and brought to it in the way, that it
was made for. A data set of other pictures is no fair test of it (comparing.py).
"""

import contextlib
import dataclasses
import difflib
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np

from components.core.artifacts.dataset import DatasetInfo
from components.core.artifacts.picture_hashes import LEARNED_FILE, read_hashes, split_hashes
from components.core.artifacts.served_model import DESCRIPTION, EXTRAS, load_served, read_description
from components.core.errors import PipelineError, one_line
from components.core.registry import Registry
from components.core.storage import Corrupted, NotFound, StorageError
from components.core.wording import listed
from components.evaluate.comparing import Asked, Duel, asked_pictures, class_not_asked, differently_made
from components.evaluate.looks import count_look
from components.evaluate.measure import measures
from components.evaluate.measure.predict import predict_test_split
from components.evaluate.settings import EvaluateSettings

LEARNED = f"{EXTRAS}/{LEARNED_FILE}"
NO_RECORD = f"it has no {LEARNED}, which says what pictures it learned from"
UNKNOWN_START = (
    f"the challenger was started from a model without {LEARNED_FILE}, so that nobody can know which pictures it has "
    "learned from"
)


@dataclasses.dataclass(frozen=True)
class AskedChampion:
    """The champion as it was found.

    Attributes:
        name: as people call it, for instance `digits version 3`.
        path: where its files were fetched to; None if nobody asked for a comparison.
        other: why it can't be compared on this data set; empty: it can.
        asked: the test pictures to compare on; None if there is no comparison.
        stranger: whether it has learned from none of the pictures that the challenger has to do with.
        duel: what a comparison is decided on, once it was asked.
    """

    name: str
    version: int
    path: pathlib.Path | None = None
    other: str = ""
    asked: Asked | None = None
    stranger: bool = False
    duel: Duel | None = None


@contextlib.contextmanager
def fetched_champion(
    settings: EvaluateSettings, dataset_path: str, info: DatasetInfo, challenger_learned: np.ndarray | None
) -> Iterator[AskedChampion | None]:
    """Finds the champion, and fetches it for as long as the body runs if it is to be compared with.

    Gives None if no registry is named, or it has no champion of that model.

    Args:
        challenger_learned: uint64 [n], the hashes of what the challenger has learned from; None if nobody knows.

    Raises:
        PipelineError: it is damaged; says what to do. StorageError: the registry can't be asked.
    """
    if not settings.publish_uri:
        yield None
        return
    registry = Registry(settings.publish_uri)
    pointer = registry.champion(settings.model_name)
    if pointer is None:
        _tell_of_other_names(registry, settings)
        yield None
        return
    name = f"{settings.model_name} version {pointer.version}"
    if settings.gate == "min_accuracy":
        yield AskedChampion(name, pointer.version)
        return
    with tempfile.TemporaryDirectory(prefix="champion-") as directory:
        path = pathlib.Path(directory) / "champion"
        try:
            registry.fetch(settings.model_name, pointer.version, path)
        except (Corrupted, NotFound) as damage:
            raise _incident(settings, name, damage) from None
        other, asked, stranger = _other_task(path, info), None, False
        if not other:
            learned = _learned(settings, name, path)
            if learned is None or challenger_learned is None:
                other = NO_RECORD if learned is None else UNKNOWN_START
            else:
                asked = asked_pictures(dataset_path, info, np.union1d(learned, challenger_learned))
                other = asked.other
                own = challenger_learned, split_hashes(dataset_path, info, "test")
                stranger = not any(np.isin(learned, hashes).any() for hashes in own)
        yield AskedChampion(name, pointer.version, path, other, asked, stranger)


def ask_champion(
    settings: EvaluateSettings,
    champion: AskedChampion,
    dataset_path: str,
    info: DatasetInfo,
    labels: np.ndarray,
    probabilities: np.ndarray,
) -> AskedChampion:
    """The champion with its duel, if it can be compared: its answers, and one more look at these pictures.

    Args:
        labels: int64 (n,), of the test pictures.
        probabilities: float (n, classes), the challenger's answers.

    Raises:
        PipelineError: it can't be loaded or run, or its answers are no probabilities; says what to do.
    """
    path, asked = champion.path, champion.asked
    if champion.other or not path or not asked:
        return champion
    if settings.gate_metric == "balanced_accuracy" and (other := class_not_asked(labels, asked.mask, info.class_names)):
        return dataclasses.replace(champion, other=other)
    answers = _answers(settings, champion.name, path, dataset_path, info)[asked.mask]
    both = probabilities[asked.mask], answers
    right, champion_right = ((each.argmax(axis=1) == labels[asked.mask]).astype(np.int8) for each in both)
    store = Registry(settings.publish_uri).store
    look = count_look(store, settings.model_name, asked.hashes, right - champion_right, champion.version)
    return dataclasses.replace(champion, duel=Duel(asked.mask, answers, look, asked.groups))


def _answers(
    settings: EvaluateSettings, name: str, path: pathlib.Path, dataset_path: str, info: DatasetInfo
) -> np.ndarray:
    """The champion's, float32 (n, classes), by the code that measures the challenger."""
    try:
        served = load_served(path)
        _, probabilities, _ = predict_test_split(
            lambda pictures, training: served(pictures), dataset_path, info, "evaluate the champion"
        )
        measures.check_probabilities(probabilities)
    except Exception as error:  # whatever TensorFlow says of a program that is not as its description promises
        raise _incident(settings, name, error) from None
    return probabilities


def _other_task(path: pathlib.Path, info: DatasetInfo) -> str:
    """Why this data set can't ask it, or nothing."""
    described = read_description(path)
    if described is None:
        return f"it has no {DESCRIPTION}, which names its classes"
    if described.class_names != info.class_names:
        return f"it answers other classes: {listed(described.class_names)}"
    return differently_made(described, info)


def _learned(settings: EvaluateSettings, name: str, path: pathlib.Path) -> np.ndarray | None:
    """What it has learned from; None if it does not say."""
    file = path / LEARNED
    if not file.is_file():
        return None
    try:
        return read_hashes(file)
    except (OSError, ValueError) as error:
        raise _incident(settings, name, error) from None


def _tell_of_other_names(registry: Registry, settings: EvaluateSettings) -> None:
    """A source that is called otherwise each month gives each month's model a name of its own, which no gate holds and
    no server follows. Own pictures' models were called classifier in 0.1.0."""
    try:
        names = registry.names()
    except StorageError:  # rights may end at the model's own folder
        return
    if names and (name := settings.model_name) not in names:
        alike = difflib.get_close_matches(name, names, n=len(names), cutoff=0)
        advice = "one of those as model_name compares with it, if they are one task"
        print(f"note: {name} is new to {settings.publish_uri}, which has {listed(alike)}: {advice}", flush=True)


def _incident(settings: EvaluateSettings, name: str, error: Exception) -> PipelineError:
    # Its advice, after the semicolon, is about other errands.
    why = one_line(str(error).partition("; ")[0], 500)
    model = settings.model_name
    return PipelineError(
        f"{name}, the champion, can't be compared with: {why}; make another version the champion (make models "
        f"ARGS='rollback {model}' or 'champion {model} VERSION'), or set gate=min_accuracy to replace it unseen"
    )
