"""Makes, pushes and lists the components' images, which needs a Docker engine."""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, get_args

from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.images.base_image import base_name, remember
from pipeline.images.docker_build import docker_build, obtain_base
from pipeline.images.engine import address, engine, held_images, short
from pipeline.images.names import COMPONENTS, Target, by_stage, names, repository, sources
from pipeline.images.statements import check_cosign, markers_of, sign, write_statements

if TYPE_CHECKING:
    import docker

# Docker's own variable, and what most clusters' nodes are: tags don't tell platforms apart.
PLATFORM = "DOCKER_DEFAULT_PLATFORM"
USUAL_PLATFORM = "linux/amd64"
BASE_LABEL = "org.opencontainers.image.base.name"


def missing(targets: Sequence[Target] = ("cpu",)) -> list[str]:
    """The images that the engine does not hold.

    Raises:
        PipelineError: no engine answers.
    """
    held = held_images(engine(), repository())
    return [name for name in names(targets) if name not in held]


def build(targets: Sequence[Target] = ("cpu",)) -> list[str]:
    """Makes the images that the engine lacks, with one `docker build` a stage, and returns their names.

    An image that is there is neither built again nor moved; if all are there, this takes 0.3 s and says nothing.

    Raises:
        PipelineError: no engine answers, the base image can't be had, or the build failed (its last lines are said).
    """
    if not missing(targets):
        return []
    client = engine()
    base = obtain_base(client, base_name())
    made = []
    with _copied_sources() as context:
        held = held_images(client, repository())
        for stage, images in by_stage(targets, context).items():
            lacking = [name for name in images if name not in held]
            if lacking:
                docker_build(context, stage, base, lacking)
                made += lacking
    held = held_images(client, repository())
    for name in made:
        if name not in held:
            raise PipelineError(
                f"expected the engine at {address()} to hold {name} after its build; is there another engine? "
                "set DOCKER_HOST to the one to use"
            )
        print(f"made {name}, {held[name]['Size'] / 1e9:.2f} GB")
    return made


def push(targets: Sequence[Target] = ("cpu",), key: str = "") -> list[str]:
    """Builds what is missing, pushes the images that the registry lacks, and returns those as `name@sha256:...`.

    Args:
        key: what cosign signs them with, a file, a KMS address or `keyless`; empty: they are not signed.

    Raises:
        PipelineError: as for `build`; an image was built on a stand-in for its base, or for other nodes; the registry
            refuses; cosign does.
    """
    from docker import errors

    if key:
        check_cosign(key)
    build(targets)
    client = engine()
    held = held_images(client, repository())
    pushed = []
    stages = {name: stage for stage, images in by_stage(targets).items() for name in images}
    for name, stage in stages.items():
        base = (held[name]["Labels"] or {}).get(BASE_LABEL)
        if base != base_name():
            raise PipelineError(
                f"expected {name} to be built on {base_name()}, received one built on its stand-in {base}; "
                f"to push that, under tags of its own, set BASE_IMAGE={base}"
            )
        _check_platform(client, name)
        try:
            if digest := _digest_in_registry(client, name):
                print(f"there already: {name} {digest}")
                continue
            digest = _push(client, name)
        except (errors.DockerException, OSError) as error:
            raise PipelineError(
                f"expected the registry to take {name}, received: {short(error)}; try docker login, or set "
                "CONV2D_IMAGE_REPOSITORY to a repository of yours"
            ) from None
        print(f"pushed {name} {digest}")
        pushed.append(f"{name.rpartition(':')[0]}@{digest}")
        statements = write_statements(name, stage, markers_of(client, name))
        if key:
            sign(pushed[-1], statements, key)
    remember()
    return pushed


@contextlib.contextmanager
def _copied_sources() -> Iterator[pathlib.Path]:
    """A copy of all that is built from (0.5 MB), so that an edit during a build can't get under the wrong tag."""
    every = [(component, target) for component in COMPONENTS for target in get_args(Target)]
    files = {source for component, target in every for source in sources(ROOT, component, target)}
    with tempfile.TemporaryDirectory(prefix="conv2d-image-") as directory:
        for name, file in files:
            copy = pathlib.Path(directory) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        yield pathlib.Path(directory)


def _check_platform(client: "docker.DockerClient", name: str) -> None:
    """Refuses an image that the cluster's nodes may not run, and that would keep its tag from one that they do."""
    wanted = os.environ.get(PLATFORM) or USUAL_PLATFORM
    image = client.images.get(name).attrs
    if (built := f"{image['Os']}/{image['Architecture']}") != wanted:
        raise PipelineError(
            f"expected images for nodes of {wanted}, received {name} for {built}: push from a machine like the nodes, "
            f"or, if they are {built}, set {PLATFORM}={built}"
        )


def _digest_in_registry(client: "docker.DockerClient", name: str) -> str | None:
    from docker import errors

    try:
        return client.api.inspect_distribution(name)["Descriptor"]["digest"]
    except errors.APIError as error:
        # Docker Hub forbids a look at a repository that the first push makes; that tells whether it may be made.
        if error.status_code in (401, 403, 404):
            return None
        raise


def _push(client: "docker.DockerClient", name: str) -> str:
    from docker import errors

    repository, _, tag = name.rpartition(":")
    digest = ""
    for event in client.api.push(repository, tag, stream=True, decode=True):
        if "error" in event:
            raise errors.APIError(event["error"])
        digest = (event.get("aux") or {}).get("Digest", digest)
    return digest
