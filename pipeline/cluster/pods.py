"""What Kubernetes says of a run's pods, if a kubeconfig lets us ask: why a step can't start, its log, how it ended.

KFP tells none of it: a run whose image can't be pulled, or whose pod fits no node, is running to it for ever, and a
failed step has no reason. What a pod's own status does not say either (it could not be made, it was deleted) is in the
Argo workflow.
"""

import base64
import contextlib
import gzip
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import yaml

from components.core.errors import one_line
from pipeline.cluster.endings import ONLY_STATUS, container_ending, main_container
from pipeline.cluster.proxies import by_the_environment
from pipeline.cluster.tasks import StepName, step_of
from pipeline.cluster.troubles import Trouble, held_back, is_driver, pod_trouble, refused_pod
from pipeline.step_log import StepLog

if TYPE_CHECKING:
    from kubernetes import client

RUN_LABEL = "pipeline/runid"
NODE_NAME = "workflows.argoproj.io/node-name"
TIMEOUT_S = (5, 20)
FORBIDDEN = 403
# The only deadline that a run has is the one that KFP gives it when somebody cancels it.
ARGO_WORDS = {"pod deleted": "its pod was deleted", "Step exceeded its deadline": "the run was cancelled meanwhile"}
# What is asked for twice of a log, so that nothing is lost between two looks.
OVERLAP_S = 5


class PodLog(StepLog):
    """A pod's log as far as it was read."""

    seen = ""  # the time of its last line
    asked = 0.0
    ended = False


