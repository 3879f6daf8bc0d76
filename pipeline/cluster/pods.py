"""What Kubernetes says of a run's pods, where a kubeconfig lets us ask: why a step can't start, and its log.

KFP tells neither: a run whose image can't be pulled, or whose pod fits no node, is pending to it for ever.
"""

import contextlib
import dataclasses
import datetime
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes import client

RUN_LABEL = "pipeline/runid"
NODE_NAME = "workflows.argoproj.io/node-name"
TIMEOUT_S = (5, 20)
# Reasons of a waiting container that will not pass by themselves.
HOPELESS = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CreateContainerConfigError", "ErrImageNeverPull")


@dataclasses.dataclass(frozen=True)
class Trouble:
    """Why a step can't start."""

    step: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.step}: {self.reason}: {self.message}" if self.message else f"{self.step}: {self.reason}"


class Pods:
    """The pods of one run, and the log lines of its steps since the last look."""

    def __init__(self, core: "client.CoreV1Api", custom: "client.CustomObjectsApi", namespace: str, run_id: str):
        self.core, self.custom, self.namespace, self.run_id = core, custom, namespace, run_id
        self.seen: dict[str, str] = {}
        self.ended: set[str] = set()

    def troubles(self) -> list[Trouble]:
        """What keeps steps from starting; nothing where it can't be asked."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        with contextlib.suppress(ApiException, HTTPError):
            pods = self._pods()
            found = [trouble for pod in pods if (trouble := _trouble(pod))]
            return found or self._refused()
        return []

    def new_lines(self) -> list[tuple[str, str]]:
        """(step, line) of the steps' own logs since the last call, oldest first; nothing where it can't be asked."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        lines = []
        with contextlib.suppress(ApiException, HTTPError):
            for pod in self._pods():
                name, phase = pod.metadata.name, pod.status.phase
                # Drivers are KFP's own; a pod that has ended is read once more, for its last lines.
                if "-driver-" in name or phase == "Pending" or name in self.ended:
                    continue
                if phase in ("Succeeded", "Failed"):
                    self.ended.add(name)
                with contextlib.suppress(ApiException):
                    lines += [(_step(pod), line) for line in self._log(name)]
        return lines

    def _pods(self) -> list[Any]:
        selector = f"{RUN_LABEL}={self.run_id}"
        return self.core.list_namespaced_pod(self.namespace, label_selector=selector, _request_timeout=TIMEOUT_S).items

    def _log(self, pod: str) -> list[str]:
        """Lines after the last one seen. Kubernetes filters by whole seconds; each line's own time does the rest."""
        last = self.seen.get(pod, "")
        since = {}
        if last:
            age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(last[:19] + "+00:00")
            since = {"since_seconds": max(1, int(age.total_seconds()) + 2)}
        text = self.core.read_namespaced_pod_log(
            pod, self.namespace, container="main", timestamps=True, _request_timeout=TIMEOUT_S, **since
        )
        lines = []
        for stamped in (text or "").splitlines():
            stamp, _, line = stamped.partition(" ")
            if stamp > last:
                lines.append(line)
                self.seen[pod] = stamp
        return lines

    def _refused(self) -> list[Trouble]:
        """Pods that could not even be made (quota, admission) show in the workflow only."""
        listed = self.custom.list_namespaced_custom_object(
            "argoproj.io",
            "v1alpha1",
            self.namespace,
            "workflows",
            label_selector=f"{RUN_LABEL}={self.run_id}",
            _request_timeout=TIMEOUT_S,
        )
        return [
            Trouble(_of_node(node.get("name", "")), "not created", " ".join(node["message"].split())[:300])
            for workflow in listed.get("items", [])
            for node in ((workflow.get("status") or {}).get("nodes") or {}).values()
            if node.get("type") == "Pod" and node.get("phase") == "Pending" and node.get("message")
        ]


def find_pods(run_id: str, namespace: str) -> Pods | None:
    """The run's pods, where a kubeconfig (or a pod's own service account) can list them; else None."""
    from kubernetes import client, config
    from urllib3.exceptions import HTTPError

    try:
        configuration = client.Configuration()
        configuration.retries = 0  # a cluster that is not there should not cost a minute
        try:
            config.load_incluster_config(configuration)
        except config.ConfigException:
            config.load_kube_config(client_configuration=configuration)
        api = client.ApiClient(configuration)
        pods = Pods(client.CoreV1Api(api), client.CustomObjectsApi(api), namespace or "kubeflow", run_id)
        pods._pods()
    except (config.ConfigException, client.ApiException, HTTPError, OSError, TypeError):
        return None
    return pods


def _trouble(pod: Any) -> Trouble | None:
    if pod.status.phase not in ("Pending", None):
        return None
    statuses = [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]
    for status in statuses:
        waiting = status.state and status.state.waiting
        if waiting and waiting.reason in HOPELESS:
            return Trouble(_step(pod), waiting.reason, " ".join((waiting.message or "").split())[:300])
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            message = " ".join((condition.message or "").split())[:300]
            return Trouble(_step(pod), condition.reason or "not scheduled", message)
    return None


def _step(pod: Any) -> str:
    return _of_node((pod.metadata.annotations or {}).get(NODE_NAME, "")) or pod.metadata.name


def _of_node(name: str) -> str:
    """The step in Argo's name of a node: `training-x7k2p.root.train.executor(0)`."""
    parts = [re.sub(r"\(.*", "", part) for part in name.split(".")[1:]]
    steps = [part.removesuffix("-driver") for part in parts if part not in ("root", "executor", "driver", "")]
    return steps[-1] if steps else name
