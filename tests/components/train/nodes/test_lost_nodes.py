"""Nodes that fail or are lost, and what the step that launched them makes of it."""

import itertools
import pathlib
import time
import types

import pytest

from components.core.errors import PipelineError
from components.core.storage import open_store
from components.train.nodes import follow as following
from components.train.nodes.job import LOST
from components.train.nodes.node import NodeRank, _leave_word
from components.train.nodes.pods import NodeTrouble
from tests.components.train.nodes.conftest import leave_result, told
from tests.servers.trainer_api import STAMP, Scene, TrainerApi, node_pod


@pytest.mark.parametrize(
    ("pods", "log", "said"),
    [
        (
            (node_pod(0, "Running"), node_pod(1, "Failed", exit_code=137, reason="OOMKilled")),
            "",
            "node 1 ran out of memory (OOMKilled); give a smaller batch_size",
        ),
        (
            (node_pod(1, "Failed", exit_code=1),),
            "epoch 1/3\nerror: expected a finite loss, received nan\nlast",
            "node 1 failed (exit code 1): expected a finite loss, received nan",
        ),
        (
            (node_pod(0, "Failed", exit_code=LOST), node_pod(1, "Failed", exit_code=1)),
            "error: expected a finite loss, received nan",
            "node 1 failed (exit code 1): expected a finite loss, received nan",
        ),
    ],
    ids=["out of memory", "our own error", "our own error, which the others missed first"],
)
def test_a_failure_is_one_line_with_the_pods_reason_and_nothing_is_left(
    api: TrainerApi, launch, tmp_path: pathlib.Path, pods: tuple, log: str, said: str
) -> None:
    api.logs = {"job-node-0-1": log}
    api.story = [Scene(), Scene("Failed", "too bad", pods)]
    with pytest.raises(PipelineError, match=r"^[^\n]*$") as failed:
        launch()
    assert f"expected 2 nodes to train, received: {said}" in str(failed.value)
    assert (api.jobs, len(api.deleted)) == ({}, 1)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "pods",
    [
        (node_pod(0, "Failed", exit_code=LOST), node_pod(1, "Failed", exit_code=1)),
        (node_pod(0, "Failed", exit_code=1), node_pod(1, "Failed", exit_code=LOST)),
        (node_pod(0, "Running"), node_pod(1, "Failed", exit_code=LOST)),
        (node_pod(1, "Failed", exit_code=LOST),),
    ],
    ids=["missed first", "missed later", "not yet seen to have ended", "cleared away"],
)
def test_a_nodes_own_error_is_told_and_not_tried_again_however_its_pod_is_seen(
    api: TrainerApi, launch, pods: tuple
) -> None:
    api.made = lambda job: _leave_word(
        told(job), NodeRank("", 2, 1), PipelineError("expected a finite loss, received nan")
    )
    for number in (0, 1):
        api.logs[f"job-node-0-{number}"] = "error: expected a finite loss, received nan"
    api.story = [Scene(), Scene("Failed", "a job failed", pods)]
    with pytest.raises(PipelineError, match=r"received: node . failed.*: expected a finite loss, received nan$"):
        launch(result=False)
    assert len(api.created()) == 1


