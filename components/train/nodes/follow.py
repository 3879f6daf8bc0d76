"""One TrainJob from its making to its end: found or made, followed with reasons and log, taken away."""

import contextlib
import re
import time
from typing import Any

from components.core.errors import PipelineError
from components.core.storage import StorageError, open_store
from components.train.nodes.job import Job
from components.train.nodes.kube import ApiRefusedError, Kube
from components.train.nodes.pods import IMAGE_REASONS, Failure, NodePods, NodeTrouble, told
from components.train.nodes.train_job import RUNTIME, STEP_LABEL, TRAINER, Nodes, job_name, train_job

COMPLETE = "Complete"
QUEUED = "suspended: the nodes wait in their queue"
DEADLINE = "DeadlineExceeded"
EPOCH = re.compile(r"epoch +(\d+)/\d+(?![\d:])")  # how the first node's line of a finished epoch begins
# Losses in a row after which new nodes are not tried any more, if none of these got further than any before.
LOSSES = 3
LOOK_S = 5.0
# A node pool may have to grow first, but a whole hour says that something is wrong.
START_S = 3600.0
# An image that can't be pulled may be one whose registry has a bad moment.
HOPELESS_S = 300.0
# A pod has 30 s to end. One on a machine that is dead never does, until somebody takes that out of the cluster.
GOING_S = 120.0


class NodesFailedError(Exception):
    """A TrainJob's end that is not the good one; the text says why.

    Attributes:
        lost: whether a node went away, so that new ones can go on.
        epoch: the last one that was finished; 0: none.
    """

    def __init__(self, said: str, lost: bool = False, epoch: int = 0):
        super().__init__(said)
        self.lost, self.epoch = lost, epoch


def obtain(kube: Kube, job: Job, nodes: Nodes) -> tuple[str, bool]:
    """Makes a TrainJob unless an earlier try of this step made one that has not failed.

    Returns:
        Its name, and whether it is an earlier try's: Kubernetes clears it away with that try's pod.
    """
    for found in _made_before(kube, job):
        name, state = found["metadata"]["name"], _state_of(found)
        if state in ("", QUEUED, COMPLETE):
            print(f"going on with TrainJob {name} of an earlier try", flush=True)
            return name, True
        print(f"TrainJob {name} failed ({state}): making another", flush=True)
        _remove(kube, name)
    runtime = kube.get(TRAINER, f"trainingruntimes/{RUNTIME}")
    made = train_job(job, nodes, runtime)
    name = made["metadata"]["name"]
    try:
        kube.create(TRAINER, "trainjobs", made)
    except ApiRefusedError as refused:
        if refused.status != 409:  # there already: the answer to the first request was lost
            raise
    print(f"TrainJob {name}: {nodes.count} nodes of {nodes.image}", flush=True)
    return name, False


def follow_nodes(
    kube: Kube, job: Job, name: str, count: int, inherited: bool, look_s: float = LOOK_S, start_s: float = START_S
) -> None:
    """Prints what becomes of a TrainJob, and the first node's log, until it is complete.

    Args:
        inherited: whether an earlier try of the step made it.

    Raises:
        NodesFailedError: it is not going to be.
    """
    pods, log, arrival = NodePods(kube, name), _Log(job), _Arrival(count, start_s)
    while True:
        state = _state(kube, name)
        pods.look()
        log.show(pods)
        if state == COMPLETE:
            return
        if state is None:
            whose = ", or the pod of the try that made it" if inherited else ""
            raise NodesFailedError(f"the TrainJob {name} is gone: somebody deleted it{whose}", inherited, log.epoch)
        if state not in ("", QUEUED):
            failure = _why(job.named(name), pods, state)
            raise NodesFailedError(failure.said, failure.lost, log.epoch)
        arrival.look(pods, state)
        time.sleep(look_s)


class _Log:
    """The first node's log as the step shows it, and the last epoch of which it told the end."""

    def __init__(self, job: Job):
        self.silent = job.settings.get("verbose") == "0"
        self.epoch = 0

    def show(self, pods: NodePods) -> None:
        for line in pods.new_lines():
            if finished := EPOCH.match(line):
                self.epoch = int(finished[1])
            if not (self.silent and line.startswith("epoch ")):
                print(line, flush=True)


