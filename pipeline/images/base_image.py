"""The base of all images: docker/base-image.txt holds its name and, once a registry was asked, its digest.

python -m pipeline.images.base_image      asks the registry and renews the digest; `make lock` does it
"""

import os
import pathlib
import re

from components.core.errors import PipelineError, one_line_errors
from components.core.files import whole_file
from pipeline import ROOT, docker_folder

FILE = docker_folder() / "base-image.txt"
# Written by a push, read also by docker/tensorboard/image.sh. `make clean` takes it away.
REMEMBERED = ROOT / "build" / "base-image"
LINE = re.compile(r"(?P<name>[^@\s#]+:[^@\s:]+)(@sha256:[0-9a-f]{64})?")
HEADER = """\
# What every image is built on. `make lock` asks the registry for the digest and writes it here: a security update of
# the base then changes the images' tags, and one tag never means two things.
"""


def base_name() -> str:
    """The base image of this machine's builds: BASE_IMAGE, else that of the last push, else the recorded one."""
    return os.environ.get("BASE_IMAGE") or remembered() or recorded()


def remembered() -> str:
    """The base of the images that were pushed from this checkout, if it is not the recorded one; else empty."""
    return REMEMBERED.read_text(encoding="utf-8").strip() if REMEMBERED.is_file() else ""


def remember() -> None:
    """Keeps BASE_IMAGE, so that doctor and pipeline-run look for what was pushed; the recorded one needs no keeping."""
    given = os.environ.get("BASE_IMAGE", "")
    if given == recorded():
        REMEMBERED.unlink(missing_ok=True)
    elif given:
        with whole_file(REMEMBERED) as partial:
            partial.write_text(f"{given}\n", encoding="utf-8")
        print(f"base image: {given}, from now on; BASE_IMAGE={recorded()} forgets it")


def recorded(file: pathlib.Path = FILE) -> str:
    """`name:tag@sha256:...`, or without a digest if no registry was ever asked.

    Raises:
        PipelineError: the file holds no such line, or several.
    """
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if len(lines) != 1 or not LINE.fullmatch(lines[0]):
        raise PipelineError(
            f"{file}: expected one line such as python:3.13-slim, or that and @sha256:<64 digits>, received {lines}"
        )
    return lines[0]


def renew(file: pathlib.Path = FILE) -> None:
    """Writes the digest that the registry gives for the recorded name now; says why if it stays as it is."""
    from pipeline.images.lookup import look_up, read_name

    before = recorded(file)
    name = before.partition("@")[0]
    # Docker Hub's own images have names of one part.
    state, digest = look_up(read_name(name if "/" in name else f"docker.io/library/{name}"))
    if state == "absent":
        raise PipelineError(f"expected the base image {name} in the registry, received none; correct {file}")
    if not digest:
        print(f"the base image stays {before}: {state}")
    elif before != f"{name}@{digest}":
        with whole_file(file) as partial:
            partial.write_text(f"{HEADER}{name}@{digest}\n", encoding="utf-8")
        print(f"the base image is {name}@{digest}")


if __name__ == "__main__":
    with one_line_errors():
        renew()
