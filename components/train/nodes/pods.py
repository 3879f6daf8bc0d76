"""What the pods of the nodes say: why one can't start, why one failed, and the first one's log."""

import contextlib
import dataclasses
import re
from typing import Any

from components.core.errors import ERROR_PREFIX, one_line
from components.train.nodes.job import LOST
from components.train.nodes.kube import CORE, ApiRefusedError, Kube
from components.train.nodes.train_job import CONTAINER, JOB_LABEL, NUMBER_LABEL, RUNTIME

# Reasons of a waiting container that don't pass by themselves: the kubelet's (pkg/kubelet/images,
# pkg/kubelet/kuberuntime).
IMAGE_REASONS = (
    "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "SignatureValidationFailed", "RegistryUnavailable",
)  # fmt: skip
CONFIGURATION_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
LAST_LINES = 50
# How a container ends that Kubernetes takes away.
KILLED, TERMINATED = 137, 143


@dataclasses.dataclass(frozen=True)
class NodeTrouble:
    """What keeps a node from starting; `hopeless` if waiting doesn't help."""

    node: str
    reason: str
    hopeless: bool

    @property
    def kind(self) -> str:
        """What stays the same while Kubernetes tries again: the try to pull an image and the wait for the next have two
        names, and a pod that a quota refuses has a new one each time."""
        return "image" if self.reason.startswith(IMAGE_REASONS) else re.sub('"[^"]*"', "", self.reason)


def told(troubles: list[NodeTrouble]) -> list[str]:
    """One line a reason, with the nodes that have it."""
    nodes: dict[str, list[str]] = {}
    for trouble in troubles:
        nodes.setdefault(trouble.reason, []).append(trouble.node)
    return [f"node{'s' * (len(names) > 1)} {', '.join(names)}: {reason}" for reason, names in nodes.items()]


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a training on several nodes ended; `lost` if a node went away, so that others in its place can go on."""

    said: str
    lost: bool


class NodePods:
    """The pods of one TrainJob, as they were at the last `look`."""

    def __init__(self, kube: Kube, job: str):
        self.kube, self.job = kube, job
        self.pods: list[dict[str, Any]] = []
        self.last_stamp = ""

    def look(self) -> None:
        """Asks Kubernetes for them."""
        self.pods = self.kube.get(CORE, "pods", labelSelector=f"{JOB_LABEL}={self.job}")["items"]

    def running(self) -> int:
        """How many have started, without those that are being taken away."""
        staying = [pod for pod in self.pods if "deletionTimestamp" not in pod["metadata"]]
        return sum(_phase(pod) not in ("Pending", "") for pod in staying)

    def troubles(self, count: int) -> list[NodeTrouble]:
        """One a node that waits, in the nodes' order; and why those of `count` that have no pod have none."""
        found = [trouble for pod in sorted(self.pods, key=_number) if (trouble := _trouble(pod))]
        refused = self._refused() if len(self.pods) < count else ""
        return [*found, NodeTrouble("without a pod", refused, hopeless=False)] if refused else found

    def _refused(self) -> str:
        """What a quota has against a pod, or a webhook of JobSet's that is away against them all.

        In events alone, of the TrainJob or what was made of it, which an older role does not let the step see.
        """
        with contextlib.suppress(ApiRefusedError):
            chosen = "type=Warning,involvedObject.kind!=Pod"
            events = self.kube.get(CORE, "events", fieldSelector=chosen)["items"]
            ours = [event for event in events if f"{event['involvedObject']['name']}-".startswith(f"{self.job}-")]
            return one_line(ours[-1].get("message") or "", 300) if ours else ""
        return ""

    def failure(self) -> Failure | None:
        """Why the node that failed first did, one with a reason of its own before one that missed another; None if none
        has failed, or it is gone."""
        failed = [(end, pod) for pod in self.pods if _phase(pod) == "Failed" and (end := _end(pod)) is not None]
        if not failed:
            return None
        end, pod = min(failed, key=lambda each: (_is_lost(*each), each[0].get("finishedAt") or ""))
        return Failure(self._why(end, pod), _is_lost(end, pod))

    def _why(self, end: dict[str, Any], pod: dict[str, Any]) -> str:
        number = _number(pod)
        if end.get("reason") == "OOMKilled":
            return (
                f"node {number} ran out of memory (OOMKilled); give a smaller batch_size, or the nodes "
                f"more memory in the TrainingRuntime {RUNTIME}"
            )
        evicted = pod["status"].get("reason") or ""
        said = self._last_words(pod["metadata"]["name"]) or end.get("message") or pod["status"].get("message") or ""
        reason = evicted or f"exit code {end.get('exitCode', 'unknown')}"
        return f"node {number} failed ({reason}): {' '.join(said.split())[:400]}"

    def new_lines(self) -> list[str]:
        """The first node's log since the last call; nothing if it can't be had yet."""
        first = next((pod for pod in self.pods if _number(pod) == "0" and _phase(pod) not in ("Pending", "")), None)
        if first is None:
            return []
        since = {"sinceTime": f"{self.last_stamp[:19]}Z"} if self.last_stamp else {}
        lines = []
        # Kubernetes filters by whole seconds; each line's own time does the rest.
        for stamped in self._log(first["metadata"]["name"], timestamps="true", **since).splitlines():
            stamp, _, line = stamped.partition(" ")
            if stamp > self.last_stamp:
                lines.append(line)
                newest = stamp
        if lines:
            self.last_stamp = newest
        return lines

    def _last_words(self, pod: str) -> str:
        """The last line that is our own error, else the last line at all."""
        lines = [line for line in self._log(pod, tailLines=LAST_LINES).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(ERROR_PREFIX)]
        return (errors or lines or [""])[-1].removeprefix(ERROR_PREFIX)

    def _log(self, pod: str, **query: Any) -> str:
        return self.kube.log(pod, container=CONTAINER, **query)


def _phase(pod: dict[str, Any]) -> str:
    return pod.get("status", {}).get("phase") or ""


def _number(pod: dict[str, Any]) -> str:
    about = pod["metadata"]
    return {**about.get("annotations", {}), **about.get("labels", {})}.get(NUMBER_LABEL, about["name"])


def _statuses(pod: dict[str, Any]) -> list[dict[str, Any]]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _end(pod: dict[str, Any]) -> dict[str, Any] | None:
    """How the pod's container ended; empty for a pod that was evicted before its container's end was known."""
    ends = [status.get("state", {}).get("terminated") for status in _statuses(pod)]
    bad = [end for end in ends if end and end.get("exitCode")]
    return bad[0] if bad else {}


def _is_lost(end: dict[str, Any], pod: dict[str, Any]) -> bool:
    """Whether a node was taken away, or ended because another one was: nothing that it would meet again."""
    if end.get("reason") == "OOMKilled":
        return False
    return bool(pod["status"].get("reason")) or end.get("exitCode") in (LOST, KILLED, TERMINATED)


def _trouble(pod: dict[str, Any]) -> NodeTrouble | None:
    if _phase(pod) not in ("Pending", ""):
        return None
    for status in _statuses(pod):
        waiting = status.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in (*IMAGE_REASONS, *CONFIGURATION_REASONS):
            return NodeTrouble(_number(pod), _line(waiting["reason"], waiting.get("message")), hopeless=True)
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason = _line(condition.get("reason") or "not scheduled", condition.get("message"))
            return NodeTrouble(_number(pod), reason, hopeless=False)
    return None


def _line(reason: str, message: str | None) -> str:
    words = one_line(message or "", 300)
    return f"{reason}: {words}" if words else reason
