"""The places a run names, as a local run needs to know them: where they lie on this machine, and what changed."""

import hashlib
import pathlib

from components.core.errors import PipelineError
from components.download.places import STORE_SCHEMES, local_path, public, scheme_of
from pipeline.parameters.parameters import Parameters

HEAD_TIMEOUT_S = 10
# What a server says that changes with the file.
VALIDATORS = ("ETag", "Last-Modified", "Content-Length")
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

    kfp's cache compares arguments, not contents: a changed file behind the same name would go unnoticed.

    Raises:
        PipelineError: a local source does not exist, or its store can't be asked.
    """
    places = {name: getattr(parameters, name) for name in WRITTEN}
    absolute = {name: str(local_path(place)) for name, place in places.items() if place and "://" not in place}
    parameters = parameters.model_copy(update=absolute)
    source = parameters.source
    if not source or parameters.source_version:
        return parameters
    path = local_source(source)
    if path is None:
        return parameters.model_copy(update={"source_version": _remote_state(source)})
    if not path.exists():
        raise PipelineError(f"expected a source, received {source!r}, which does not exist")
    return parameters.model_copy(update={"source": str(path.resolve()), "source_version": _local_state(path)})


def _local_state(path: pathlib.Path) -> str:
    """Size and modification time of every file stand for the content, as they do for make."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(entry for entry in path.rglob("*") if entry.is_file())
    for file in files:
        facts = file.stat()
        digest.update(f"{file.relative_to(path)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _remote_state(source: str) -> str:
    """What the store or server says that changes with the data; empty where a server says nothing, or nothing yet."""
    if scheme_of(source) in STORE_SCHEMES:
        from components.download import objects

        return objects.state(source)
    import requests

    try:
        answer = requests.head(source, allow_redirects=True, timeout=HEAD_TIMEOUT_S)
        answer.raise_for_status()
    except requests.RequestException:
        return ""  # download will try again, and say what is wrong with it
    said = [f"{name}: {answer.headers[name]}" for name in VALIDATORS if name in answer.headers]
    return hashlib.sha256("\n".join([public(source), *said]).encode()).hexdigest()[:16] if said else ""
