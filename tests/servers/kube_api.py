"""A small server that answers as the Kubernetes API does about pods, their logs, workflows, nodes and a few names."""

import base64
import datetime
import gzip
import json
import pathlib
import re
from typing import Any

import pytest

from pipeline.cluster.tasks import node_id
from tests.servers.http_api import Api
from tests.servers.kfp_runs import WORKFLOW


class KubeApi(Api):
    """Pods with their logs, Argo's nodes, warnings, and what is in `objects`, by path; all else is not found.

    Attributes:
        pods: of every run; a label selector is heeded.
        logs: each pod's, as text or bytes with timestamps.
        now: what the nodes take the time to be, by which a log's `sinceSeconds` goes; None: as it is.
        argo_nodes: what Argo says of a run's pods: (whole name, phase, message).
        argo_message: what Argo says of the whole run.
        is_large: whether the workflow is so large that Argo compresses its nodes.
        warnings: (pod, message), and if they count, the reason and how often.
        missing: beginnings of paths of no API.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pods: list[dict] = []
        self.logs: dict[str, str | bytes] = {}
        self.now: datetime.datetime | None = None
        self.argo_nodes: list[tuple[str, str, str]] = []
        self.argo_message = ""
        self.is_large = False
        self.warnings: list[tuple] = []
        self.objects: dict[str, Any] = {}
        self.forbidden: set[str] = set()
        self.missing: set[str] = set()

    def add(self, pod: dict, log: str) -> None:
        """One more pod, with its log."""
        lines = log.split("\n")
        self.pods.append(pod)
        self.logs[pod["metadata"]["name"]] = "\n".join(f"{MOMENT[:-1]}.{n:03}Z {line}" for n, line in enumerate(lines))

    def handle(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> tuple[int, Any]:
        if path in self.forbidden:
            return 403, status(403, "Forbidden", f"cannot get {path}")
        if any(path.startswith(start) for start in self.missing):
            return 404, "404 page not found\n"
        parts = path.strip("/").split("/")
        if parts[-1] == "log":
            return self._log_of(parts[-2], query)
        if parts[-1] == "pods":
            key, _, value = query.get("labelSelector", "").partition("=")
            items = [item for item in self.pods if item["metadata"].get("labels", {}).get(key, value) == value]
            return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}
        if path in self.objects:
            return 200, self.objects[path]
        if parts[-1] == "workflows":
            nodes = {node[0]: _node(*node, [name for name, *_ in self.argo_nodes]) for node in self.argo_nodes}
            packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
            known = {"compressedNodes": packed} if self.is_large else {"nodes": nodes}
            return 200, {"items": [{"status": known | {"message": self.argo_message}}]}
        if parts[-1] == "events":
            items = [_event(*warning) for warning in self.warnings]
            return 200, {"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": items}
        return 404, status(404, "NotFound", f"{parts[-2]} {parts[-1]!r} not found")

    def _log_of(self, name: str, query: dict[str, str]) -> tuple[int, Any]:
        phases = {item["metadata"]["name"]: item["status"]["phase"] for item in self.pods}
        if name not in phases:
            return 404, status(404, "NotFound", f'pods "{name}" not found')
        if phases[name] == "Pending":
            said = f'container "main" in pod "{name}" is waiting to start: PodInitializing'
            return 400, status(400, "BadRequest", said)
        text = self.logs.get(name, "")
        log = text.encode() if isinstance(text, str) else text
        if "sinceSeconds" in query:
            now = self.now or datetime.datetime.now(datetime.UTC)
            since = (now - datetime.timedelta(seconds=int(query["sinceSeconds"]))).isoformat()[:19].encode()
            log = b"".join(line for line in log.splitlines(keepends=True) if line[:19] >= since)
        return 200, log


def _node(name: str, phase: str, message: str, names: list[str]) -> dict[str, Any]:
    below = [f"{WORKFLOW}-{node_id(other)}" for other in names if re.fullmatch(re.escape(name) + TAIL, other)]
    named = {"name": name, "displayName": name.rpartition(".")[2], "children": below}
    return {"type": "Pod", "phase": phase, "message": message, "startedAt": MOMENT, "finishedAt": MOMENT, **named}


def _event(pod_name: str, message: str, reason: str = "Failed", count: int = 1) -> dict[str, Any]:
    about = {"metadata": {}, "involvedObject": {"kind": "Pod", "name": pod_name}}
    return about | {"type": "Warning", "reason": reason, "message": message, "count": count}


def status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


TAIL = r"(\.[^.()]+|\([0-9:]+\))"  # of a node's whole name, what its parent's lacks
MOMENT = "2026-01-01T00:00:00Z"
FINISHED = {"exitCode": 0, "finishedAt": MOMENT, "reason": "Completed", "startedAt": MOMENT}


def pod(
    step: str,
    phase: str,
    waiting: tuple[str, str] | None = None,
    unschedulable: str = "",
    unscheduled: str = "Unschedulable",
    terminated: dict[str, Any] | None = None,
    run_id: str = "run-2",
    driver: bool = False,
) -> dict[str, Any]:
    """A pod of a run with the fields of those that were recorded (test_doubles.py).

    Args:
        waiting: the reason and the message of its main container.
        unschedulable, unscheduled: why no node has it, and in a word; SchedulingGated: Kueue keeps it in its queue.
        terminated: how that ended, as far as it is not told by the phase.
        driver: whether it is that of KFP's driver, which prepares the step.
    """
    node = f"{WORKFLOW}(0).root(0).{step}{'-driver(0)' if driver else '(0).executor(0)'}"
    template = "system-container-driver" if driver else "retry-system-container-impl"
    number = node_id(node)
    state: dict[str, Any] = {"phase": phase}
    if unschedulable:
        reason = {"reason": unscheduled, "message": unschedulable}
        state["conditions"] = [{"type": "PodScheduled", "status": "False", **reason}]
    else:
        runs = {"running": {"startedAt": MOMENT}}
        ended = {"terminated": FINISHED}
        main = (
            {"waiting": dict(zip(("reason", "message"), waiting, strict=True))}
            if waiting
            else {
                "Pending": {"waiting": {"reason": "PodInitializing"}},
                "Running": runs,
                "Succeeded": ended,
                "Failed": {"terminated": FINISHED | {"exitCode": 1, "reason": "Error"} | (terminated or {})},
            }[phase]
        )
        beside = {"wait": runs if phase in ("Pending", "Running") else ended}
        before = {"init": ended, "kfp-launcher": ended}
        state |= {
            "startTime": MOMENT,
            "conditions": _conditions(phase),
            "initContainerStatuses": [_container(name, one) for name, one in before.items()],
            "containerStatuses": [
                _container(name, one, ready=phase == "Running") for name, one in ({"main": main} | beside).items()
            ],
        }
    return {
        "metadata": {
            "name": f"{WORKFLOW}-{template}-{number}",
            "labels": {"pipeline/runid": run_id, "workflows.argoproj.io/workflow": WORKFLOW},
            "annotations": {
                "workflows.argoproj.io/node-id": f"{WORKFLOW}-{number}",
                "workflows.argoproj.io/node-name": node,
            },
            "creationTimestamp": MOMENT,
        },
        "spec": {"containers": [{"name": "main"}]},
        "status": state,
    }


def _container(name: str, state: dict[str, Any], ready: bool = False) -> dict[str, Any]:
    resources = {} if "waiting" in state else {"resources": {"limits": {"memory": "4Gi"}}}
    status = {"name": name, "state": state, "lastState": {}, "restartCount": 0, "image": "i", "imageID": ""}
    return status | resources | {"ready": ready}


def _conditions(phase: str) -> list[dict[str, str]]:
    why = {"Pending": "ContainersNotReady", "Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase)
    ready = {"status": "False", "reason": why} if why else {"status": "True"}
    if phase == "Pending":
        ready["message"] = "containers with unready status: [main]"
    return [
        {"type": "PodReadyToStartContainers", "status": str(phase in ("Pending", "Running"))},
        {"type": "Initialized", "status": "True"} | ({"reason": why} if phase == "Succeeded" else {}),
        {"type": "Ready", **ready},
        {"type": "ContainersReady", **ready},
        {"type": "PodScheduled", "status": "True"},
    ]


def kubeconfig(path: pathlib.Path, url: str, proxy: str = "") -> pathlib.Path:
    """Writes a kubeconfig whose only cluster is at `url`, behind a proxy if one is named."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url, **({"proxy-url": proxy} if proxy else {})}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(document))
    return path


def lead_to(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has both clients read this kubeconfig; Kubernetes' own reads the variable once, when it is imported."""
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