@pytest.fixture
def kept(gcs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket is under retention: what is there stays as it is."""
    monkeypatch.setattr(gcs.server.state, "kept", {gcs.uri.split("/")[2]})


def test_an_error_of_nodes_before_is_not_taken_for_one_of_these(api: TrainerApi, launch, kept) -> None:
    api.made = lambda job: _leave_word(told(job), NodeRank("", 2, 1), PipelineError("long ago"))
    api.story = [Scene("Failed", "a job failed")]
    with pytest.raises(PipelineError, match="long ago"):
        launch(result=False)
    api.story = [Scene("Failed", "a node was lost"), Scene("Complete")]
    launch()
    assert len(api.created()) == 3


def test_a_node_lost_while_it_stored_the_result_leaves_the_next_a_place(
    api: TrainerApi, launch, kept, tmp_path: pathlib.Path
) -> None:
    def leave(job: dict) -> None:
        if len(api.created()) == 1:
            open_store(told(job).own_place("result")).write_bytes("tensorboard/train/events", b"others")
        else:
            leave_result(job)

    api.made = leave
    api.story = [Scene("Failed", "a node was lost"), Scene("Complete")]
    launch(result=False)
    assert len(api.created()) == 2
    assert (tmp_path / "board" / "train" / "events").read_bytes() == b"points"


@pytest.mark.parametrize(
    "pods",
    [
        (),
        (node_pod(0, "Failed", exit_code=LOST),),
        (node_pod(0, "Failed", exit_code=143), node_pod(1, "Failed", exit_code=137)),
        (node_pod(0, "Failed") | {"status": {"phase": "Failed", "reason": "Evicted"}},),
    ],
    ids=["pods gone", "missed by another", "killed", "evicted"],
)
@pytest.mark.parametrize("verbose", ["auto", "0"])
def test_lost_nodes_are_made_anew_as_long_as_it_leads_on(api, launch, capfd, pods: tuple, verbose: str) -> None:
    told_verbose = []

    def made(train_job: dict) -> None:
        told_verbose.append(told(train_job).checked_settings.verbose)
        leave_result(train_job)
        count = len(told_verbose)
        api.logs = {"job-node-0-0": f"epoch  {count}/9: 40%, 400 of 1,000 images\nepoch  {count}/9  loss 1.0"}

    api.made = made
    running = (node_pod(0, "Running"), node_pod(1, "Running"))
    going_on = [Scene(), Scene(pods=running), Scene("Failed", "a node was lost", pods)]
    api.story = [*going_on * 6, Scene(), Scene("Complete")]
    launch(result=False, verbose=verbose)
    said = capfd.readouterr().out
    assert len(api.created()) == 7
    assert said.count("all nodes are made anew and go on from the last checkpoint") == 6
    assert said.count("epoch  6/9") == (2 if verbose == "auto" else 0)
    assert "0" not in told_verbose


@pytest.mark.parametrize("line", ["epoch {0}/9  loss 1.0", "epoch {1}/9  loss 1.0", "epoch {2}/9: 40%, 400 of 1,000"])
def test_nodes_that_get_no_further_are_given_up(api: TrainerApi, launch, line: str) -> None:
    """For instance as they run out of memory each time when they write the first checkpoint."""
    tries = zip(itertools.cycle((2, 1)), itertools.count(1))
    api.made = lambda _: api.logs.update({"job-node-0-0": line.format(1, *next(tries))})
    running = (node_pod(0, "Running"), node_pod(1, "Running"))
    api.story = [*[Scene(), Scene(pods=running), Scene("Failed", "a node was lost")] * 6, Scene(), Scene("Complete")]
    with pytest.raises(PipelineError, match="a node was lost"):
        launch(result=False)
    assert len(api.created()) == 1 + following.LOSSES


def test_nodes_that_are_lost_again_and_again_with_nothing_done_are_given_up(api: TrainerApi, launch) -> None:
    api.story = [Scene("Failed", "a node was lost")]
    with pytest.raises(PipelineError, match="expected 2 nodes to train, received: JobSet: a node was lost"):
        launch()
    assert len(api.created()) == 1 + following.LOSSES
    assert api.jobs == {}


def test_a_training_that_took_too_long_is_not_begun_again(api: TrainerApi, launch) -> None:
    api.story = [Scene("Failed", "DeadlineExceeded")]
    with pytest.raises(PipelineError, match="DeadlineExceeded"):
        launch()
    assert len(api.created()) == 1


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes pass between two looks."""
    moments = itertools.count(step=600)
    clock = types.SimpleNamespace(monotonic=moments.__next__, sleep=lambda seconds: time.sleep(min(seconds, 0.01)))
    monkeypatch.setattr(following, "time", clock)


@pytest.mark.usefixtures("slow_clock")
def test_a_node_that_is_lost_after_hours_is_made_anew_too(api: TrainerApi, launch) -> None:
    """Its pod goes first; Job, JobSet and TrainJob follow. A node that was missing in between was once taken for one
    that had not come within the first hour, and the run ended."""
    running = (node_pod(0, "Running"), node_pod(1, "Running"))
    api.story = [
        Scene(), *[Scene(pods=running)] * 12, Scene(pods=running[:1]), Scene("Failed", "a node was lost"),
        Scene(), Scene("Complete"),
    ]  # fmt: skip
    launch()
    assert len(api.created()) == 2


@pytest.mark.usefixtures("slow_clock")
def test_a_queue_may_keep_the_nodes_for_hours_and_take_them_back(api: TrainerApi, launch, capfd) -> None:
    """Kueue suspends a TrainJob until its quota has room, and again when somebody more urgent comes."""
    running = (node_pod(0, "Running"), node_pod(1, "Running"))
    leaving = tuple(pod | {"metadata": pod["metadata"] | {"deletionTimestamp": STAMP.format(0)}} for pod in running)
    queued, again = Scene(suspended=True), Scene(pods=(*leaving, *running))
    api.story = [Scene(), *[queued] * 12, Scene(), Scene(pods=running), *[queued] * 12, again, Scene("Complete")]
    launch()
    assert len(api.created()) == 1
    said = capfd.readouterr().out
    assert said.count("suspended: the nodes wait in their queue") == 2
    assert said.splitlines()[-1] == "2 of 2 nodes have started"


def test_a_machine_that_is_gone_does_not_keep_from_seeing_that_the_training_ended(
    api: TrainerApi, launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API asks the machine itself for a log, and hands on that it does not answer as a 500: not worth ten minutes
    of tries, for whether the TrainJob goes on is not said there."""
    monkeypatch.setattr(following, "GOING_S", 0)
    api.machines_gone = True
    running = (node_pod(0, "Running"), node_pod(1, "Running"))
    api.story = [Scene(pods=running), Scene("Failed", "a node was lost", (running[0],)), Scene(), Scene("Complete")]
    launch(patience_s=0.5)
    assert len(api.created()) == 2


def test_a_dead_machine_whose_pod_never_goes_does_not_hold_up_new_nodes(
    api: TrainerApi, launch, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """Kubernetes keeps a pod until its machine says that it has ended, and a TrainJob for as long as its pods."""
    monkeypatch.setattr(following, "GOING_S", 0)
    api.machines_gone = True
    api.story = [Scene(), Scene("Failed", "a node was lost"), Scene(), Scene("Complete")]
    launch()
    first, second = (job["metadata"]["name"] for job in api.created())
    assert first != second
    assert f"TrainJob {first} does not go away; is a machine dead?" in capfd.readouterr().out
    # The step, killed after that and tried again, goes on with the one that is left.
    api.jobs[second] = api.created()[1]
    launch()
    assert len(api.created()) == 2


@pytest.mark.parametrize("path", ["/apis/trainer.kubeflow.org/", "/api/v1/namespaces/kubeflow/pods"])
def test_an_answer_that_ends_in_its_middle_is_asked_for_again(api: TrainerApi, launch, path: str) -> None:
    """As of an API server that is restarted."""
    api.faults = [("GET", path, "cut")] * 2
    api.story = [Scene(pods=(node_pod(0, "Running"), node_pod(1, "Running"))), Scene("Complete")]
    launch()
    assert api.faults == []


@pytest.mark.parametrize(
    ("about", "reason", "said"),
    [
        # The other nodes held their GPUs for an hour, and there was no word of the quota.
        ("-node-0", "FailedCreate", 'Error creating: pods "x" is forbidden: exceeded quota: conv2d'),
        # As Trainer 2.3 said it of a TrainJob where JobSet was not running: an hour of "0 of 2 nodes have started".
        (
            "",
            "TrainJobResourcesCreationFailed",
            'Internal error occurred: failed calling webhook "mjobset.kb.io": failed',
        ),
    ],
)
def test_a_pod_that_may_not_be_made_is_told(
    api: TrainerApi, launch, monkeypatch: pytest.MonkeyPatch, about: str, reason: str, said: str
) -> None:
    """In an event alone."""
    monkeypatch.setattr(following.follow_nodes, "__defaults__", (0.01, 0.02))
    api.made = lambda job: api.warnings.append((f"{job['metadata']['name']}{about}", said, reason))
    api.story = [Scene(pods=(node_pod(0, "Running"),))]
    with pytest.raises(PipelineError, match=f"1 of 2 nodes have started; node without a pod: {said}; check the node p"):
        launch(result=False)
    api.forbidden.add("/api/v1/namespaces/kubeflow/events")
    with pytest.raises(PipelineError, match="1 of 2 nodes have started; check the node pool, the quota"):
        launch(result=False)


def test_what_keeps_nodes_from_starting_is_told_once(api: TrainerApi, launch, capfd) -> None:
    """A kubelet that can't pull an image says another word for it every few seconds."""
    pulls = [
        tuple(node_pod(number, "Pending", waiting=why) for number in (0, 1))
        for why in ("ErrImagePull", "ImagePullBackOff")
    ]
    api.story = [*(Scene(pods=pulls[look % 2]) for look in range(6)), Scene("Complete")]
    launch()
    assert capfd.readouterr().out.splitlines()[1:] == [
        "0 of 2 nodes have started; nodes 0, 1: ErrImagePull: Back-off pulling image"
    ]
    refused = [
        NodeTrouble("without a pod", f'pods "x-{n}" is forbidden: exceeded quota: conv2d', False) for n in (1, 2)
    ]
    assert refused[0].kind == refused[1].kind == "pods  is forbidden: exceeded quota: conv2d"


@pytest.mark.parametrize(
    ("why", "advice"),
    [
        ("ImagePullBackOff", "make images TARGET=jax ACTION=push"),
        ("RegistryUnavailable", "make images TARGET=jax ACTION=push"),
        ("CreateContainerConfigError", "; check the TrainingRuntime conv2d-jax"),
    ],
)
def test_nodes_that_never_start_are_given_up(
    api: TrainerApi, launch, monkeypatch: pytest.MonkeyPatch, why: str, advice: str
) -> None:
    monkeypatch.setattr(following, "HOPELESS_S", 0.02)
    api.story = [Scene(pods=(node_pod(0, "Running"), node_pod(1, "Pending", waiting=why)))]
    with pytest.raises(PipelineError, match=f"node 1: {why}: Back-off .*{advice}"):
        launch()
    monkeypatch.setattr(following.follow_nodes, "__defaults__", (0.01, 0.02))
    api.story = [Scene()]
    with pytest.raises(PipelineError, match="0 of 2 nodes have started; check the node pool, the quota"):
        launch()
    assert (api.jobs, len(api.deleted)) == ({}, 2)
