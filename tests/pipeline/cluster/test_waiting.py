"""Following a run whose pods can't start: why, once, and for how long that is borne."""

import time

import pytest

from pipeline.cluster.follow import Watch
from pipeline.cluster.pods import NODE_NAME, find_pods
from pipeline.cluster.story import Story
from tests.pipeline.cluster.submitting import STORY, TRAIN_WAITS, followed, tasks
from tests.servers.kfp_runs import Moment
from tests.servers.kube_api import pod

pytestmark = pytest.mark.usefixtures("bare_home")


@pytest.mark.parametrize(
    ("limit", "stuck", "said"),
    [
        (
            "hopeless_after",
            pod("train", "Pending", ("ImagePullBackOff", 'Back-off pulling image "x"')),
            "train: its image x can't be pulled; push it",
        ),
        (
            "hopeless_after",
            pod("train", "Pending", ("CreateContainerConfigError", 'secret "keys" not found')),
            'train: its container can\'t be made: secret "keys" not found. The run is left as it is',
        ),
        (
            "stuck_after",
            pod("train", "Pending", unschedulable="0/3 nodes: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes"),
            "train: no node takes its pod: 0/3 nodes: 3 Insufficient nvidia.com/gpu.",
        ),
        (
            "hopeless_after",
            pod("train", "Pending", ("RunContainerError", "failed to start: no runtime nvidia")),
            "train: its container can't be made: failed to start: no runtime nvidia. The run is left as it is",
        ),
        (
            "hopeless_after",
            pod("train", "Pending", ("SignatureValidationFailed", "image pull failed for x: A signature was required")),
            "train: its image i can't be pulled: A signature was required; ",
        ),
    ],
)
def test_why_a_step_can_not_start_is_said_once_and_ends_the_wait(quickstart_compiled, kube, limit, stuck, said):
    """The other limit is minutes away: on a busy machine both would pass within one look."""
    kube.pods = [stuck]
    kube.argo_nodes = [(stuck["metadata"]["annotations"][NODE_NAME], "Pending", "Unschedulable, or so")]
    lines, error = followed(quickstart_compiled, [TRAIN_WAITS], Watch(0.01, 0.5, **{limit: 0.05}))
    assert said in error
    assert len([line for line in lines if line.startswith("waiting: train")]) == 1


def test_a_pod_that_waits_in_a_queue_is_not_stuck(quickstart_compiled, kube):
    """Kueue's gate, with the words that Kubernetes has for any: hours are nothing there."""
    said = "Scheduling is blocked due to non-empty scheduling gates"
    kube.pods = [pod("train", "Pending", unschedulable=said, unscheduled="SchedulingGated")]
    lines, error = followed(
        quickstart_compiled, [TRAIN_WAITS] * 8 + STORY[-1:], Watch(0.02, 0.5, stuck_after=0.05, hopeless_after=0)
    )
    assert error == ""
    assert [line for line in lines if "waiting" in line] == ["waiting: train: its pod is kept in a queue: " + said]


def test_an_image_for_another_processor_is_not_to_be_pushed_again(quickstart_compiled, kube):
    """As one that was built on a Mac, for a cluster of amd64."""
    said = (
        'Failed to pull image "x": rpc error: code = NotFound desc = failed to pull and unpack image "x": no match for '
        "platform in manifest: not found"
    )
    kube.pods = [pod("train", "Pending", ("ErrImagePull", said))]
    _, error = followed(quickstart_compiled, [TRAIN_WAITS], Watch(0.01, 0.5, hopeless_after=0.05))
    assert "train: its image x can't be pulled: no match for platform in manifest; it is built for another" in error
    assert "ACTION=push" not in error


@pytest.mark.parametrize("container", ["main", "init"])
def test_an_image_of_kubeflows_own_is_none_to_push(quickstart_compiled, kube, container):
    """As in a cluster without the internet: its driver's image, or Argo's beside a step's."""
    kube.pods = [pod("train", "Pending", ("ErrImagePull", 'failed to pull image "x": i/o timeout'), driver=True)]
    if container == "init":
        kube.pods = [pod("train", "Pending", ("PodInitializing", ""))]
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}}
        kube.pods[0]["status"]["initContainerStatuses"][0]["state"] = waiting
    _, error = followed(quickstart_compiled, [TRAIN_WAITS], Watch(0.01, 0.5, hopeless_after=0.05))
    assert "train: its image x can't be pulled" in error and "it is Kubeflow's own: copy it to a registry" in error
    assert "ACTION=push" not in error


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("FailedCreatePodSandBox", "Failed to create pod sandbox: rpc error: no IP addresses available in range set"),
        ("FailedMount", 'MountVolume.SetUp failed for volume "keys" : secret "keys" not found'),
    ],
)
def test_what_a_node_lacks_for_a_pod_is_told(quickstart_compiled, kube, reason, message):
    """Its status says ContainerCreating for ever: for twenty minutes nothing was said."""
    kube.pods = [pod("train", "Pending", ("ContainerCreating", ""))]
    kube.warnings = [(kube.pods[0]["metadata"]["name"], message, reason, 3), ("another", "x", reason, 9)]
    lines, error = followed(quickstart_compiled, [TRAIN_WAITS], Watch(0.01, 0.5, stuck_after=0.05))
    assert [line for line in lines if "waiting" in line] == [f"waiting: train: its node can't start its pod: {message}"]
    assert f"nothing has moved for 0.05 s: train: its node can't start its pod: {message}. The run is left" in error


