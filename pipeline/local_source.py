"""The data's source, as a local run needs to know it: where it lies on this machine, and whether it changed."""

import hashlib
import pathlib
import urllib.parse

from components.core.errors import PipelineError
from pipeline.parameters import Parameters


def local_source(source: str) -> pathlib.Path | None:
    """The local path a SOURCE names, or None for none and for remote ones."""
    url = urllib.parse.urlsplit(source)
    if url.scheme == "file":
        return pathlib.Path(urllib.parse.unquote(url.path))
    return pathlib.Path(source).absolute() if source and "://" not in source else None


def with_source_version(parameters: Parameters) -> Parameters:
    """Makes the path of a local source absolute, and puts its state into `source_version`.

    kfp's cache compares arguments, not contents: a changed file behind the same path would go unnoticed. Size and
    modification time of every file stand for the content, as they do for make.
    """
    path = local_source(parameters.source)
    if path is None:
        return parameters
    if not path.exists():
        raise PipelineError(f"expected a source, received {parameters.source!r}, which does not exist")
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(entry for entry in path.rglob("*") if entry.is_file())
    for file in files:
        facts = file.stat()
        digest.update(f"{file.relative_to(path)}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    version = parameters.source_version or digest.hexdigest()[:16]
    return parameters.model_copy(update={"source": str(path.resolve()), "source_version": version})
