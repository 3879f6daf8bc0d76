"""The components' images: their names, which need no Docker, and making and pushing them, which does.

One build a target (cpu, gpu, jax), one tag a component. A tag is a hash of all that the component's behaviour in the
image depends on, so that KFP's caches, which compare image names, miss exactly when that component changed, and so that
a tag, once made, never means something else. Builds happen from a copy of the very files that were hashed.
"""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from components.core.errors import PipelineError, nearest
from pipeline import ROOT
from pipeline.images.build import DEFAULT_BASE, docker_build, obtain_base
from pipeline.images.engine import address, engine, held_images, short

if TYPE_CHECKING:
    import docker

COMPONENTS = ("download", "preprocess", "train", "choose", "evaluate", "export", "notify")
# jax: for the nodes of a training on several; has NVIDIA's libraries too, and trains on a CPU where there is no GPU.
Target = Literal["cpu", "gpu", "jax"]
DEFAULT_REPOSITORY = "conv2d-pipeline"
RECIPE = ("Dockerfile", "install.py", "install.sh")
BASE_LABEL = "org.opencontainers.image.base.name"
Say = Callable[[str], None]


def image(
    component: str,
    target: Target = "cpu",
    repository: str | None = None,
    base_image: str | None = None,
    root: pathlib.Path | None = None,
) -> str:
    """The name of a component's image: `<repository>:<component>-<12 hex>`, or `<component>-<target>-<12 hex>`.

    Reads the sources (1 ms), asks no engine. The hash covers the component's directory, components/core, the Dockerfile
    and its scripts, the target's locked requirements, and the name of the base image; file names and contents, neither
    times nor modes.

    Args:
        repository: `[host[:port]/]path`; by default CONV2D_IMAGE_REPOSITORY, else conv2d-pipeline.
        base_image: by default BASE_IMAGE, else python:3.11-slim.
        root: the directory that holds components/ and docker/; by default this project's.

    Raises:
        PipelineError: an unknown component or target, or a repository that is not a name Docker takes.
    """
    if component not in COMPONENTS:
        raise PipelineError(f"unknown component {component!r}; {nearest(component, list(COMPONENTS))}")
    if target not in get_args(Target):
        raise PipelineError(f"unknown image target {target!r}; {nearest(target, list(get_args(Target)))}")
    root = root or ROOT
    digest = hashlib.sha256(f"{_base_name(base_image)}\0".encode())
    for file in _sources(root, component, target):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    variant = component if target == "cpu" else f"{component}-{target}"
    return f"{_repository_name(repository)}:{variant}-{digest.hexdigest()[:12]}"


def missing(
    targets: Sequence[Target] = ("cpu",), repository: str | None = None, base_image: str | None = None
) -> list[str]:
    """The images that the engine does not hold.

    Raises:
        PipelineError: no engine answers.
    """
    held = held_images(engine(), _repository_name(repository))
    return [name for name in _names(targets, repository, base_image) if name not in held]


def build(
    targets: Sequence[Target] = ("cpu",),
    repository: str | None = None,
    base_image: str | None = None,
    say: Say = print,
) -> list[str]:
    """Makes the images that the engine lacks, with one `docker build` a target, and returns their names.

    An image that is there is neither built again nor moved; where all are, this takes 0.3 s and says nothing.

    Raises:
        PipelineError: no engine answers, the base image can't be had, or the build failed (its last lines are said).
    """
    if not missing(targets, repository, base_image):
        return []
    client = engine()
    base = obtain_base(client, _base_name(base_image), say)
    made = []
    with _copied_sources() as context:
        held = held_images(client, _repository_name(repository))
        for target in targets:
            names = [name for name in _names([target], repository, base_image, context) if name not in held]
            if names:
                docker_build(context, target, base, names, say)
                made += names
    held = held_images(client, _repository_name(repository))
    for name in made:
        if name not in held:
            raise PipelineError(
                f"expected the engine at {address()} to hold {name} after its build; is there another engine? "
                "set DOCKER_HOST to the one to use"
            )
        say(f"made {name}, {_size(held[name])}")
    return made


