"""One TrainJob from its making to its end: found or made, followed with reasons and log, taken away."""

import contextlib
import time

from components.core.errors import PipelineError
from components.core.storage import StorageError, open_store
from components.train.nodes.job import Job
from components.train.nodes.kube import Kube, RefusedError
from components.train.nodes.pods import Failure, NodePods, Trouble
from components.train.nodes.train_job import RUNTIME, TRAINER, Nodes, name_of, train_job

COMPLETE = "Complete"
QUEUED = "suspended: the nodes wait in their queue"
DEADLINE = "DeadlineExceeded"
EPOCH = "epoch "  # how the first node's line of a finished epoch begins
# Losses in a row, without an epoch between them, after which new nodes are not tried any more.
LOSSES = 3
LOOK_S = 5.0
# A node pool may have to grow first, but a whole hour says that something is wrong.
START_S = 3600.0
# An image that can't be pulled may be one whose registry has a bad moment.
HOPELESS_S = 300.0
GOING_S = 300.0


class NodesFailedError(Exception):
    """A TrainJob's end that is not the good one; the text says why.

    Attributes:
        lost: whether a node went away, so that new ones can go on.
        went_on: whether an epoch was finished before.
    """

    def __init__(self, said: str, lost: bool = False, went_on: bool = False):
        super().__init__(said)
        self.lost, self.went_on = lost, went_on


def obtain(kube: Kube, job: Job, nodes: Nodes) -> None:
    """The TrainJob, made unless an earlier try of this step made it; one that failed makes way for another."""
    name = name_of(job)
    state = _state(kube, name)
    if state in ("", QUEUED, COMPLETE):
        print(f"going on with TrainJob {name} of an earlier try", flush=True)
        return
    if state is not None:
        print(f"TrainJob {name} failed ({state}): making it anew", flush=True)
        _remove(kube, name)
    runtime = kube.get(TRAINER, f"trainingruntimes/{RUNTIME}")
    open_store(job.work).delete("failed")  # of the nodes before
    try:
        kube.create(TRAINER, "trainjobs", train_job(job, nodes, runtime))
    except RefusedError as refused:
        if refused.status != 409:  # there already: the answer to the first request was lost
            raise
    print(f"TrainJob {name}: {nodes.count} nodes of {nodes.image}", flush=True)


def follow(kube: Kube, job: Job, count: int, look_s: float = LOOK_S, start_s: float = START_S) -> None:
    """Prints what becomes of a TrainJob, and the first node's log, until it is complete.

    Raises:
        NodesFailedError: it is not going to be.
    """
    name = name_of(job)
    pods, told, waits_since, hopeless_since, went_on = NodePods(kube, name), "", None, None, False
    while True:
        state = _state(kube, name)
        pods.look()
        for line in pods.new_lines():
            print(line, flush=True)
            went_on |= line.startswith(EPOCH)
        if state == COMPLETE:
            return
        if state is None:
            raise NodesFailedError(f"the TrainJob {name} is gone: somebody deleted it")
        if state not in ("", QUEUED):
            failure = _why(job, pods, state)
            raise NodesFailedError(failure.said, failure.lost, went_on)
        now, troubles, running = time.monotonic(), pods.troubles(), pods.running()
        news = state or "; ".join([f"{running} of {count} nodes have started", *map(str, troubles)])
        if news != told:
            print(news, flush=True)
            told = news
        hopeless_since = (hopeless_since or now) if any(trouble.hopeless for trouble in troubles) else None
        # In a queue there is no saying how long. After they have started, one that is missing is on its way to be lost.
        waits_since = (waits_since or now) if running < count and state != QUEUED else None
        in_vain = waits_since and now - waits_since > start_s
        if in_vain or (hopeless_since and now - hopeless_since > min(HOPELESS_S, start_s)):
            raise NodesFailedError(f"{news}; {_advice(troubles)}")
        time.sleep(look_s)


def follow_to_the_end(kube: Kube, job: Job, nodes: Nodes, look_s: float = LOOK_S) -> None:
    """Has the job trained, whatever nodes are lost meanwhile: all are made anew, and go on from the last checkpoint.

    Raises:
        NodesFailedError: a node failed for a reason of its own, or nodes are lost again and again with nothing done.
    """
    losses = 0
    while True:
        obtain(kube, job, nodes)
        try:
            return follow(kube, job, nodes.count, look_s)
        except NodesFailedError as failed:
            losses = 1 if failed.went_on else losses + 1
            if not failed.lost or losses > LOSSES:
                raise
            print(f"lost: {failed}; all nodes are made anew and go on from the last checkpoint", flush=True)
            _remove(kube, name_of(job))


def _why(job: Job, pods: NodePods, state: str) -> Failure:
    """What made the training end: an error of a node's own, as its pod tells it or as it left word of, before a node
    that only missed another. The pod with the error may be gone, or may not be seen to have ended yet."""
    seen = pods.failure()
    if seen and not seen.lost:
        return seen
    try:
        return Failure(open_store(job.work).read_bytes("failed").decode(), lost=False)
    except StorageError:  # mostly: there is none
        return seen or Failure(state, lost=DEADLINE not in state)


def clear(kube: Kube, name: str) -> None:
    """Takes the TrainJob and all its pods away, if there is one and the cluster lets us."""
    with contextlib.suppress(RefusedError, PipelineError):
        kube.delete(TRAINER, f"trainjobs/{name}")


def _remove(kube: Kube, name: str) -> None:
    kube.delete(TRAINER, f"trainjobs/{name}")
    end = time.monotonic() + GOING_S
    while _state(kube, name) is not None:
        if time.monotonic() > end:
            raise NodesFailedError(f"an earlier try's does not go away; look: kubectl describe trainjob {name}")
        time.sleep(1)


def _state(kube: Kube, name: str) -> str | None:
    """`Complete`, or QUEUED, or why it failed, or nothing while it goes on; None if there is no such TrainJob."""
    try:
        found = kube.get(TRAINER, f"trainjobs/{name}")
    except RefusedError as refused:
        if refused.status == 404 and refused.by_api:
            return None
        raise
    for condition in found.get("status", {}).get("conditions") or []:
        if condition["status"] == "True" and condition["type"] == "Complete":
            return COMPLETE
        if condition["status"] == "True" and condition["type"] == "Failed":
            return f"{condition.get('reason', 'Failed')}: {condition.get('message', '')}".strip(": ")
    # Kueue's word; of the condition that Trainer makes of it there may be none yet.
    return QUEUED if found["spec"].get("suspend") else ""


def _advice(troubles: list[Trouble]) -> str:
    if any(trouble.hopeless for trouble in troubles):
        return "is the image in its registry? make images TARGET=jax ACTION=push"
    return f"check the node pool, the quota, and the selector and tolerations of the TrainingRuntime {RUNTIME}"
