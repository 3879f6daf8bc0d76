"""The Kubernetes API of a cluster with Kubeflow Trainer, as far as a training on several nodes asks it.

A TrainJob goes as `story` says, one scene a look at it, the last scene for good; or, with `processes` set to the
environment of the nodes, as its own command does: Trainer in small, every node a process of this machine.
"""

import contextlib
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from pipeline import ROOT
from tests.servers.kube_api import KubeApi, status

TRAINER = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/kubeflow"
STAMP = "2026-11-22T10:00:{:02d}.000000001Z"


@dataclasses.dataclass(frozen=True)
class Scene:
    """One moment of a TrainJob: its condition's type and message, its pods, and whether Kueue keeps it in its queue."""

    condition: str = ""
    message: str = ""
    pods: tuple[dict, ...] = ()
    suspended: bool = False


class TrainerApi(KubeApi):
    """Attributes: `runtime` (None: there is none), `jobs` by name, `story`, `deleted` names, `denied` why, `made`:
    called with each TrainJob that is made, `machines_gone`: those that the pods run on don't answer the API any more,
    so that no pod of theirs ever goes."""

    def __init__(self, runtime: dict | None) -> None:
        super().__init__()
        self.runtime = runtime
        self.jobs: dict[str, dict] = {}
        self.story: list[Scene] = [Scene()]
        self.deleted: list[str] = []
        self.denied = ""
        self.made: Callable[[dict], None] = lambda job: None
        self.machines_gone = False
        self.processes: dict[str, str] | None = None
        self.start_node: Callable[[list[str], dict[str, str], int], Any] = start_node
        self.nodes: list[tuple[subprocess.Popen, pathlib.Path]] = []
        self.lost: set[int] = set()

    def handle(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> tuple[int, Any]:
        if path in self.forbidden:
            return 403, status(403, "Forbidden", f'User "system:serviceaccount:kubeflow:x" cannot {method} {path}')
        if path.startswith(TRAINER) and not self.missing:
            return self._trainer(method, path[len(TRAINER) + 1 :].split("/"), body, query)
        if path.endswith("/log") and self.machines_gone:
            said = 'Get "https://10.0.0.7:10250/containerLogs/kubeflow/x/node": dial tcp 10.0.0.7:10250: i/o timeout'
            return 500, status(500, "", said)
        if path.endswith("/log"):
            return 200, self._log(path.split("/")[-2], query)
        if path.endswith("/pods/step-pod"):
            return 200, {"metadata": {"name": "step-pod", "uid": "42"}}
        return super().handle(method, path, query, body, headers)

    def _trainer(self, method: str, parts: list[str], body: Any, query: dict[str, str]) -> tuple[int, Any]:
        if parts[0] == "trainingruntimes":
            return (200, self.runtime) if self.runtime else (404, status(404, "NotFound", f"{parts[1]} not found"))
        if method == "POST":
            return self._make(body)
        if len(parts) == 1:
            key, _, value = query["labelSelector"].partition("=")
            chosen = [job for job in self.jobs.values() if job["metadata"]["labels"].get(key) == value]
            return 200, {"items": [self._seen(job) for job in chosen]}
        job = self.jobs.get(parts[1])
        if job is None:
            return 404, status(404, "NotFound", f"trainjobs {parts[1]!r} not found")
        if method == "DELETE":
            self._delete(job)
            return 200, status(200, "", "")
        return 200, self._seen(job)

    def _delete(self, job: dict) -> None:
        name = job["metadata"]["name"]
        if name not in self.deleted:
            self.deleted.append(name)
        self.stop()
        if self.machines_gone:  # its pods hold it: `propagationPolicy` is Foreground
            self.jobs[name] = job | {"metadata": job["metadata"] | {"deletionTimestamp": STAMP.format(0)}}
        else:
            del self.jobs[name]

    def _seen(self, job: dict) -> dict:
        if "deletionTimestamp" in job["metadata"]:
            return job
        scene = self._look() if self.nodes else self.story.pop(0) if len(self.story) > 1 else self.story[0]
        self.pods = list(scene.pods)
        condition = {"type": scene.condition, "status": "True", "reason": "JobSet", "message": scene.message}
        # In a queue it has no condition yet, or one of type Suspended, which stays as False once it goes on.
        spec = job["spec"] | ({"suspend": True} if scene.suspended else {})
        return job | {"spec": spec, "status": {"conditions": [condition] if scene.condition else []}}

    def _make(self, job: dict) -> tuple[int, Any]:
        name = job["metadata"]["name"]
        if self.denied:
            return 403, status(403, "Forbidden", self.denied)
        if name in self.jobs:
            return 409, status(409, "AlreadyExists", f"trainjobs {name!r} already exists")
        self.jobs[name] = job
        self.made(job)
        if self.processes is not None:
            self._start(job["spec"]["trainer"])
        return 201, job

    def created(self) -> list[dict]:
        """Every TrainJob that was asked for."""
        return [body for method, path, _, body in self.requests if (method, path) == ("POST", f"{TRAINER}/trainjobs")]

    # Every node a process.

    def _start(self, trainer: dict) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        for number in range(trainer["numNodes"]):
            log = pathlib.Path(tempfile.mkstemp(suffix=f"-node-{number}.log")[1])
            place = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(trainer["numNodes"])}
            place |= {"JAX_PROCESS_ID": str(number), "PYTHONUNBUFFERED": "1"}
            with log.open("wb") as output:
                command = [*trainer["command"][1:], *trainer["args"]]
                process = self.start_node(command, self.processes | place, output.fileno())
            self.nodes.append((process, log))

    def _look(self) -> Scene:
        codes = [process.poll() for process, _ in self.nodes]
        pods = tuple(
            node_pod(number, "Running")
            if code is None
            else node_pod(number, "Failed" if code else "Succeeded", exit_code=code)
            for number, code in enumerate(codes)
            if number not in self.lost
        )
        if any(codes):
            return Scene("Failed", "jobset failed due to one or more job failures", pods)
        return Scene("" if None in codes else "Complete", "", pods)

    def lose(self, number: int) -> None:
        """Takes a node away, as its pod is deleted: nothing of it is left to ask."""
        self.lost.add(number)
        kill_node(self.nodes[number][0].pid)

    def stop(self) -> None:
        """Kills what is left of the nodes."""
        for process, log in self.nodes:
            if process.poll() is None:
                kill_node(process.pid)
                process.wait()
            log.unlink()
        self.nodes, self.lost = [], set()

    def _log(self, pod: str, query: dict[str, str]) -> str:
        text = self.logs.get(pod, "")
        if self.nodes:
            text = self.nodes[int(pod[-1])][1].read_text()
        lines = text.splitlines()[-int(query.get("tailLines", 0)) :]
        stamped = [(STAMP.format(min(number, 59)), line) for number, line in enumerate(lines)]
        kept = [(stamp, line) for stamp, line in stamped if stamp[:19] >= query.get("sinceTime", "")[:19]]
        return "".join(f"{stamp} {line}\n" if "timestamps" in query else f"{line}\n" for stamp, line in kept)


