"""Why a step's pod can't start, in words that a person can act on. A healthy start is no trouble."""

import dataclasses
import re
from typing import Any

from components.core.errors import one_line
from components.train.nodes.pods import CONFIGURATION_REASONS, IMAGE_REASONS
from pipeline.cluster.tasks import StepName

# The kubelet warns of what a pod needs before its containers. It tries again every ten seconds or so, and the first
# tries of a healthy start fail too.
HELD_REASONS = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
HELD_TIMES = 3
# What Argo says of pods that are just starting.
HEALTHY = ("PodInitializing", "ContainerCreating")
LONGEST = 300
IMAGE_ADVICE = (
    "push it (make images ACTION=push), name the repository that has it (CONV2D_IMAGE_REPOSITORY), or give the pods' "
    "service account the registry's pull secret"
)
# As where a cluster reaches its own registry alone: its images are in each of a run's pods, before and beside ours.
KUBEFLOWS_ADVICE = (
    "it is Kubeflow's own: copy it to a registry that the nodes reach, and name it there (V2_DRIVER_IMAGE and "
    "V2_LAUNCHER_IMAGE of the deployment ml-pipeline, --executor-image of workflow-controller)"
)
# containerd's words, before a `: not found`.
OTHER_PROCESSOR = "no match for platform in manifest"
PROCESSOR_ADVICE = (
    "it is built for another processor than the node's, as one from a Mac for nodes of amd64: build and push it from a "
    "machine like the nodes"
)
# A pod that Kueue keeps in its queue: for as long as others are before it.
QUEUED = "SchedulingGated"


@dataclasses.dataclass(frozen=True)
class Trouble:
    """What keeps a step from starting.

    Attributes:
        kind: what it is; the message may change from look to look.
        message: one line.
        advice: what to do; empty if time may mend it.
        hopeless: that it will not pass by itself.
    """

    step: StepName
    kind: str
    message: str
    advice: str = ""
    hopeless: bool = False

    def __str__(self) -> str:
        return f"{self.step}: {self.message}"


def pod_trouble(step: StepName, pod: Any) -> Trouble | None:
    """What keeps a pod from starting; None if it only takes its time."""
    if pod.status.phase not in ("Pending", None):
        return None
    for status in [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]:
        waiting = status.state and status.state.waiting
        message = one_line(waiting.message or "") if waiting else ""
        if waiting and waiting.reason in IMAGE_REASONS:
            ours = status.name == "main" and not is_driver(pod)
            advice = IMAGE_ADVICE if ours else KUBEFLOWS_ADVICE
            if OTHER_PROCESSOR in message:
                advice = PROCESSOR_ADVICE
            return Trouble(step, "image", _image(message, status.image), advice, hopeless=True)
        if waiting and waiting.reason in CONFIGURATION_REASONS:
            return Trouble(step, "configuration", f"its container can't be made: {_line(message)}", hopeless=True)
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            if condition.reason == QUEUED:
                return Trouble(step, QUEUED, f"its pod is kept in a queue: {_line(condition.message)}")
            # Without what is said of preemption and claims, which follows the reason.
            why = re.split(r" no new claims| preemption:", _line(condition.message))[0]
            return Trouble(step, "no node", f"no node takes its pod: {why or 'Kubernetes does not say why'}")
    return None


def is_driver(pod: Any) -> bool:
    """Whether a pod is KFP's own, which prepares a step."""
    return "-driver-" in pod.metadata.name


def refused_pod(step: StepName, node: dict[str, Any]) -> Trouble | None:
    """What keeps an Argo node from having a pod; None if that is just being made."""
    message = _line(node.get("message"))
    if not message or message.split(":")[0] in HEALTHY:
        return None
    return Trouble(step, "refused", f"its pod is refused: {message}")


def held_back(step: StepName, event: Any) -> Trouble | None:
    """What a node lacks for a pod that it has, such as a network or a volume; None if that may just take its time."""
    if event.reason not in HELD_REASONS or (event.count or 1) < HELD_TIMES:
        return None
    return Trouble(step, "held back", f"its node can't start its pod: {_line(event.message)}")


def _image(message: str, image: str) -> str:
    named = re.search(r'image "([^"]+)"', message)
    why = OTHER_PROCESSOR if OTHER_PROCESSOR in message else message.rpartition(": ")[2] if ": " in message else ""
    return f"its image {named[1] if named else image} can't be pulled{': ' if why else ''}{_line(why)}"


def _line(message: str | None) -> str:
    return one_line(message or "", LONGEST)
