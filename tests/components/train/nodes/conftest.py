"""A step that launches nodes, and nodes as processes of this machine, told their place as Kubeflow Trainer does it."""

import contextlib
import json
import pathlib
import socket
from collections.abc import Callable, Iterator

import pytest
import yaml

from components.core.storage import open_store
from components.train.nodes.job import Job
from components.train.nodes.kube import Kube
from components.train.nodes.launch import train_on_nodes
from components.train.nodes.train_job import IMAGE_VARIABLE
from components.train.settings import TrainSettings
from pipeline import ROOT
from tests.components.train.nodes.forked import Forked
from tests.servers.trainer_api import TrainerApi, kill_node

RUNTIME = yaml.safe_load((ROOT / "k8s/components/multi-node/runtime.yaml").read_text())
IMAGE = "registry.example.com/team/conv2d:train-jax-0123456789ab"
SMALL = '["Flatten"]'
COMMAND = ["-m", "components.train.nodes.node"]
RESULT = {
    "best_epoch": 1, "best_val_accuracy": 0.5, "loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5,
    "val_balanced_accuracy": None, "epochs": 1, "seconds": 1.0, "images_per_second": 1000.0, "parameters": 10,
    "device": "d", "precision": "float32",
}  # fmt: skip
HISTORY = [{"epoch": 1, "loss": 1.0}]
Start = Callable[..., list[Forked]]


@pytest.fixture
def start(warm_jax: str) -> Iterator[Start]:
    """Starts some of the nodes of a training; what is left of them at the end is killed."""
    with contextlib.ExitStack() as stack:

        def start(job: Job, count: int, numbers: tuple[int, ...] = (), second: Job | None = None) -> list[Forked]:
            with socket.create_server(("127.0.0.1", 0)) as free:
                address = f"127.0.0.1:{free.getsockname()[1]}"
            nodes = []
            for number in numbers or range(count):
                places = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(count)}
                told = second if second and number else job
                node = Forked(warm_jax, [*COMMAND, told.model_dump_json()], places | {"JAX_PROCESS_ID": str(number)})
                stack.callback(kill, node)
                nodes.append(node)
            return nodes

        yield start


def kill(node: Forked) -> None:
    """Kills a node with all its processes."""
    kill_node(node.pid)
    node.wait()
    node.stdout.close()
    node.stderr.close()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(IMAGE_VARIABLE, IMAGE)
    monkeypatch.setenv("HOSTNAME", "step-pod")
    served = TrainerApi(RUNTIME)
    with served.serving() as url:
        served.url = url
        yield served
        served.stop()


def told(train_job: dict) -> Job:
    """What the nodes of a TrainJob are told."""
    return Job.model_validate_json(train_job["spec"]["trainer"]["args"][0])


def leave_result(train_job: dict) -> None:
    """Does what its first node does at the end."""
    left = open_store(told(train_job).own_place("result"))
    left.write_bytes("tensorboard/train/events", b"points")
    left.write_bytes("model/training.json", json.dumps(RESULT | {"history": HISTORY}).encode())


@pytest.fixture
def launch(api: TrainerApi, gcs, tmp_path: pathlib.Path):
    """Runs the step with artifacts in a bucket; every TrainJob's nodes leave a result there unless told otherwise."""

    def launch(dataset: str = "dataset", result: bool = True, patience_s: float = 5.0, **settings):
        model = f"{gcs.uri}/train/model"
        if result:
            api.made = leave_result
            for job in api.jobs.values():
                leave_result(job)
        checked = TrainSettings.checked(**{"nodes": 2, "architecture": SMALL, **settings})
        places = (str(tmp_path / "model"), model, str(tmp_path / "board"), f"{gcs.uri}/train/tensorboard")
        kube = Kube(api.url, "kubeflow", tmp_path, patience_s)
        look_s = 0.01 if api.processes is None else 0.2  # a look costs what the nodes compute with
        return train_on_nodes(checked, f"{gcs.uri}/{dataset}", *places, kube=kube, look_s=look_s)

    launch.bucket = gcs.uri
    return launch