def start_node(command: list[str], variables: dict[str, str], output: int) -> subprocess.Popen:
    """Starts a node as its container would, in a session of its own.

    Args:
        command: what follows `python` on its command line.
    """
    return subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | variables,
        cwd=ROOT,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def kill_node(pid: int) -> None:
    """Ends a node with the process in which it trains."""
    for kill in (os.killpg, os.kill):  # one that has only begun has no group of its own yet
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def node_pod(
    number: int, phase: str, exit_code: int = 0, reason: str = "", waiting: str = "", unschedulable: str = ""
) -> dict[str, Any]:
    """A node's pod as JobSet makes it; `reason` is its container's end's, `waiting` why it doesn't start."""
    state: dict[str, Any] = {}
    if phase in ("Failed", "Succeeded"):
        end = {"exitCode": exit_code, "reason": reason or "Error", "finishedAt": f"2026-11-22T10:01:{number:02d}Z"}
        state = {"terminated": end}
    elif waiting:
        state = {"waiting": {"reason": waiting, "message": "Back-off pulling image"}}
    conditions = []
    if unschedulable:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unschedulable}
        conditions = [condition]
    return {
        "metadata": {
            "name": f"job-node-0-{number}",
            "labels": {"batch.kubernetes.io/job-completion-index": str(number)},
        },
        "status": {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [{"name": "node", "state": state}] if state else [],
        },
    }
