"""The train step with nodes > 1: has Kubeflow Trainer start the nodes, follows them, fetches what they made.

A node that is lost ends its TrainJob; the step makes another, whose nodes go on from the last checkpoint, as often as
that leads on. The step itself, killed at any moment and tried again, finds its TrainJob by its label. When the step
ends, however it does, it takes the TrainJob away. If it was killed without a chance to, the nodes end by themselves
(node.py, end_if_abandoned).
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from components.core.artifacts.model import read_training
from components.core.errors import PipelineError
from components.core.files import whole_directory
from components.core.storage import StorageError, Store, location, open_store
from components.core.storage.errors import tell
from components.train.board.tracking import tracked_run
from components.train.nodes.follow import LOOK_S, NodesFailedError, clear, follow_to_the_end
from components.train.nodes.job import Job
from components.train.nodes.kube import CORE, ApiRefusedError, Kube, in_cluster
from components.train.nodes.train_job import IMAGE_VARIABLE, LABELS_VARIABLE, RUNTIME, Nodes
from components.train.run import TrainingResult
from components.train.settings import TrainSettings

FIX = "kubectl apply --server-side -k k8s/overlays/<yours>, with k8s/components/multi-node among its components"
# Several times in the while that the nodes wait for a beat (node.py), and rare enough for a bucket that keeps them all.
BEAT_S = 300.0


def train_on_nodes(
    settings: TrainSettings,
    dataset_uri: str,
    model_path: str,
    model_uri: str,
    tensorboard_path: str,
    tensorboard_uri: str,
    kube: Kube | None = None,
    look_s: float = LOOK_S,
) -> TrainingResult:
    """Trains on `settings.nodes` nodes and writes the model artifact, whole or not at all, and the event files.

    Args:
        dataset_uri, model_uri, tensorboard_uri: of the step's artifacts, in a store that the nodes reach.
        kube: by default the cluster that this pod runs in.

    Raises:
        PipelineError: this is no cluster, or not one for it, or a node failed.
    """
    kube = kube or in_cluster()
    nodes = find_nodes(settings, kube)
    for uri in (dataset_uri, model_uri):
        if location.parse(uri).scheme == "file":
            raise PipelineError(f"nodes: expected artifacts in a store that all nodes reach, received {uri}")
    values = settings.model_dump()
    job = Job(settings=values, dataset=dataset_uri, work=f"{model_uri}.work", tensorboard=tensorboard_uri)
    with contextlib.ExitStack() as stack:
        for block in (_explained(nodes), _ending_at_sigterm(), _beating(job)):
            stack.enter_context(block)
        stack.callback(clear, kube, job)
        done = follow_to_the_end(kube, job, nodes, look_s)
        result = open_store(done.own_place("result"))
        for part, path in (("tensorboard", tensorboard_path), ("model", model_path)):
            with whole_directory(path) as directory:
                result.download_directory(part, directory, part)
    work = open_store(job.work)
    try:
        done_with = [stored.key for stored in work.list() if not stored.key.startswith("checkpoints/")]
        work.delete_files(done_with)  # KFP has yet to store the model: core/artifacts/checkpoints.py
    except StorageError as error:  # the model is here; a store that keeps what it has costs none
        tell(f"note: what the nodes left each other stays in {job.work}: {error}")
    record = read_training(model_path)
    # The run in MLflow is this pod's, with its login, so the nodes are told of none: their curves go there at the end.
    if run := tracked_run():
        run.send_the_rest(record["history"])
    return TrainingResult.model_validate({name: record[name] for name in TrainingResult.model_fields})


def is_for_nodes(settings: TrainSettings) -> bool:
    """Whether the step has nodes train: it was asked to, or belongs to a pipeline that was compiled for that."""
    return settings.nodes > 1 or bool(os.environ.get(IMAGE_VARIABLE))


def find_nodes(settings: TrainSettings, kube: Kube) -> Nodes:
    """What the pipeline was compiled with, and whose the TrainJob is."""
    image = os.environ.get(IMAGE_VARIABLE, "")
    if not image:
        raise PipelineError(
            f"nodes: expected a pipeline compiled for several nodes, received nodes={settings.nodes} in one compiled "
            "for one; compile and submit with nodes=2 or more: make pipeline-run NODES=2"
        )
    if not settings.gpus.isdecimal():
        raise PipelineError(f"gpus: expected the number of GPUs of each node, received {settings.gpus!r}")
    labels = dict(pair.split("=", 1) for pair in os.environ.get(LABELS_VARIABLE, "").split(",") if pair)
    owner, pod = None, os.environ.get("HOSTNAME", "")
    # Else Kubernetes clears a forgotten TrainJob away only with its namespace.
    with contextlib.suppress(ApiRefusedError):
        uid = kube.get(CORE, f"pods/{pod or 'unknown'}")["metadata"]["uid"]
        owner = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}
    return Nodes(settings.nodes, image, labels, owner)


@contextlib.contextmanager
def _explained(nodes: Nodes) -> Iterator[None]:
    """Says in one line what failures mean, and what to do."""
    try:
        yield
    except NodesFailedError as failed:
        raise PipelineError(f"expected {nodes.count} nodes to train, received: {failed}") from None
    except ApiRefusedError as refused:
        said = str(refused)
        if refused.status in (401, 403) and "quota" not in said and "admission webhook" not in said:
            raise PipelineError(
                f"expected this step's service account to be allowed TrainJobs, received: {said}; submit with "
                f"SERVICE_ACCOUNT=conv2d-runner, and give it the rights: {FIX}"
            ) from None
        if refused.status == 404 and not refused.by_api:
            raise PipelineError(
                "expected Kubeflow Trainer 2 in the cluster, which knows no TrainJobs; install it "
                "(https://www.kubeflow.org/docs/components/trainer), or train on one node: nodes=1"
            ) from None
        if refused.status == 404:
            raise PipelineError(f"expected the TrainingRuntime {RUNTIME}, received: {said}; {FIX}") from None
        raise PipelineError(f"expected the cluster to take a TrainJob, received: {refused.status} {said}") from None


@contextlib.contextmanager
def _ending_at_sigterm() -> Iterator[None]:
    """Ends the block at SIGTERM as by an error, so that what it made is taken away: a cancelled run, a drained node."""

    def end(*_: Any) -> NoReturn:
        raise PipelineError("ended from outside (SIGTERM) while its nodes were training")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _beating(job: Job) -> Iterator[None]:
    """Lets the nodes know that somebody waits for them."""
    store, ended = open_store(job.place("alive")), threading.Event()

    def go_on() -> None:
        last = beat(store)
        while not ended.wait(BEAT_S):
            last = beat(store, last)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def beat(store: Store, last: str = "") -> str:
    """One sign of life, in place of the last one; returns its name, which is new: under a bucket's retention policy
    nothing is overwritten, and what can't be removed stays."""
    name = str(time.time_ns())
    with contextlib.suppress(StorageError):
        store.write_bytes(name, name.encode())
        if last:
            store.delete(last)
    return name
