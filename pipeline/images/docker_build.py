"""One `docker build`: on which base image, with which docker command, and what is passed on to it."""

import contextlib
import os
import pathlib
import re
import subprocess
import time
from typing import TYPE_CHECKING

from components.core.errors import PipelineError
from pipeline.images.base_image import recorded
from pipeline.images.engine import address, held_images, short

if TYPE_CHECKING:
    import docker

STAND_IN_BASE = "conv2d-python-base"  # what docker/base-image.sh makes if no registry is reached
LOGS = pathlib.Path("build")
# What a build needs to reach packages from this machine.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
PASSED_ON = (*PROXIES, "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")


def obtain_base(client: "docker.DockerClient", base: str) -> str:
    """The base image to build on: `base`, pulled if need be; for the default one, if it isn't here, the stand-in."""
    from docker import errors

    with contextlib.suppress(errors.ImageNotFound):
        client.images.get(base)
        return base
    stand_ins = held_images(client, STAND_IN_BASE) if base == recorded() else {}
    if stand_ins:
        newest = max(stand_ins, key=lambda name: stand_ins[name]["Created"])
        made = time.strftime("%Y-%m-%d", time.gmtime(stand_ins[newest]["Created"]))
        print(f"{base} is not here: building on {newest}, which docker/base-image.sh made with the updates of {made}")
        return newest
    print(f"pulling {base}")
    try:
        client.images.pull(base)
    except (errors.DockerException, OSError) as error:
        raise PipelineError(
            f"expected to pull the base image {base}, received: {short(error)}; make one with docker/base-image.sh, "
            "or name one that is here with BASE_IMAGE="
        ) from None
    return base


def docker_build(context: pathlib.Path, stage: str, base: str, names: list[str]) -> None:
    """Builds a stage of the Dockerfile in `context` and gives it `names`. Its output is build/image-<stage>.log.

    Raises:
        PipelineError: no docker command, or the build failed, after its last lines have been said.
    """
    command, environment = builder()
    # On the host's network: an index or a proxy that this machine reaches is then reached from the build too.
    command += ["build", "--network", "host", "--file", str(context / "docker/Dockerfile"), "--target", stage]
    command += ["--build-arg", f"BASE_IMAGE={base}"]
    for variable in _passed_on():
        command += ["--build-arg", variable]  # docker takes the value from the environment; no process list shows it
    for name in names:
        command += ["--tag", name]
    log = LOGS / f"image-{stage}.log"
    log.parent.mkdir(exist_ok=True)
    print(f"building the {stage} image on {base}: seconds if only code changed, else minutes; log: build/{log.name}")
    began = time.monotonic()
    with log.open("wb") as output:
        done = subprocess.run(
            [*command, str(context)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()][-12:]
        for line in lines:
            print(f"  {line}")
        raise PipelineError(
            f"expected the {stage} image to build, docker ended with: {lines[-1] if lines else 'no word'}; "
            f"see build/{log.name}"
        )
    print(f"built in {time.monotonic() - began:.1f} s")


def builder() -> tuple[list[str], dict[str, str]]:
    """The docker command to build with, and its environment: with BuildKit if one of those installed can.

    Client 20.10 has BuildKit within, newer ones need the buildx plug-in for it. A machine may have both clients, and
    the first on the PATH may be the one that can't. Without BuildKit the old builder makes the same image.
    """
    commands = [str(pathlib.Path(place or ".") / "docker") for place in os.get_exec_path()]
    commands = [command for command in dict.fromkeys(commands) if os.access(command, os.X_OK)]
    if not commands:
        raise PipelineError("expected the docker command on the PATH, found none; try: apt-get install docker.io")
    environment = os.environ | {
        # The engine that the SDK talks to, whatever context or builder the command line would choose.
        "DOCKER_HOST": address(),
        "BUILDX_BUILDER": "default",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # a name is one image, not an index of an image and a statement
    }
    for command in commands:
        version = re.search(r"version (\d+)", _said(command, "--version"))
        if (version and int(version[1]) < 23) or _said(command, "buildx", "version"):
            return [command], environment | {"DOCKER_BUILDKIT": "1"}
    return [commands[0]], environment | {"DOCKER_BUILDKIT": "0"}


def _passed_on() -> list[str]:
    """The variables to hand to the build.

    Docker keeps the proxies' out of what it stores. Other build arguments can be read later in the machine's cache of
    intermediate images, so an index with credentials is left out.
    """
    passed = []
    for name in PASSED_ON:
        value = os.environ.get(name, "")
        if name not in PROXIES and "@" in value:
            print(f"{name} holds credentials: not passed to the build")
        elif value and not value.startswith(("file:", "/")):
            passed.append(name)
    return passed


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""
