"""Where the steps of a local run are executed: in Docker, or as plain processes."""

import os
import pathlib
from collections.abc import Callable
from typing import Any, Literal

from components.core.errors import PipelineError
from components.core.progress import LIVE_VARIABLE
from pipeline import ROOT
from pipeline.local.places import local_source, written_places
from pipeline.parameters.parameters import Parameters

RunnerName = Literal["docker", "process"]
RunnerChoice = Literal["auto", "docker", "process"]
RUN_LABEL = "conv2d-pipeline.outputs"
# What the object stores' own clients read; handed to containers where set here. Never logged.
STORE_VARIABLES = (
    "STORAGE_EMULATOR_HOST",
    "GOOGLE_CLOUD_PROJECT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "MINIO_ACCESS_KEY",
    "MINIO_SECRET_KEY",
)
GOOGLE_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"


def choose_runner(choice: RunnerChoice, parameters: Parameters) -> tuple[RunnerName, Callable[[str], str]]:
    """The runner, and the image of a step by name. Builds images that are missing where Docker is to run them."""
    from pipeline.images import names
    from pipeline.images.build import build

    def image(step: str) -> str:
        return names.image(step, "gpu" if step == "train" and _gpu_count(parameters) else "cpu")

    if choice == "process":
        print("runner: processes, as asked")
        return "process", image
    try:
        targets = ["cpu", "gpu"] if _gpu_count(parameters) else ["cpu"]
        build(targets)
    except PipelineError as reason:
        if choice == "docker":
            raise
        print(f"runner: processes, since Docker can't run the steps here: {reason}")
        return "process", image
    print("runner: Docker, an engine answers" if choice == "auto" else "runner: Docker, as asked")
    return "docker", image


def kfp_runner(runner: RunnerName, parameters: Parameters, outputs: pathlib.Path) -> Any:
    """The kfp.local runner of that name, its settings made for this machine."""
    from kfp import local

    host = {
        "CONV2D_DOWNLOAD_CACHE": os.environ.get("CONV2D_DOWNLOAD_CACHE") or str(outputs / ".downloads"),
        "CONV2D_CHECKPOINTS": str(outputs / ".checkpoints"),
        LIVE_VARIABLE: "1" if os.isatty(1) else "0",
    }
    if runner == "process":
        os.environ.update(host, PYTHONPATH=str(ROOT))
        return local.SubprocessRunner(use_venv=False)
    import docker

    environment = {name: os.environ[name] for name in STORE_VARIABLES if name in os.environ}
    readable = [local_source(parameters.source)]
    if credentials := os.environ.get(GOOGLE_CREDENTIALS):
        readable.append(pathlib.Path(credentials).absolute())
        environment[GOOGLE_CREDENTIALS] = str(readable[-1])
    written = written_places(parameters)
    for path in written:
        path.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {}
    if _gpu_count(parameters):
        options["device_requests"] = [docker.types.DeviceRequest(count=_gpu_count(parameters), capabilities=[["gpu"]])]
    if network := os.environ.get("CONV2D_DOCKER_NETWORK"):
        options["network_mode"] = network
    return local.DockerRunner(
        # What the containers write belongs to whoever ran make.
        user=f"{os.getuid()}:{os.getgid()}",
        environment={**environment, **host, "HOME": "/tmp"},  # noqa: S108 - inside the container, a tmpfs of its own
        mounts=[docker.types.Mount(str(path), str(path), type="bind", read_only=True) for path in readable if path]
        + [docker.types.Mount(str(path), str(path), type="bind") for path in written],
        read_only=True,
        tmpfs={"/tmp": "exec"},  # noqa: S108
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        shm_size="1g",
        labels={RUN_LABEL: str(outputs)},
        **options,
    )


def remove_containers(outputs: pathlib.Path) -> None:
    """Stops the containers of a run that ended early: kfp.local starts them detached and lets them run on."""
    import docker

    client = docker.from_env()
    for container in client.containers.list(filters={"label": f"{RUN_LABEL}={outputs}"}):
        container.remove(force=True)


def _gpu_count(parameters: Parameters) -> int:
    return int(parameters.gpus) if parameters.gpus.isdigit() else 0