def push(
    targets: Sequence[Target] = ("cpu",),
    repository: str | None = None,
    base_image: str | None = None,
    say: Say = print,
) -> list[str]:
    """Builds what is missing, pushes the images that the registry lacks, and returns those as `name@sha256:...`.

    Raises:
        PipelineError: as for `build`; an image was built on a stand-in for its base; the registry refuses.
    """
    from docker import errors

    build(targets, repository, base_image, say)
    client = engine()
    held = held_images(client, _repository_name(repository))
    pushed = []
    for name in _names(targets, repository, base_image):
        base = (held[name]["Labels"] or {}).get(BASE_LABEL)
        if base != _base_name(base_image):
            raise PipelineError(
                f"expected {name} to be built on {_base_name(base_image)}, received one built on its stand-in {base}; "
                f"to push that, under tags of its own, set BASE_IMAGE={base}"
            )
        try:
            if digest := _digest_in_registry(client, name):
                say(f"there already: {name} {digest}")
                continue
            digest = _push(client, name)
        except (errors.DockerException, OSError) as error:
            raise PipelineError(
                f"expected the registry to take {name}, received: {short(error)}; try docker login, or set "
                "CONV2D_IMAGE_REPOSITORY to a repository of yours"
            ) from None
        say(f"pushed {name} {digest}")
        pushed.append(f"{name.rpartition(':')[0]}@{digest}")
    return pushed


def show(
    targets: Sequence[Target] = get_args(Target),
    repository: str | None = None,
    base_image: str | None = None,
    say: Say = print,
) -> None:
    """Says each image's name, and its size where the engine holds it.

    Raises:
        PipelineError: no engine answers.
    """
    held = held_images(engine(), _repository_name(repository))
    for name in _names(targets, repository, base_image):
        say(f"{name}  {_size(held[name]) if name in held else 'not built'}")


def _names(
    targets: Sequence[Target], repository: str | None, base_image: str | None, root: pathlib.Path | None = None
) -> list[str]:
    return [image(component, target, repository, base_image, root) for target in targets for component in COMPONENTS]


def _sources(root: pathlib.Path, component: str, target: str) -> list[pathlib.Path]:
    """The files that decide how a component behaves in its image, in an order that is the same everywhere."""
    files = [root / "components/__init__.py", *(root / f"docker/{name}" for name in RECIPE)]
    files += [root / f"docker/requirements/{lock}.txt" for lock in (target, "kfp", "uv")]
    for package in (component, "core"):
        for path in (root / "components" / package).rglob("*"):
            hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(root).parts)
            if not hidden and path.suffix != ".pyc" and path.is_file():
                files.append(path)
    return sorted(files, key=lambda file: file.relative_to(root).as_posix())


@contextlib.contextmanager
def _copied_sources() -> Iterator[pathlib.Path]:
    """A copy of all that is built from (0.5 MB), so that an edit during a build can't get under the wrong tag."""
    files = {
        file for component in COMPONENTS for target in get_args(Target) for file in _sources(ROOT, component, target)
    }
    with tempfile.TemporaryDirectory(prefix="conv2d-image-") as directory:
        for file in files:
            copy = pathlib.Path(directory) / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        yield pathlib.Path(directory)


def _repository_name(repository: str | None) -> str:
    name = repository or os.environ.get("CONV2D_IMAGE_REPOSITORY") or DEFAULT_REPOSITORY
    if not re.fullmatch(r"([A-Za-z0-9.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*", name):
        raise PipelineError(
            f"expected an image repository such as {DEFAULT_REPOSITORY} or host/project/{DEFAULT_REPOSITORY}, in lower "
            f"case and without a tag; received {name!r}"
        )
    return name


def _base_name(base_image: str | None) -> str:
    return base_image or os.environ.get("BASE_IMAGE") or DEFAULT_BASE


def _digest_in_registry(client: "docker.DockerClient", name: str) -> str | None:
    from docker import errors

    try:
        return client.api.inspect_distribution(name)["Descriptor"]["digest"]
    except errors.NotFound:
        return None


def _push(client: "docker.DockerClient", name: str) -> str:
    """Pushes one image and returns its digest."""
    from docker import errors

    repository, _, tag = name.rpartition(":")
    digest = ""
    for event in client.api.push(repository, tag, stream=True, decode=True):
        if "error" in event:
            raise errors.APIError(event["error"])
        digest = (event.get("aux") or {}).get("Digest", digest)
    return digest


def _size(entry: dict) -> str:
    return f"{entry['Size'] / 1e9:.2f} GB"