class Pods:
    """The pods of one run as of the last look, and what their logs said so far.

    Attributes:
        message: Argo's words on the whole run, such as that it ended it; mostly none.
        packed: all nodes of a workflow that is so large that Argo compresses them; else none.
        lost: why the last look saw nothing, such as a login that has expired; empty: it did not fail.
        unread: why the pods' logs are refused, which is a right of its own; empty: they are not.
    """

    def __init__(self, core: "client.CoreV1Api", custom: "client.CustomObjectsApi", namespace: str, run_id: str):
        self.core, self.custom, self.namespace, self.run_id = core, custom, namespace, run_id
        self.pods: list[Any] = []
        self.nodes: list[dict[str, Any]] = []
        self.packed: list[dict[str, Any]] = []
        self.logs: dict[str, PodLog] = {}
        self.lost = self.unread = self.message = ""

    def look(self) -> None:
        """Asks again; what can't be asked stays as it was."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            self.pods = sorted(self._list(), key=lambda pod: str(pod.metadata.creation_timestamp))
            self.lost = ""
        except (ApiException, HTTPError) as error:
            self.lost = f"{error.status} {error.reason}" if isinstance(error, ApiException) else "no answer"
            return
        with unless_unreachable():
            self.nodes = self._workflow_nodes()

    def troubles(self) -> list[Trouble]:
        """What keeps steps from starting."""
        there = {_node(pod) for pod in self.pods}
        found = [trouble for pod in self.pods if (trouble := pod_trouble(_step(pod), pod))]
        # Pods that could not even be made (quota, admission) show in the workflow only.
        waiting = [node for node in self.nodes if node["name"] not in there and node.get("phase") == "Pending"]
        found += [trouble for node in waiting if (trouble := refused_pod(step_of(node["name"]), node))]
        # What their node lacks for them (a network, a volume) is in events only: asked for if nothing else is known.
        pending = {pod.metadata.name: _step(pod) for pod in self.pods if pod.status.phase == "Pending"}
        if pending and not found:
            warnings = [event for event in self._warnings() if event.involved_object.name in pending]
            held = {pending[event.involved_object.name]: event for event in warnings}  # of each the latest
            found += [trouble for step, event in held.items() if (trouble := held_back(step, event))]
        return found

    def started(self) -> set[StepName]:
        """The steps whose newest pod does not wait."""
        newest = {_step(pod): pod for pod in self.pods}
        return {step for step, pod in newest.items() if pod.status.phase not in ("Pending", None)}

    def new_lines(self, verbose: bool = False) -> list[tuple[StepName, str]]:
        """The steps' lines since the last call, oldest first; if `verbose`, the launcher's and Argo's lines too."""
        lines: list[tuple[StepName, str]] = []
        for pod in self.pods:
            name, phase = pod.metadata.name, pod.status.phase
            if is_driver(pod) or phase in ("Pending", None):  # drivers are KFP's own
                continue
            with unless_unreachable(self._note_refusal):
                log = self.logs.setdefault(name, PodLog())
                for line in [] if log.ended else self._log_lines(name, log):
                    own = log.own(line)
                    if verbose or own is not None:
                        lines.append((_step(pod), line if own is None else own))
                log.ended = phase in ("Succeeded", "Failed")  # was read once more, for its last lines
        return lines

    def log(self, step: StepName) -> StepLog:
        """The log of the step's newest pod so far; empty if it has no pod."""
        newest = self._newest(step)
        return self.logs.get(newest.metadata.name, PodLog()) if newest else PodLog()

    def driver_error(self, step: str) -> str:
        """Why KFP's driver of a step gave up: at its first try, as another stumbles over what that left. Else empty."""
        said = self.node_message(StepName(step), 0, f"{step}-driver")
        if said and not ONLY_STATUS.search(said):
            return said
        for pod in self.pods:
            if is_driver(pod) and _step(pod).name == step:
                log = PodLog()
                with unless_unreachable():
                    for line in self._log_lines(pod.metadata.name, log):
                        log.own(line)
                said = log.launcher or said
        return said[:300]

    def ending(self, step: StepName) -> str:
        """How the step's newest pod ended, as Kubernetes and Argo tell; empty if neither does."""
        newest = self._newest(step)
        return (container_ending(step.name, newest) if newest else "") or self.node_message(step)

    def exit_code(self, step: StepName) -> int | None:
        """The exit code of the step's newest container; None if it has not ended."""
        newest = self._newest(step)
        state = main_container(newest).state if newest and main_container(newest) else None
        return state.terminated.exit_code if state and state.terminated else None

    def node_message(self, step: StepName, attempt: int | None = None, kind: str = "executor") -> str:
        """Argo's words on a step's pod at an attempt, from 0; None: at the last that it says something of."""
        ending = f".{kind}(" if attempt is None else f".{kind}({attempt})"
        said = [
            node["message"]
            for node in sorted(self.nodes, key=lambda node: node["name"])
            if ending in node["name"] and step_of(node["name"]) == step and node.get("message")
        ]
        message = one_line(said[-1]) if said else ""
        return ARGO_WORDS.get(message, message)

    def events(self) -> list[str]:
        """The warnings about the run's pods, oldest first: asked only when nothing else tells what is wrong."""
        return [one_line(event.message or "") for event in self._warnings()]

    def _warnings(self) -> list[Any]:
        names = {pod.metadata.name for pod in self.pods}
        with unless_unreachable():
            listed = self.core.list_namespaced_event(
                self.namespace, field_selector="type=Warning", _request_timeout=TIMEOUT_S
            ).items
            return [event for event in listed if event.involved_object.name in names]
        return []

    def _note_refusal(self, error: Any) -> None:
        if error.status == FORBIDDEN:
            self.unread = f"{error.status} {error.reason}"

    def _newest(self, step: StepName) -> Any:
        pods = [pod for pod in self.pods if not is_driver(pod) and _step(pod) == step]
        return pods[-1] if pods else None

    def _list(self) -> list[Any]:
        selector = f"{RUN_LABEL}={self.run_id}"
        return self.core.list_namespaced_pod(self.namespace, label_selector=selector, _request_timeout=TIMEOUT_S).items

    def _workflow_nodes(self) -> list[dict[str, Any]]:
        listed = self.custom.list_namespaced_custom_object(
            "argoproj.io",
            "v1alpha1",
            self.namespace,
            "workflows",
            label_selector=f"{RUN_LABEL}={self.run_id}",
            _request_timeout=TIMEOUT_S,
        )
        statuses = [workflow.get("status") or {} for workflow in listed.get("items", [])]
        nodes = [node for status in statuses for node in _nodes_of(status).values()]
        self.message = one_line(next((status["message"] for status in statuses if status.get("message")), ""))
        self.packed = nodes if any("compressedNodes" in status for status in statuses) else []
        return [node for node in nodes if node.get("type") == "Pod" and node.get("name")]

    def _log_lines(self, pod: str, log: PodLog) -> list[str]:
        """Lines after the last one seen.

        Kubernetes counts back from its own time, so it is told the seconds between two looks, whatever the time is
        here. Each line's own time does the rest.
        """
        last, now = log.seen, time.time()
        since = {"since_seconds": max(0, int(now - log.asked)) + OVERLAP_S} if last else {}
        # The bytes as they are: the client would fail on those that are no UTF-8.
        answer = self.core.read_namespaced_pod_log(
            pod,
            self.namespace,
            container="main",
            timestamps=True,
            _request_timeout=TIMEOUT_S,
            _preload_content=False,
            **since,
        )
        log.asked = now
        lines = []
        for stamped in answer.data.decode(errors="replace").split("\n"):
            stamp, _, line = stamped.partition(" ")
            if stamp > last:
                lines.append(line)
                log.seen = stamp
        return lines


