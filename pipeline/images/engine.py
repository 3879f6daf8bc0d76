"""The Docker engine that holds images and runs containers, reached by its SDK."""

import contextlib
import errno
import os
import re
from typing import TYPE_CHECKING, Any

from components.core.errors import PipelineError, one_line

if TYPE_CHECKING:
    import docker


def engine() -> "docker.DockerClient":
    """The Docker engine, having answered.

    Raises:
        PipelineError: none answers.
    """
    import docker  # here: 0.2 s, which naming an image does not need

    os.environ["DOCKER_HOST"] = address()  # kfp.local and the docker command take the same one
    try:
        client = docker.from_env(timeout=10)
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        said = short(error)
        mend = "start one" if said != os.strerror(errno.EACCES) else "have yourself added to its group (docker)"
        raise PipelineError(f"expected a Docker engine at {address()}, received: {said}; {mend}") from None
    client.api.timeout = 600  # pulls and pushes are silent for minutes
    return client


def address() -> str:
    """Where the engine is, found as the docker command finds it: DOCKER_HOST, else the context that was chosen, as
    colima, Docker Desktop and rootless Docker do, else Docker's own socket."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    from docker.context import ContextAPI

    with contextlib.suppress(Exception):  # the SDK's own, of files that it can't read
        context = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT"))
        if context and context.Host:
            return context.Host
    return "unix:///var/run/docker.sock"


def held_images(client: "docker.DockerClient", repository: str) -> dict[str, dict[str, Any]]:
    """The engine's images of a repository by name, as its API lists them: Id, Created, Size, Labels."""
    listed = client.api.images(name=repository)
    return {
        name: entry for entry in listed for name in entry["RepoTags"] or [] if name.rpartition(":")[0] == repository
    }


def short(error: Exception) -> str:
    """The telling part of an error of the SDK, which nests them, on one line."""
    words = one_line(getattr(error, "explanation", None) or error)
    cause = re.search(r"Error\(\d+, '([^']+)'|\[Errno -?\d+\] ([^\"'()]+)", words)
    return (cause[1] or cause[2]) if cause else words[:300]
