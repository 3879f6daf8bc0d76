"""One node of a training on several: `python -m components.train.nodes.node JOB`, JOB being a Job as JSON.

Kubeflow Trainer runs it on every node and tells each its rank among the others: JAX_COORDINATOR_ADDRESS,
JAX_NUM_PROCESSES, JAX_PROCESS_ID. Each fetches the dataset artifact and brings every batch, which their devices divide
(device.py); the first writes checkpoints, event files and the model, and prints.

A node that is lost ends the training: JAX misses it after `lost_after_s` and aborts the other processes, with a stack
trace for a last word. So the training runs in a process of its own, below one that says in a line what happened.
"""

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator

import pydantic

from components.core.errors import ERROR_PREFIX, PipelineError, one_line, one_line_errors
from components.core.machine import lack
from components.core.storage import Limits, StorageError, Unreachable, location, open_store
from components.train.device import NodeLostError, make_deterministic
from components.train.nodes.job import LOST, Job

VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
CHILD = "--train"
# How often node 0 looks whether somebody still waits for the result, and when it takes it that nobody does: longer
# than Kubeflow Pipelines waits between two tries of a step, so that a step that is tried again finds its nodes.
LOOK_S = 60.0
ABANDONED_S = 1800.0
# The others wait for node 0 to store the model.
STORING_S = 1800
LONGEST_WORD = 400
# The names, in JAX's errors, of what carries sums between nodes.
LOST_NODE = re.compile("gloo|nccl|coordination", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class NodeRank:
    """Where a node stands: the first node's address, how many there are, and which of them this is."""

    coordinator: str
    nodes: int
    number: int


def main() -> None:
    """Trains, or (without --train) starts a process that does and says how it ended."""
    with one_line_errors():
        if CHILD in sys.argv:
            train_here(read_job(sys.argv[-1]), find_rank())
        else:
            raise SystemExit(supervise(read_job(sys.argv[-1]), find_rank()))


def read_job(text: str) -> Job:
    """The description as its JSON text."""
    try:
        return Job.model_validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise PipelineError(f"expected a training's description as JSON: {first['loc']}: {first['msg']}") from None


def find_rank() -> NodeRank:
    """This node's rank, from the environment."""
    given = [os.environ.get(name, "") for name in VARIABLES]
    if not all(given) or not (given[1].isdecimal() and given[2].isdecimal()):
        raise PipelineError(
            f"expected {', '.join(VARIABLES)} from Kubeflow Trainer, received {given}; is the runtime's mlPolicy jax?"
        )
    return NodeRank(given[0], int(given[1]), int(given[2]))


def supervise(job: Job, rank: NodeRank) -> int:
    """Runs the training in a process of its own and returns its exit code; says why if it could not.

    The code is LOST if the training can go on with new nodes: another one was lost, or this one was killed.
    """
    child = subprocess.Popen([sys.executable, "-m", __spec__.name, CHILD, job.model_dump_json()])
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    code = child.wait()
    if code >= 0:
        return code
    why = (
        f"another node was lost, or had not come within {job.patience_s:.0f} s; that node's log says why"
        if code == -signal.SIGABRT
        else "killed from outside, for instance as it took more memory than its limit"
    )
    how = signal.Signals(-code).name
    print(f"{ERROR_PREFIX}node {rank.number} of {rank.nodes} ended by {how}: {why}", file=sys.stderr, flush=True)
    return LOST


def train_here(job: Job, rank: NodeRank) -> None:
    """Joins the other nodes and trains."""
    if job.settings.get("gpus") == "0":
        os.environ["JAX_PLATFORMS"] = "cpu"  # else JAX asks for the GPU driver, and remarks that it is not there
    try:
        with tempfile.TemporaryDirectory(prefix="node-") as scratch, _explained(job, rank):
            settings = job.checked_settings
            dataset = local_copy(job.dataset, f"{scratch}/dataset")
            if settings.deterministic:
                make_deterministic(settings.backend)
            join(job, rank)
            if rank.number == 0 and job.watched:
                threading.Thread(target=end_if_abandoned, args=[job], daemon=True).start()
            from components.train.run import train

            board = job.tensorboard if rank.number == 0 else ""
            places = dataset, f"{scratch}/model", f"{scratch}/tensorboard"
            train(settings, *places, tensorboard_artifact=board, keep_checkpoint=True)
            if rank.number == 0:
                result = open_store(job.own_place("result"))
                for name in ("tensorboard", "model"):
                    result.upload_directory(f"{scratch}/{name}", name)
    except (NodeLostError, Unreachable) as error:
        print(f"{ERROR_PREFIX}{error}", file=sys.stderr)
        _leave(LOST)
    except BaseException as error:
        if not isinstance(error, SystemExit):
            traceback.print_exc()
        _leave(1)


@contextlib.contextmanager
def _explained(job: Job, rank: NodeRank) -> Iterator[None]:
    """As every step does, but lets through what new nodes may mend, and leaves word of all else."""
    try:
        yield
    except (NodeLostError, Unreachable):
        raise
    except Exception as error:
        if isinstance(error, RuntimeError | ValueError) and LOST_NODE.search(f"{type(error).__name__} {error}"):
            raise NodeLostError(
                f"another node was lost, and the training with it; that node's log says why ({one_line(error, 200)})"
            ) from None
        _leave_word(job, rank, error)
        with one_line_errors():
            raise


def _leave_word(job: Job, rank: NodeRank, error: Exception) -> None:
    """Stores a node's own error for the step that watches: its pod may be cleared away, and its log with it, because
    another node, which missed it, was seen to end first. The first word stays: later ones may only follow from it."""
    said = str(error) if isinstance(error, PipelineError) else lack(error) or f"{type(error).__name__}: {error}"
    with contextlib.suppress(StorageError):
        line = f"node {rank.number} failed: {one_line(said, LONGEST_WORD)}"
        open_store(job.own_place(), Limits(deadline_s=60)).write_bytes("failed", line.encode(), if_absent=True)


def _leave(code: int) -> None:
    """Ends this process at once: the usual way out waits for the other nodes, which wait for its share of a sum."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def local_copy(uri: str, path: str) -> str:
    """The path of a directory that may lie in a store."""
    if location.parse(uri).scheme == "file":
        return location.parse(uri).prefix
    open_store(uri).download_directory("", path, "dataset")
    return path


def join(job: Job, rank: NodeRank) -> None:
    """Waits for the other nodes; from then on they are one to JAX. If they don't come, it aborts this process."""
    import jax

    print(f"node {rank.number} of {rank.nodes} waits for the others, to meet them at {rank.coordinator}", flush=True)
    try:
        jax.distributed.initialize(
            rank.coordinator,
            rank.nodes,
            rank.number,
            cluster_detection_method="deactivate",
            initialization_timeout=int(job.patience_s),
            heartbeat_timeout_seconds=job.lost_after_s,
            shutdown_timeout_seconds=STORING_S,
        )
        # The nodes tell each other of their devices: here, where a node that is gone is known as that, and not later,
        # when one that failed quickly would look like a failure of ours.
        jax.devices()
    except RuntimeError as error:
        raise NodeLostError(
            f"the other nodes were not met within {job.patience_s:.0f} s: {one_line(error, 200)}"
        ) from None


def end_if_abandoned(job: Job) -> None:
    """Ends this process, and so the training, when `alive/` has been the same for ABANDONED_S.

    A step that was killed can't take its nodes away, and they would go on at the price of their GPUs. What counts is
    this machine's clock alone. A store that doesn't answer says nothing about anybody, and no time counts meanwhile.
    """
    store = open_store(job.place("alive"))
    seen: list[str] = []
    since = time.monotonic()
    while True:
        time.sleep(LOOK_S)
        try:
            beats = [beat.key for beat in store.list()]
        except StorageError:
            since = time.monotonic()
            continue
        if beats != seen:
            seen, since = beats, time.monotonic()
        elif time.monotonic() - since > ABANDONED_S:
            waited = f"{ABANDONED_S / 60:.0f} minutes"
            print(f"{ERROR_PREFIX}nobody has waited for this training for {waited}: ended", file=sys.stderr)
            _leave(1)


if __name__ == "__main__":
    main()
