"""The places a run names, as a local run needs to know them: where they lie on this machine, and what changed."""

import json
import pathlib

from components.core.storage import location
from components.download.look import look
from components.download.places import local_path, places_of, scheme_of
from pipeline.parameters.parameters import STORE_PLACES, Parameters

# Below the outputs directory: where checkpoints go, unless the user names a place.
CHECKPOINTS = ".checkpoints"


def local_sources(parameters: Parameters) -> list[pathlib.Path]:
    """The local paths that a SOURCE names, and that of a table of labels."""
    places = (*places_of(parameters.source), parameters.labels)
    return [local_path(place) for place in places if place and scheme_of(place) == "file"]


def written_places(parameters: Parameters) -> list[pathlib.Path]:
    """The local directories that the steps write to, besides their artifacts."""
    found = [_local_directory(getattr(parameters, name)) for name in STORE_PLACES]
    return [path for path in found if path]


def with_places(parameters: Parameters, outputs: pathlib.Path) -> Parameters:
    """Makes local paths absolute, keeps checkpoints beside the runs, and puts the source's state into `source_version`.

    On a cluster a step of its own takes that look (pipeline/training.py).

    Raises:
        PipelineError: a local source does not exist, or its store can't be asked.
    """
    places = {name: getattr(parameters, name) for name in STORE_PLACES}
    places["checkpoints"] = places["checkpoints"] or str(outputs / CHECKPOINTS)
    absolute = {name: str(path) for name, place in places.items() if (path := _local_directory(place))}
    sources = [_absolute(place) for place in places_of(parameters.source)]
    seen = {
        "source": json.dumps(sources) if len(sources) > 1 else "".join(sources),
        "labels": _absolute(parameters.labels),
        "source_version": look(parameters.source, parameters.source_version, parameters.labels),
    }
    return parameters.model_copy(update={**absolute, **seen})


def _absolute(place: str) -> str:
    """A local place as an absolute path; any other as it is."""
    return str(local_path(place).resolve()) if place and scheme_of(place) == "file" else place


def _local_directory(place: str) -> pathlib.Path | None:
    """The directory that a store's place names on this machine; None for none, and for a bucket."""
    if not place:
        return None
    found = location.parse(place)
    return pathlib.Path(found.prefix) if found.scheme == "file" else None
