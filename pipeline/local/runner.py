"""Where the steps of a local run are executed: in Docker, or as plain processes."""

import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal

from components.core.errors import PipelineError
from components.core.framework import require_backend
from components.core.progress import LIVE_VARIABLE, can_redraw
from components.download.cache import VARIABLE as DOWNLOAD_CACHE
from components.download.places import path_behind, places_of
from pipeline.console import option
from pipeline.local import container
from pipeline.local.places import read_places, written_places
from pipeline.local.step_containers import labels
from pipeline.parameters.parameters import Parameters

RunnerName = Literal["docker", "process"]
RunnerChoice = Literal["auto", "docker", "process"]


def choose_runner(choice: RunnerChoice, parameters: Parameters) -> tuple[RunnerName, Callable[[str], str]]:
    """The runner, and the image of a step by name. Builds images that are missing if Docker is to run them.

    Raises:
        PipelineError: Docker was asked for and can't run them, or a process can't train on the backend.
    """
    from pipeline.images import names
    from pipeline.images.build import build

    trains_in: names.Target = "jax" if parameters.backend == "jax" else "gpu" if _gpu_count(parameters) else "cpu"

    def image(step: str) -> str:
        return names.image(step, trains_in if step == "train" else "cpu")

    if choice != "process":
        try:
            if not parameters.gpus.isdecimal():  # a container has the GPUs that it is given, and would train without
                received = parameters.gpus or "none"
                raise PipelineError(f"gpus: expected a number of GPUs for containers, such as 1, received {received}")
            # Of the code of now, whatever is edited meanwhile.
            images = {step: image(step) for step in names.COMPONENTS}
            build(list(dict.fromkeys(["cpu", trains_in])))
        except PipelineError as reason:
            if choice == "docker":
                raise PipelineError(f"{reason}, or use {option('runner', 'process')}") from None
            print(f"runner: processes, because Docker can't run the steps here: {reason}")
        else:
            print("runner: Docker, an engine is running" if choice == "auto" else "runner: Docker, as requested")
            return "docker", images.__getitem__
    else:
        print("runner: processes, as requested")
    require_backend(parameters.backend)
    return "process", image


def host_variables(outputs: pathlib.Path) -> dict[str, str]:
    """What a step is told of this machine, besides what it finds there."""
    downloads = path_behind(os.environ.get(DOWNLOAD_CACHE) or str(outputs / ".downloads"))
    return {DOWNLOAD_CACHE: str(downloads), LIVE_VARIABLE: "1" if can_redraw(sys.stdout) else "0"}


def container_options(parameters: Parameters, outputs: pathlib.Path, trials: Sequence[str] = ()) -> dict[str, Any]:
    """What a step's container is made with, as Docker's SDK names it; it sees what a sweep's trials read, too."""
    import docker

    host = host_variables(outputs)
    downloads = pathlib.Path(host[DOWNLOAD_CACHE])
    home = pathlib.Path(os.path.expanduser("~")).absolute()  # noqa: PTH111 - pathlib fails for a user without one
    # What lies below `outputs` is mounted with it.
    others = [path for path in (*written_places(parameters).values(), downloads) if not path.is_relative_to(outputs)]
    variables = container.variables(os.environ, home)
    mounts = container.mounts(variables, home, read_places(parameters, trials), [*others, outputs])
    options: dict[str, Any] = {}
    if _gpu_count(parameters):
        options["device_requests"] = [docker.types.DeviceRequest(count=_gpu_count(parameters), capabilities=[["gpu"]])]
    places = (*parameters.model_dump().values(), *places_of(parameters.source))
    if container.names_this_machine([*variables.values(), *places]):
        options["network_mode"] = "host"
    return options | {
        # What the containers write belongs to whoever ran make, also with an engine that remaps users.
        "user": f"{os.getuid()}:{os.getgid()}",
        "group_add": os.getgroups(),
        "userns_mode": "host",
        "environment": {**variables, **host, "HOME": container.HOME},
        "mounts": [
            docker.types.Mount(place, str(path), type="bind", read_only=not writable)
            for place, (path, writable) in mounts.items()
        ],
        "read_only": True,
        "tmpfs": {container.HOME: "exec"},
        "cap_drop": ["ALL"],
        "cap_add": ["DAC_OVERRIDE"] if os.getuid() == 0 else [],  # root as a process reads and writes others' files
        # label=disable: SELinux would hide the user's folders, or relabel them for good.
        "security_opt": ["no-new-privileges", "label=disable"],
        "shm_size": "1g",
        "labels": labels(outputs),
    }


def _gpu_count(parameters: Parameters) -> int:
    return int(parameters.gpus) if parameters.gpus.isdigit() else 0
