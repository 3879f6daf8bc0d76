"""How a step's container ended, from its pod's status."""

import re
from typing import Any

from components.core.errors import one_line
from pipeline.parameters.parameters import Parameters
from pipeline.parameters.prediction import PredictionParameters
from pipeline.step_log import KILLED

# Argo's words on a container that ended by itself, of which its log tells more.
ONLY_STATUS = re.compile(r"Error \(exit code (\d+)\)$")
# Why the kubelet ends a pod that is still there then, as failed: to Argo that is none that vanished, to be tried again.
# Terminated is said on a spot node that is given time to shut down.
TAKEN = ("Evicted", "Terminated", "NodeShutdown")
AGAIN = (
    "; Kubeflow does not try that again: start the run once more, which takes what is done from the cache, and trains "
    "on from the last checkpoint if `checkpoints` names a store"
)


def container_ending(step: str, pod: Any) -> str:
    """One line; empty if the status says no more than an exit code."""
    if pod.status.reason:  # Evicted, DeadlineExceeded, Preempted
        return _told(pod.status) + (AGAIN if pod.status.reason in TAKEN else "")
    for condition in pod.status.conditions or []:
        if condition.type == "DisruptionTarget" and condition.status == "True":  # a drain, another pod's priority
            return f"its pod was taken away: {_told(condition)}"
    main = main_container(pod)
    ended = main and main.state and main.state.terminated
    if ended and ended.reason == "StartError":  # as of a GPU's driver that the node lacks
        return f"its container could not start: {_told(ended)}"
    if ended and ended.reason == "OOMKilled":
        limit = ((main.resources and main.resources.limits) or {}).get("memory", "")
        return f"out of memory{f' at its limit of {limit}' if limit else ''} (OOMKilled){_more(step)}"
    return killed(step) if ended and ended.exit_code == KILLED else ""


def killed(step: str) -> str:
    """A step that ended by SIGKILL, and not at its own limit."""
    return f"killed (exit code {KILLED}), probably out of memory on its node{_more(step)}"


def _told(said: Any) -> str:
    """A reason and its message, of a pod, a condition or a container."""
    return one_line(f"{said.reason}: {said.message or ''}", 300).rstrip(": ")


def _more(step: str) -> str:
    """Which parameter gives the step more memory; empty if none does."""
    name = f"{step}_memory"
    return f"; give {name} more" if name in {*Parameters.model_fields, *PredictionParameters.model_fields} else ""


def main_container(pod: Any) -> Any:
    return next((status for status in pod.status.container_statuses or [] if status.name == "main"), None)