class _Arrival:
    """How many nodes have started, told as it changes, and for how long some are missing."""

    def __init__(self, count: int, longest_s: float):
        self.count, self.longest_s = count, longest_s
        self.seen: list[Any] = []
        self.waits_since: float | None = None
        self.hopeless_since: float | None = None

    def look(self, pods: NodePods, state: str) -> None:
        """Raises NodesFailedError if some are missing for too long."""
        now, troubles, running = time.monotonic(), pods.troubles(self.count), pods.running()
        news = state or "; ".join([f"{running} of {self.count} nodes have started", *told(troubles)])
        seen = [state, running, *((trouble.node, trouble.kind) for trouble in troubles)]
        if seen != self.seen:
            print(news, flush=True)
            self.seen = seen
        # In a queue there is no saying how long. After they have started, one that is missing is on its way to be lost.
        waits = running < self.count and state != QUEUED
        self.waits_since = (self.waits_since or now) if waits else None
        hopeless = any(trouble.hopeless for trouble in troubles)
        self.hopeless_since = (self.hopeless_since or now) if hopeless else None
        for since, longest_s in ((self.waits_since, self.longest_s), (self.hopeless_since, HOPELESS_S)):
            if since and now - since > min(longest_s, self.longest_s):
                raise NodesFailedError(f"{news}; {_advice(troubles)}")


def follow_to_the_end(kube: Kube, job: Job, nodes: Nodes, look_s: float = LOOK_S) -> Job:
    """Has the job trained, whatever nodes are lost meanwhile: all are made anew, and go on from the last checkpoint.

    Returns:
        The job as the TrainJob did it that came to the end.

    Raises:
        NodesFailedError: a node failed for a reason of its own, or nodes are lost again and again and get no further.
    """
    losses = furthest = 0
    while True:
        name, inherited = obtain(kube, job, nodes)
        try:
            follow_nodes(kube, job, name, nodes.count, inherited, look_s)
            return job.named(name)
        except NodesFailedError as failed:
            losses = 1 if failed.epoch > furthest else losses + 1
            furthest = max(furthest, failed.epoch)
            if not failed.lost or losses > LOSSES:
                raise
            print(f"lost: {failed}; all nodes are made anew and go on from the last checkpoint", flush=True)
            _remove(kube, name)


def _why(job: Job, pods: NodePods, state: str) -> Failure:
    """What made the training end: an error of a node's own, as its pod tells it or as it left word of, before a node
    that only missed another. The pod with the error may be gone, or may not be seen to have ended yet."""
    seen = pods.failure()
    if seen and not seen.lost:
        return seen
    try:
        return Failure(open_store(job.own_place()).read_bytes("failed").decode(), lost=False)
    except StorageError:  # mostly: there is none
        return seen or Failure(state, lost=DEADLINE not in state)


def clear(kube: Kube, job: Job) -> None:
    """Takes the TrainJob and all its pods away, if there is one and the cluster lets us."""
    with contextlib.suppress(ApiRefusedError, PipelineError):
        for found in _made_before(kube, job):
            kube.delete(TRAINER, f"trainjobs/{found['metadata']['name']}")


def _made_before(kube: Kube, job: Job) -> list[dict[str, Any]]:
    """The step's TrainJobs, without those that are going away."""
    found = kube.get(TRAINER, "trainjobs", labelSelector=f"{STEP_LABEL}={job_name(job)}")["items"]
    return [each for each in found if "deletionTimestamp" not in each["metadata"]]


def _remove(kube: Kube, name: str) -> None:
    """Waits until it is gone, so that its nodes leave others their GPUs; but not for a pod whose machine is dead."""
    kube.delete(TRAINER, f"trainjobs/{name}")
    end = time.monotonic() + GOING_S
    while _state(kube, name) is not None:
        if time.monotonic() > end:
            print(
                f"TrainJob {name} does not go away; is a machine dead? kubectl get pods -o wide; "
                "it is left to the cluster",
                flush=True,
            )
            return
        time.sleep(1)


def _state(kube: Kube, name: str) -> str | None:
    """`Complete`, or QUEUED, or why it failed, or nothing while it goes on; None if there is no such TrainJob."""
    try:
        found = kube.get(TRAINER, f"trainjobs/{name}")
    except ApiRefusedError as refused:
        if refused.status == 404 and refused.by_api:
            return None
        raise
    return _state_of(found)


def _state_of(found: dict[str, Any]) -> str:
    for condition in found.get("status", {}).get("conditions") or []:
        if condition["status"] == "True" and condition["type"] == "Complete":
            return COMPLETE
        if condition["status"] == "True" and condition["type"] == "Failed":
            return f"{condition.get('reason', 'Failed')}: {condition.get('message', '')}".strip(": ")
    # Kueue's word; of the condition that Trainer makes of it there may be none yet.
    return QUEUED if found["spec"].get("suspend") else ""


def _advice(troubles: list[NodeTrouble]) -> str:
    if any(trouble.reason.startswith(IMAGE_REASONS) for trouble in troubles):
        return "is the image in its registry? make images TARGET=jax ACTION=push"
    if any(trouble.hopeless for trouble in troubles):
        return f"check the TrainingRuntime {RUNTIME}"
    return f"check the node pool, the quota, and the selector and tolerations of the TrainingRuntime {RUNTIME}"
