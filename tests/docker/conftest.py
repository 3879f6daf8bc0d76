"""What the tests against a real Docker engine share."""

import io
import os
import tarfile

import pytest

from components.core.errors import PipelineError
from components.core.files import lock
from pipeline import ROOT
from pipeline.images import base_image, build, docker_build, names
from pipeline.images.engine import engine as find_engine


@pytest.fixture(scope="session")
def lacking():
    """Skips where the machine lacks what a test drives; on CI, which provides all of it, that is a failure."""

    def skip_or_fail(reason: object) -> None:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        pytest.skip(str(reason))

    return skip_or_fail


@pytest.fixture(scope="session")
def engine(lacking):
    try:
        return find_engine()
    except PipelineError as reason:
        lacking(reason)


@pytest.fixture(scope="session")
def cpu_image(engine, lacking):
    """The name of the real cpu image, built if it is missing: minutes the first time, by one worker for all."""
    alone = lock(ROOT / "docker", wait=True)
    try:
        build.build(["cpu"])
    except PipelineError as reason:
        lacking(reason)
    finally:
        os.close(alone)
    return names.image("train")


SMALL_DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS data
ARG BASE_IMAGE
LABEL org.opencontainers.image.base.name="${BASE_IMAGE}"
COPY components /app/components
COPY docker/install.sh /opt/venv/pyvenv.cfg

FROM data AS cpu
ENV WITH=framework
"""


@pytest.fixture
def small(engine, tmp_path, monkeypatch):
    """A project whose image is a few kilobytes, on a base image of one file: the name of its base, and its root.

    Everything but the Dockerfile's content and the base is as in the real project; all images are removed at the end.
    """
    root = tmp_path / "project"
    files = {f"components/{package}/logic.py": package for package in (*names.COMPONENTS, "core")}
    files |= {"components/__init__.py": "", **{f"docker/{name}": "" for name in names.RECIPE}}
    files |= {"docker/Dockerfile": SMALL_DOCKERFILE, "docker/install.sh": "home = /usr/bin\nversion = 3.11.2\n"}
    files |= {f"docker/requirements/{lock}.txt": lock for lock in ("data", "cpu", "gpu", "jax", "kfp", "uv")}
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    monkeypatch.setattr(names, "ROOT", root)
    monkeypatch.setattr(build, "ROOT", root)
    monkeypatch.setattr(docker_build, "LOGS", root / "build")
    monkeypatch.setattr(base_image, "REMEMBERED", root / "build/base-image")

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("base")
        member.size = 4
        tar.addfile(member, io.BytesIO(os.urandom(4)))
    repository = f"conv2d-test-{os.urandom(4).hex()}"
    engine.api.import_image_from_data(archive.getvalue(), repository=repository, tag="base")
    monkeypatch.setenv("BASE_IMAGE", f"{repository}:base")
    monkeypatch.setenv("CONV2D_IMAGE_REPOSITORY", repository)
    yield root
    for entry in engine.api.images():
        for name in entry["RepoTags"] or []:
            if f"{repository}:" in name or f"/{repository}" in name:
                engine.images.remove(name, force=True)
