"""The places a run names, as a local run needs to know them: where they lie on this machine, and what changed."""

import json
import pathlib
from collections.abc import Sequence

from components.core.artifacts.model import MODEL_FILE
from components.core.artifacts.trial import parse_changes
from components.core.errors import PipelineError
from components.core.start_place import WEIGHTS, WHOLE_MODEL, named_version
from components.core.storage import location
from components.download.look import look, look_at_start
from components.download.places import path_behind, places_of, scheme_of
from components.train.network.architecture import backbone_of, parse_architecture
from pipeline.models.find import trained_in
from pipeline.parameters.parameters import STORE_PLACES, Parameters

# Below the outputs directory: where checkpoints go, unless the user names a place.
CHECKPOINTS = ".checkpoints"


def local_sources(parameters: Parameters) -> list[pathlib.Path]:
    """The local paths that a SOURCE names, and that of a table of labels."""
    places = (*places_of(parameters.source), parameters.labels)
    return [path_behind(place) for place in places if place and scheme_of(place) == "file"]


def read_places(parameters: Parameters, trials: Sequence[str] = ()) -> list[pathlib.Path]:
    """The local files and folders that the steps read, those of a sweep's trials too, besides their artifacts."""
    tried = (parse_changes(trial).get("architecture", parameters.architecture) for trial in trials)
    layers = (parse_architecture(text) for text in {parameters.architecture, *tried})
    weights = [backbone.arguments.get("weights", "") for each in layers if (backbone := backbone_of(each))]
    files = [_local_start(parameters.start_from), *map(_local_directory, weights)]
    return [*local_sources(parameters), *filter(None, files)]


def written_places(parameters: Parameters) -> dict[str, pathlib.Path]:
    """The local directories that the steps write to, besides their artifacts, by the parameter that names one."""
    return {name: path for name in STORE_PLACES if (path := _local_directory(getattr(parameters, name)))}


def with_places(parameters: Parameters, outputs: pathlib.Path) -> Parameters:
    """Makes local paths absolute, keeps checkpoints beside the runs, and puts the states of the source and of the model
    to start from into `source_version` and `start_version`.

    On a cluster a step of its own takes that look (pipeline/training.py).

    Raises:
        PipelineError: a local source does not exist, its store can't be asked, or the run would write into it.
    """
    _refuse_inside_the_source(parameters, outputs)
    checkpoints = {} if parameters.checkpoints else {"checkpoints": str(outputs / CHECKPOINTS)}
    absolute = {name: str(path) for name, path in written_places(parameters).items()} | checkpoints
    sources = [_absolute(place) for place in places_of(parameters.source)]
    seen = {
        "source": json.dumps(sources) if len(sources) > 1 else "".join(sources),
        "labels": _absolute(parameters.labels),
        "source_version": look(parameters.source, parameters.source_version, parameters.labels),
    }
    start = _start(parameters.start_from)
    registry = absolute.get("publish_uri", parameters.publish_uri)
    version = look_at_start(start, parameters.start_sha256, parameters.start_version, registry)
    return parameters.model_copy(update={**absolute, **seen, "start_from": start, "start_version": version})


def is_as_seen(parameters: Parameters, step: str) -> bool:
    """Whether what a step reads of this machine, pictures or a model to start from, looks as with_places saw it; True
    for other steps and places."""
    try:
        if step == "download" and local_sources(parameters):
            return look(parameters.source, labels=parameters.labels) == parameters.source_version
        if step == "train" and parameters.start_version and _local_start(parameters.start_from):
            return look(parameters.start_from) == parameters.start_version
    except PipelineError:  # it is gone
        return False
    return True


def _refuse_inside_the_source(parameters: Parameters, outputs: pathlib.Path) -> None:
    """Refuses what would put folders among the pictures: the next run would take them for classes."""
    for source in local_sources(parameters):
        for name, place in {"outputs": outputs, **written_places(parameters)}.items():
            if place.resolve().is_relative_to(source.resolve()):
                raise PipelineError(
                    f"{name}: expected a place outside of the source {str(source)!a}, received {str(place)!a}, so that "
                    "runs would write among the pictures"
                )


def _start(start_from: str) -> str:
    """The model to start from, made absolute; of a run's directory, the model that it trained."""
    path = _local_start(start_from)
    if not path:
        return start_from
    found = trained_in(path) or path
    if not ((found / MODEL_FILE).is_file() or (found.is_file() and found.name.endswith((WHOLE_MODEL, WEIGHTS)))):
        raise PipelineError(
            f"start_from: expected the directory of a run that trained, or a {WHOLE_MODEL} or {WEIGHTS} file, received "
            f"{str(path)!a}, where there is none; make run-local trains one"
        )
    # `latest` may lead to another run's by the time of the training. A file keeps its name: some link to one without.
    return str(found.resolve() if found.is_dir() else found.parent.resolve() / found.name)


def _local_start(start_from: str) -> pathlib.Path | None:
    """The model to start from on this machine; None for none, for a bucket's, and for a registry's."""
    return None if named_version(start_from) else _local_directory(start_from)


def _absolute(place: str) -> str:
    return str(path_behind(place).resolve()) if place and scheme_of(place) == "file" else place


def _local_directory(place: str) -> pathlib.Path | None:
    """The directory that a store's place names on this machine; None for none, and for a bucket."""
    if not place:
        return None
    found = location.parse(place)
    return pathlib.Path(found.prefix) if found.scheme == "file" else None
