"""What the client says of runs that a real Kubeflow recorded, word for word."""

import json
import re

import pytest

from pipeline.cluster.follow import Watch
from pipeline.cluster.pods import find_pods
from tests.pipeline.cluster.replay import RECORDED, recorded_log, recorded_run, replay
from tests.servers.kfp_api import KfpApi
from tests.servers.kube_api import pod

pytestmark = pytest.mark.usefixtures("bare_home")

LOGS = {
    "training-hjhkx-retry-system-container-impl-2563940556": "step-failed",
    "training-2x48v-retry-system-container-impl-723985829": "step-out-of-memory",
}
SAID = {
    "succeeded": """\
download
  succeeded, 30.0 s
preprocess
  succeeded, 583.0 s
train
  succeeded, 20.0 s
evaluate
  succeeded, 20.0 s
export
  succeeded, 20.0 s

step        result     time
download    succeeded  30.0 s
preprocess  succeeded  583.0 s
train       succeeded  20.0 s
evaluate    succeeded  20.0 s
export      succeeded  20.0 s

figures and places are in the UI only: the logs of its pods are gone
the run succeeded""",
    "all-cached": """\
download
  succeeded, cached
preprocess
  succeeded, cached
train
  succeeded, cached
evaluate
  succeeded, cached
export
  succeeded, cached

step        result  time
download    cached
preprocess  cached
train       cached
evaluate    cached
export      cached

every step came from the cache: its figures and places are in the run that made them
the run succeeded""",
    "step-failed": """\
download
  error: expected an object minio://mlpipeline/absent or objects below it, received none; check the name
  failed, 50.0 s

step        result   time
download    failed   50.0 s
preprocess  not run
train       not run
evaluate    not run
export      not run

error: download failed: expected an object minio://mlpipeline/absent or objects below it, received none; check the \
name; its log: KFP/#/runs/details/28e0a216-ffd2-40e4-a9f7-5fb3e48aff69""",
    "out-of-memory": """\
download
  succeeded, cached
preprocess
  succeeded, 10.0 s
train
  Killed
  failed, 60.0 s

step        result     time
download    cached
preprocess  succeeded  10.0 s
train       failed     60.0 s
evaluate    not run
export      not run

error: train failed: out of memory at its limit of 220Mi (OOMKilled); give train_memory more; its log: \
KFP/#/runs/details/7283ce13-0191-4e14-a6b7-1c19e0e74a5e""",
    "cancelled": """\
download
  succeeded, 10.0 s
preprocess
  succeeded, 10.0 s
train
  cancelled, 10.0 s

step        result     time
download    succeeded  10.0 s
preprocess  succeeded  10.0 s
train       cancelled  10.0 s
evaluate    not run
export      not run

error: the run was cancelled""",
    "image-not-found-running": """\
download
waiting: download: its image 127.0.0.1:5000/none:download-22aa4af9a070 can't be pulled: not found
error: download: its image 127.0.0.1:5000/none:download-22aa4af9a070 can't be pulled: not found; push it (make images \
ACTION=push), name the repository that has it (CONV2D_IMAGE_REPOSITORY), or give the pods' service account the \
registry's pull secret. The run is left as it is: end it in the UI, or follow it with: python -m pipeline follow \
9fe37661-d403-4499-8781-4528f36eabae --endpoint KFP""",
    "pod-deleted-then-resumed": """\
download
  succeeded, cached
preprocess
  succeeded, cached
train
  train: its pod was deleted; trying again (2 of 4)
  succeeded, 468.0 s
evaluate
  succeeded, 21.0 s
export
error: the run did not end within 1 s; it goes on; follow it with: python -m pipeline follow \
65a8bdc8-9a26-40c8-a7a2-7ded46d9a26b --endpoint KFP""",
    "many-classes-failed": """\
download
  succeeded, 10.0 s
preprocess
  succeeded, 10.0 s
train
  succeeded, 31.0 s
evaluate
  failed, 65.0 s

step        result     time
download    succeeded  10.0 s
preprocess  succeeded  10.0 s
train       succeeded  31.0 s
evaluate    failed     65.0 s
export      not run

error: evaluate failed: its container ended with exit code 1; its log: \
KFP/#/runs/details/0b4e224c-7f9a-4131-b7ef-c67e57142b9b""",
    "quota-refused": """\
download
  succeeded, cached
preprocess
  succeeded, cached
train
  failed, 91.0 s

step        result   time
download    cached
preprocess  cached
train       failed   91.0 s
evaluate    not run
export      not run

error: train failed: its container ended with exit code 1; its log: \
KFP/#/runs/details/5a59ebe9-5dc5-43af-bdab-17304b1c1219""",
    "webhook-failed": """\
download
  failed, 50.0 s
notify-failure
  succeeded, 20.0 s

step            result     time
download        failed     50.0 s
preprocess      not run
train           not run
evaluate        not run
export          not run
notify-failure  succeeded  20.0 s

error: download failed: its container ended with exit code 1; its log: \
KFP/#/runs/details/b6aa55e0-73ba-4e36-9094-184cfa9ecff4""",
    "sweep": """\
download
  succeeded, 10.0 s
preprocess
  succeeded, 10.0 s
train 1 of 4: batch_size=50 learning_rate=0.001
  succeeded, 21.0 s
train 2 of 4: batch_size=250 learning_rate=0.001
  succeeded, 20.0 s
train 3 of 4: batch_size=50 learning_rate=0.003
  succeeded, 22.0 s
train 4 of 4: batch_size=250 learning_rate=0.003
  succeeded, 22.0 s
choose
  succeeded, 10.0 s
evaluate
  succeeded, 21.0 s
export
  succeeded, 21.0 s

step        result     time
download    succeeded  10.0 s
preprocess  succeeded  10.0 s
train 1     succeeded  21.0 s
train 2     succeeded  20.0 s
train 3     succeeded  22.0 s
train 4     succeeded  22.0 s
choose      succeeded  10.0 s
evaluate    succeeded  21.0 s
export      succeeded  21.0 s

figures and places are in the UI only: the logs of its pods are gone
the run succeeded""",
}


