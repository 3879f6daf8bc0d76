"""The places a run names, as a local run needs to know them: where they lie on this machine, and what changed."""

import pathlib

from components.download.look import look
from components.download.places import local_path, scheme_of
from pipeline.parameters.parameters import Parameters

# Parameters that name a place to write to: a store's URI, or a local directory.
WRITTEN = ("mirror", "checkpoints", "tensorboard_uri", "publish_uri")


def local_source(source: str) -> pathlib.Path | None:
    """The local path a SOURCE names, or None for none and for remote ones."""
    return local_path(source) if source and scheme_of(source) == "file" else None


def written_places(parameters: Parameters) -> list[pathlib.Path]:
    """The local directories that the steps write to, besides their artifacts."""
    return [local_path(place) for name in WRITTEN if (place := getattr(parameters, name)) and "://" not in place]


def with_places(parameters: Parameters) -> Parameters:
    """Makes local paths absolute, and puts the source's state into `source_version`.

    On a cluster a step of its own takes that look (pipeline/training.py).

    Raises:
        PipelineError: a local source does not exist, or its store can't be asked.
    """
    places = {name: getattr(parameters, name) for name in WRITTEN}
    absolute = {name: str(local_path(place)) for name, place in places.items() if place and "://" not in place}
    parameters = parameters.model_copy(update=absolute)
    seen = look(parameters.source, parameters.source_version)
    path = local_source(parameters.source)
    return parameters.model_copy(
        update={"source": str(path.resolve()) if path else parameters.source, "source_version": seen}
    )