def test_a_healthy_start_is_no_trouble(quickstart_compiled, kube):
    kube.pods = [pod("train", "Pending", ("PodInitializing", ""))]
    early = 'MountVolume.SetUp failed for volume "kube-api-access" : configmap "kube-root-ca.crt" not found'
    kube.warnings = [(kube.pods[0]["metadata"]["name"], early, "FailedMount", 2)]
    kube.argo_nodes = [("training-x7k2p(0).root(0).evaluate(0).executor(0)", "Pending", "ContainerCreating")]
    lines, error = followed(quickstart_compiled, [*[Moment("RUNNING", tasks("PENDING"))] * 3, STORY[-1]])
    assert error == ""
    assert not [line for line in lines if "waiting" in line]


def test_names_of_one_trouble_take_turns_without_a_line_each(kube, capsys):
    kube.pods = [pod("train", "Pending", ("ErrImagePull", 'failed to pull image "x": not found'))]
    story = Story(find_pods("run-2", ""))
    for reason in ("ErrImagePull", "ImagePullBackOff", "ErrImagePull"):
        kube.pods[0]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = reason
        story.pods.look()
        story.troubles()
    kube.pods = [pod("train", "Pending", unschedulable="0/1 nodes")]
    story.pods.look()
    story.troubles()
    assert capsys.readouterr().out.splitlines() == [
        "waiting: train: its image x can't be pulled: not found",
        "waiting: train: no node takes its pod: 0/1 nodes",
    ]


def test_a_step_that_waits_again_after_it_ran_waits_from_then_on(kube, capsys):
    """A try that had waited for its image an hour ago once ended the wait for the next one at once."""
    story = Story(find_pods("run-2", ""))
    waits = [pod("train", "Pending", ("ErrImagePull", 'failed to pull image "x": not found'))]
    for kube.pods in (waits, [pod("train", "Running")], waits):
        story.pods.look()
        began = time.monotonic()
        told = story.troubles()
    assert told[0][1] <= time.monotonic() - began
    assert capsys.readouterr().out == "waiting: train: its image x can't be pulled: not found\n" * 2


def test_a_pod_that_is_refused_is_told_once(kube, capsys):
    """It is not there; KFP's driver of its step, which is, has long ended: the refusal was told at every look."""
    story = Story(find_pods("run-2", ""))
    kube.pods = [pod("train", "Succeeded", driver=True)]
    kube.argo_nodes = [("training-x7k2p(0).root(0).train(0).executor(0)", "Pending", "exceeded quota")]
    for _ in range(3):
        story.pods.look()
        story.troubles()
    assert capsys.readouterr().out == "waiting: train: its pod is refused: exceeded quota\n"


@pytest.mark.parametrize("is_large", [False, True], ids=["", "of a large sweep, which is compressed"])
def test_a_quota_that_keeps_pods_from_being_made_is_seen_in_the_workflow(kube, is_large):
    kube.is_large = is_large
    kube.argo_nodes = [("training-x(0).root(0).train(0).executor(0)", "Pending", "exceeded quota")]
    pods = find_pods("run-2", "mine")
    pods.look()
    assert [str(trouble) for trouble in pods.troubles()] == ["train: its pod is refused: exceeded quota"]
    assert kube.requests[-1][2]["labelSelector"] == "pipeline/runid=run-2"


def test_a_pod_that_waits_for_a_volume_is_explained_by_its_event(quickstart_compiled, kube):
    kube.pods = [pod("train", "Pending")]
    kube.warnings = [(kube.pods[0]["metadata"]["name"], "MountVolume.SetUp failed"), ("another", "x")]
    _, error = followed(quickstart_compiled, [TRAIN_WAITS], Watch(0.01, 0.5, stuck_after=0.05))
    assert "nothing has moved for 0.05 s: MountVolume.SetUp failed. The run" in error