@pytest.mark.parametrize("name", sorted(SAID))
def test_what_is_said_of_a_recorded_run(kube, name):
    kube.logs = {pod: recorded_log(log) for pod, log in LOGS.items()}
    assert replay(name, kube) == SAID[name].split("\n")


def test_every_recorded_run_has_its_words():
    assert {f"run-{name}.json" for name in SAID} == {path.name for path in RECORDED.glob("run-*.json")}


def test_a_pod_that_no_node_takes_is_told_in_the_recorded_words(kube):
    events = json.loads((RECORDED / "events-warnings.json").read_text())
    (message,) = [event["message"] for event in events if event["reason"] == "FailedScheduling"]
    kube.pods = [pod("preprocess", "Pending", unschedulable=message)]
    pods = find_pods("run-2", "")
    pods.look()
    assert [str(trouble) for trouble in pods.troubles()] == [
        "preprocess: no node takes its pod: 0/1 nodes are available: 1 Insufficient cpu."
    ]


@pytest.mark.parametrize(("name", "pods"), [("succeeded", 12), ("all-cached", 7), ("sweep", 12 + 3 * 4 + 1)])
def test_the_pods_of_a_recorded_run_are_as_many_as_are_counted_in_a_compiled_file(name, pods):
    """test_placement.py counts these; the pipeline of that day had a condition more, which is a pod."""
    tasks = recorded_run(name)["run_details"]["task_details"]
    shown = [task.get("display_name", "") for task in tasks]
    assert len([task for task in shown if re.fullmatch(r"(executor|.+-driver)\(\d+\)", task)]) == pods


def test_how_long_a_wait_is_as_the_page_says():
    assert (Watch().hopeless_after, Watch().stuck_after) == (3 * 60, 20 * 60)


@pytest.mark.parametrize("name", sorted(LOGS.values()))
def test_verbose_tells_every_line_of_a_recorded_log(kube, name):
    kube.logs = {pod: recorded_log(log) for pod, log in LOGS.items()}
    lines = [line.partition(" ")[2] for line in recorded_log(name).rstrip("\n").split("\n")]
    said = replay(name.removeprefix("step-") if "memory" in name else name, kube, verbose=True)
    first = said.index(f"  {lines[0]}")
    assert said[first : first + len(lines)] == [f"  {line}" for line in lines]
    assert said[-1] == SAID[name.removeprefix("step-") if "memory" in name else name].split("\n")[-1]


def test_without_a_view_of_the_pods_a_failure_says_that_there_is_none():
    assert replay("step-failed")[-1] == (
        "error: download failed: KFP's API does not say why, and there is no access to its pod from here; its log: "
        "KFP/#/runs/details/28e0a216-ffd2-40e4-a9f7-5fb3e48aff69"
    )


def test_without_a_view_of_the_pods_one_that_only_waits_is_stuck():
    assert "a pod waits to start; see why with: kubectl describe pods" in replay("image-not-found-running")[-1]


def test_an_endpoint_without_pages_gets_no_link():
    assert KfpApi(pages=False).handle("GET", "/", {}, None, {})[0] == 404
    assert replay("step-failed", pages=False)[-1].endswith("there is no access to its pod from here")
