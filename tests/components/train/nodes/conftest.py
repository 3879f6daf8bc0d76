"""Nodes as processes of this machine, told their place as Kubeflow Trainer does it."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from components.train.nodes.job import Job
from pipeline import ROOT

SMALL = '[{"Conv2D": {"filters": 8, "kernel_size": 3, "activation": "relu"}}, "Flatten"]'
Start = Callable[..., list[subprocess.Popen]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts some of the nodes of a training; what is left of them at the end is killed."""
    with contextlib.ExitStack() as stack:

        def start(job: Job, count: int, numbers: tuple[int, ...] = ()) -> list[subprocess.Popen]:
            with socket.create_server(("127.0.0.1", 0)) as free:
                address = f"127.0.0.1:{free.getsockname()[1]}"
            nodes = []
            for number in numbers or range(count):
                places = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(count)}
                node = subprocess.Popen(
                    [sys.executable, "-m", "components.train.nodes.node", job.model_dump_json()],
                    env=os.environ | places | {"JAX_PROCESS_ID": str(number), "PYTHONUNBUFFERED": "1"},
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
                stack.callback(kill, node)
                nodes.append(node)
            return nodes

        yield start


def kill(node: subprocess.Popen) -> None:
    """Kills a node with all its processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(node.pid, 9)
    node.wait()
    node.stdout.close()
    node.stderr.close()