def find_pods(run_id: str, namespace: str) -> Pods | None:
    """The run's pods, if a kubeconfig (or a pod's own service account) can list them; else None."""
    from kubernetes import client, config
    from urllib3.exceptions import HTTPError

    # Kubernetes' client logs with each request that a kubeconfig's command gives it no login: once is enough.
    said: set[str] = set()
    logging.getLogger().addFilter(lambda line: line.module != "kube_config" or _is_new(line.getMessage(), said))
    try:
        api = kubernetes_api()
        pods = Pods(client.CoreV1Api(api), client.CustomObjectsApi(api), namespace or "kubeflow", run_id)
        pods._list()
    except (config.ConfigException, client.ApiException, HTTPError, OSError, TypeError):
        return None
    return pods


def _is_new(message: str, said: set[str]) -> bool:
    new = message not in said
    said.add(message)
    return new


def kubernetes_api() -> "client.ApiClient":
    """The API of the cluster around this process, else of the kubeconfig.

    Raises:
        ConfigException, OSError, TypeError: there is neither, or it can't be used.
    """
    import urllib3
    from kubernetes import client, config

    configuration = client.Configuration()
    configuration.retries = 0  # a cluster that is not there should not cost a minute
    try:
        config.load_incluster_config(configuration)
    except config.ConfigException:
        try:
            config.load_kube_config(client_configuration=configuration)
        except yaml.YAMLError as error:
            raise config.ConfigException(f"expected YAML as the kubeconfig, received: {one_line(error)}") from None
        by_the_environment(configuration, kubeconfig=True)
    if not configuration.verify_ssl:  # the kubeconfig wants it so; urllib3 would say so at every request
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return client.ApiClient(configuration)


@contextlib.contextmanager
def unless_unreachable(told: Callable[[Any], None] = lambda refusal: None) -> Iterator[None]:
    """Leaves out what Kubernetes does not answer, or refuses, of which `told` hears: following goes on without."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except HTTPError:
        pass
    except ApiException as refusal:
        told(refusal)


def _nodes_of(status: dict[str, Any]) -> dict[str, Any]:
    """A workflow's nodes; Argo compresses those of a large one, such as a sweep's of some dozen trials."""
    if packed := status.get("compressedNodes"):
        return json.loads(gzip.decompress(base64.b64decode(packed)))
    return status.get("nodes") or {}


def _node(pod: Any) -> str:
    return (pod.metadata.annotations or {}).get(NODE_NAME, "") or pod.metadata.name


def _step(pod: Any) -> StepName:
    return step_of(_node(pod))
