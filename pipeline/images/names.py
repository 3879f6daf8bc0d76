"""The names of the components' images. Naming needs no Docker.

One build a stage of the Dockerfile (data, and cpu, gpu or jax), one tag a component. A tag is a hash of all that the
component's behaviour in the image depends on: KFP's caches, which compare image names, miss exactly when that component
changed. A tag, once made, never means something else. Builds happen from a copy of the very files that were hashed.
"""

import hashlib
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Literal

from components.core.errors import PipelineError
from pipeline import ROOT, docker_folder
from pipeline.images.base_image import base_name

COMPONENTS = ("check", "download", "preprocess", "train", "choose", "evaluate", "export", "predict", "notify")
# jax: for the nodes of a training on several; has NVIDIA's libraries too, and trains on a CPU if there is no GPU.
Target = Literal["cpu", "gpu", "jax"]
# They handle files and need no framework: their image, the Dockerfile's stage `data`, has a third of the others' size.
WITHOUT_FRAMEWORK = ("check", "download", "preprocess", "choose", "notify")
# What check reads in other folders: the settings, and what they import (tests/test_house_rules.py follows that).
READ_BY_CHECK = (
    *("download/places.py", "download/settings.py", "preprocess/settings.py", "evaluate/settings.py"),
    *("export/settings.py", "export/formats/formats.py", "train/settings.py", "train/class_weight.py"),
    *("train/errors.py", "train/json_or_yaml.py", "train/optimizer_spec.py", "train/network/architecture.py"),
    *("train/network/augmentation.py", "train/network/layer_list.py"),
)
DEFAULT_REPOSITORY = "conv2d-pipeline"
RECIPE = ("Dockerfile", "install.py", "install.sh", "strip_symbols.py")


def image(component: str, target: Target = "cpu", root: pathlib.Path | None = None) -> str:
    """The name of a component's image: `<repository>:<component>-<12 hex>`, or `<component>-<target>-<12 hex>`.

    A component without a framework has the same image for every target. Reads the sources (1 ms), asks no engine. The
    hash covers the component's directory, components/core, the Dockerfile and its scripts, the locked requirements, and
    the base image as recorded, with its digest, for check READ_BY_CHECK too; file names and contents, neither times nor
    modes.

    Raises:
        PipelineError: the repository is not a name Docker takes.
    """
    root = root or ROOT
    digest = hashlib.sha256(f"{base_name()}\0".encode())
    for name, file in sources(root, component, target):
        content = file.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    variant = f"{component}-{target}" if docker_stage(component, target) in ("gpu", "jax") else component
    return f"{repository()}:{variant}-{digest.hexdigest()[:12]}"


def names(targets: Sequence[Target], root: pathlib.Path | None = None) -> list[str]:
    """The image of every component for each target, once if it is the same for several."""
    return [name for images in by_stage(targets, root).values() for name in images]


def by_stage(targets: Sequence[Target], root: pathlib.Path | None = None) -> dict[str, list[str]]:
    """The images of every component for the targets, by the stage of the Dockerfile that they are built from."""
    images: dict[str, dict[str, None]] = {"data": {}}
    for target in targets:
        for component in COMPONENTS:
            images.setdefault(docker_stage(component, target), {})[image(component, target, root)] = None
    return {name: list(every) for name, every in images.items()}


def docker_stage(component: str, target: str) -> str:
    return "data" if component in WITHOUT_FRAMEWORK else target


def sources(root: pathlib.Path, component: str, target: str) -> list[tuple[str, pathlib.Path]]:
    """The files that decide how a component behaves in its image, by name, in an order that is the same everywhere."""
    recipe = docker_folder(root)
    files = {f"docker/{name}": recipe / name for name in RECIPE}
    locks = {"data", docker_stage(component, target), "kfp", "uv"}
    files |= {f"docker/requirements/{lock}.txt": recipe / f"requirements/{lock}.txt" for lock in locks}
    files["components/__init__.py"] = root / "components/__init__.py"
    folder = root / "components"
    paths = [path for package in (component, "core") for path in (folder / package).rglob("*")]
    if component == "check":
        paths += [folder / name for name in READ_BY_CHECK]
    for path in paths:
        name = path.relative_to(root)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in name.parts)
        if not hidden and path.suffix != ".pyc" and path.is_file():
            files[name.as_posix()] = path
    return sorted(files.items())


def repository() -> str:
    """`[host[:port]/]path` of all images: CONV2D_IMAGE_REPOSITORY, else conv2d-pipeline.

    Raises:
        PipelineError: it is no name that Docker takes.
    """
    name = os.environ.get("CONV2D_IMAGE_REPOSITORY") or DEFAULT_REPOSITORY
    if not re.fullmatch(r"([A-Za-z0-9.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*", name):
        raise PipelineError(
            f"expected an image repository such as {DEFAULT_REPOSITORY} or host/project/{DEFAULT_REPOSITORY}, in lower "
            f"case and without a tag; received {name!r}"
        )
    return name
