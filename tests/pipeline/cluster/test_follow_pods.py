"""Following a run whose pods can be seen: their lines, and how they ended."""

import dataclasses
import datetime
import json
import re
import types

import pytest

from components.core.artifacts.dataset import read_info
from components.core.errors import PipelineError
from pipeline.cluster.closing import summary, why
from pipeline.cluster.endings import container_ending
from pipeline.cluster.follow import Watch
from pipeline.cluster.pods import find_pods
from pipeline.cluster.story import Story
from pipeline.cluster.tasks import trial_settings
from tests.pipeline.cluster.submitting import STEPS, STORY, TRAIN_FAILED, TRAINS, followed, tasks
from tests.pipeline.golden import compiled
from tests.servers.kfp_runs import WORKFLOW, Moment
from tests.servers.kube_api import pod

pytestmark = pytest.mark.usefixtures("bare_home")


def test_a_lost_pod_and_the_next_try_are_told(quickstart_compiled, kube):
    kube.argo_nodes = [("training-x7k2p(0).root(0).train(0).executor(0)", "Error", "pod deleted")]
    kube.pods = [pod("train", "Succeeded", driver=True)]
    moments = [TRAINS, dataclasses.replace(TRAINS, tries={"train": 2}), STORY[-1]]
    lines, _ = followed(quickstart_compiled, moments)
    assert lines.count("  train: its pod was deleted; trying again (2 of 4)") == 1


def test_a_step_that_waited_when_its_run_was_cancelled_is_told_so(quickstart_compiled, kube):
    """KFP's history lacks it then; Argo speaks of a deadline, which nobody has set."""
    kube.argo_nodes = [(f"{WORKFLOW}(0).root(0).train(0).executor(0)", "Failed", "Step exceeded its deadline")]
    assert followed(quickstart_compiled, [TRAIN_FAILED])[1].startswith("train failed: the run was cancelled")


def test_log_lines_come_once_each_and_the_steps_own_error_is_the_cause(quickstart_compiled, kube):
    kube.pods = [pod("train", "Running")]
    name = kube.pods[0]["metadata"]["name"]
    kube.logs[name] = (
        b"2026-01-01T00:00:01.0Z I0101 00:00:01.1 16 main.go:139] Setting log level\n"
        b"2026-01-01T00:00:01.1Z 10 %\r 50 %\rread 100 pictures\xff\x85 in 1 s\n2026-01-01T00:00:01.2Z epoch 2/2\n"
        b"2026-01-01T00:00:01.3Z error: loss is not finite at step 7; try a lower learning_rate\n"
    )
    lines, error = followed(quickstart_compiled, [*STORY[:3], TRAIN_FAILED])
    assert error.startswith("train failed: loss is not finite at step 7; try a lower learning_rate; its log: http")
    assert lines.count("  epoch 2/2") == 1
    assert lines.count("  read 100 pictures\ufffd\ufffd in 1 s") == 1
    assert not [line for line in lines if "main.go" in line]
    lines, _ = followed(quickstart_compiled, [*STORY[:3], TRAIN_FAILED], Watch(0.01, 0.5, verbose=True))
    assert [line for line in lines if "main.go" in line]


@pytest.mark.parametrize("hours", [-1, 1], ids=["fast", "slow"])
def test_no_line_is_lost_to_a_clock_that_goes_wrong_here(kube, monkeypatch, hours):
    """As a laptop's after its sleep. Kubernetes takes how long ago, by its own clock."""
    here = datetime.datetime.now(datetime.UTC)
    clock = types.SimpleNamespace(time=lambda: here.timestamp())
    monkeypatch.setattr("pipeline.cluster.pods.time", clock, raising=False)
    kube.pods, lines = [pod("train", "Running")], []
    name = kube.pods[0]["metadata"]["name"]
    pods = find_pods("run-2", "")
    for epoch in range(1, 4):
        kube.now = here + datetime.timedelta(hours=hours)
        stamp = (kube.now - datetime.timedelta(seconds=4)).isoformat()[:19]
        kube.logs[name] = f"{kube.logs.get(name, '')}{stamp}.5Z epoch {epoch}/3\n"
        pods.look()
        lines += [line for _, line in pods.new_lines()]
        here += datetime.timedelta(seconds=5)
    assert lines == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


FAILURES = {
    "its launcher": (
        "F1126 14:32:06.813869 16 main.go:130] failed to execute component: Received message larger than max",
        {"exitCode": 1, "reason": "Error"},
        "Kubeflow's launcher: Received message larger than max",
    ),
    "a defect": (
        "Traceback (most recent call last):\n  File x\nKeyError: 'x'\n\nArguments received:\n  * y=1",
        {"exitCode": 1, "reason": "Error"},
        "KeyError: 'x'",
    ),
    **{
        # By a node that has none left: the launcher lives, and ends with 1. A shell lies between it and most steps.
        f"killed, {told}": (
            f"Killed\nF1126 14:32:06.813869 16 main.go:130] failed to execute component: {told}",
            {"exitCode": 1, "reason": "Error"},
            "killed (exit code 137), probably out of memory on its node; give train_memory more",
        )
        for told in ("exit status 137", "signal: killed")
    },
    "silence": ("epoch 1/2", {"exitCode": 3, "reason": "Error"}, "exit code 3; its last line: epoch 1/2"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_told_by_what_says_most(quickstart_compiled, kube, kind):
    log, terminated, said = FAILURES[kind]
    kube.add(pod("train", "Failed", terminated=terminated), log)
    assert said in followed(quickstart_compiled, [TRAIN_FAILED])[1]


def test_a_cached_step_whose_artifact_was_deleted_is_told(quickstart_compiled, kube, tmp_path):
    """Kubeflow looks at no artifact that it takes from its cache, so each later run would fail there too."""
    with pytest.raises(PipelineError) as lacking:
        read_info(tmp_path)
    kube.add(pod("train", "Failed"), f"error: {lacking.value}")
    cached = dataclasses.replace(TRAIN_FAILED, cached=("download", "preprocess"))
    _, error = followed(quickstart_compiled, [cached])
    assert "; download, preprocess came from the cache, and what earlier runs made may be deleted: run with" in error
    assert "came from the cache" not in followed(quickstart_compiled, [TRAIN_FAILED])[1]


def test_a_step_that_kubeflow_could_not_start_is_told_by_its_driver(quickstart_compiled, kube):
    line = "F1126 14:32:06.813869 16 main.go:113] KFP driver: driver.Container(runID=7) failed: bad accelerator"
    kube.add(pod("train", "Failed", driver=True), line)
    failed = Moment("FAILED", tasks("SUCCEEDED", "SUCCEEDED"), undriven="train")
    _, error = followed(quickstart_compiled, [failed])
    assert error.startswith("train failed: Kubeflow's driver could not start it: bad accelerator")
    # Seen with a service account that lacks the right: the second try only stumbles over what the first one left.
    forbidden = "wait: Error (exit code 64): workflowtaskresults.argoproj.io is forbidden"
    driver = f"{WORKFLOW}(0).root(0).train-driver"
    kube.argo_nodes = [(f"{driver}(0)", "Error", forbidden), (f"{driver}(1)", "Failed", "main: Error (exit code 1)")]
    assert followed(quickstart_compiled, [failed])[1].startswith(
        f"train failed: Kubeflow's driver could not start it: {forbidden}"
    )


@pytest.mark.parametrize(("step", "advice"), [("evaluate", "; give evaluate_memory more"), ("look", "")])
def test_a_parameter_is_named_only_if_there_is_one(step, advice):
    from kubernetes.client import ApiClient

    killed = types.SimpleNamespace(data=json.dumps(pod(step, "Failed", terminated={"reason": "OOMKilled"})))
    ending = container_ending(step, ApiClient().deserialize(killed, "V1Pod"))
    assert ending == f"out of memory at its limit of 4Gi (OOMKilled){advice}"


def test_a_pod_that_was_taken_away_has_no_want_of_memory(quickstart_compiled, kube):
    """Its container is killed at the end of its grace, with the exit code of one that had too little."""
    kube.pods = [pod("train", "Failed", terminated={"exitCode": 137})]
    said = {"reason": "PreemptionByScheduler", "message": "default-scheduler: preempting to accommodate another pod"}
    kube.pods[0]["status"]["conditions"].append({"type": "DisruptionTarget", "status": "True", **said})
    error = followed(quickstart_compiled, [TRAIN_FAILED])[1]
    assert "train failed: its pod was taken away: PreemptionByScheduler: default-scheduler: preempting" in error
    assert "memory" not in error


def test_a_container_that_never_started_says_why(quickstart_compiled, kube):
    said = "failed to create containerd task: OCI runtime create failed: nvidia-container-cli: initialization error"
    kube.pods = [pod("train", "Failed", terminated={"exitCode": 128, "reason": "StartError", "message": said})]
    kube.pods.append(pod("train", "Failed"))  # Kubernetes lists them by name; this one is that of the try before
    kube.pods[1]["metadata"] |= {"name": "training-x7k2p-z", "creationTimestamp": "2025-12-31T23:59:59Z"}
    assert f"its container could not start: StartError: {said}" in followed(quickstart_compiled, [TRAIN_FAILED])[1]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("Evicted", "The node was low on resource: memory."),
        ("Terminated", "Pod was terminated in response to imminent node shutdown."),
    ],
)
def test_a_pod_that_its_node_gave_up_is_not_tried_again(quickstart_compiled, kube, reason, message):
    """It is there, as failed (a spot node's, for instance): Argo does not count it among those that vanished."""
    kube.pods = [pod("train", "Failed")]
    kube.pods[0]["status"] |= {"reason": reason, "message": message}
    said = f"train failed: {reason}: {message}; Kubeflow does not try that again: start the run once more"
    assert said in followed(quickstart_compiled, [TRAIN_FAILED])[1]


PRINTED = {
    "train": "epoch 8/8  loss 0.1",
    "evaluate": "Test loss: 0.1234 / Test accuracy: 0.9722\npasses the gate: accuracy 0.9722 reaches 0.9",
    "export": "exported digits version 1: 9 files, 2.3 MB\nexported and published as version 3, the champion",
}


def executor_input(step: str, *outputs: str) -> str:
    """What the KFP executor logs of a step's outputs."""
    artifacts = {name: {"artifacts": [{"uri": f"minio://b/{step}/{name}"}]} for name in outputs}
    said = json.dumps({"outputs": {"artifacts": artifacts}}, indent=4)
    return f"[KFP Executor 2026-01-01 00:00:00,000 INFO]: Got executor_input:\n{said}"


def test_a_run_ends_in_the_block_that_a_local_run_ends_in(quickstart_compiled, kube):
    outputs = {"train": ("model", "tensorboard"), "evaluate": ("evaluation", "tensorboard"), "export": ("exported",)}
    for step, printed in PRINTED.items():
        kube.add(pod(step, "Succeeded"), f"{executor_input(step, *outputs[step])}\n{printed}")
    lines, error = followed(quickstart_compiled, STORY)
    assert error == ""
    assert lines[lines.index("step        result     time") :] == [
        "step        result     time",
        *[f"{step:<10}  succeeded  30.0 s" for step in ("check", *STEPS)],
        "",
        "Test loss: 0.1234 / Test accuracy: 0.9722",
        "exported and published as version 3, the champion; the model passes the gate: accuracy 0.9722 reaches 0.9",
        "report:      minio://b/evaluate/evaluation/report.html",
        "tensorboard: minio://b/train/tensorboard",
        "saved_model: minio://b/export/exported/saved_model",
        "model:       minio://b/train/model/model.keras",
        "the run succeeded",
    ]


def test_what_a_failed_step_was_to_make_is_no_place(quickstart_compiled, kube):
    """A model was named that nobody had stored."""
    left = ("preprocess", "Succeeded", ("dataset",)), ("train", "Failed", ("model", "tensorboard"))
    for step, phase, outputs in left:
        kube.add(pod(step, phase), executor_input(step, *outputs))
    lines, _ = followed(quickstart_compiled, [TRAIN_FAILED])
    assert [line for line in lines if "minio://" in line] == ["dataset:     minio://b/preprocess/dataset"]


def test_a_sweep_ends_with_the_table_of_its_trials(kube, capsys):
    rows = ["trial | changes | val_accuracy | best epoch | time |  |", "2 | epochs=2 | 0.9 | 2 of 2 | 1.0 s |  |"]
    rows.append("1 | epochs=1 | failed |  |  | no memory |")
    kube.add(pod("train", "Succeeded"), "| a table | of its own |")
    printed = [*(f"| {row}" for row in rows), "best of 2 trials (1 failed): trial 2, epochs=2"]
    kube.add(pod("choose", "Succeeded"), "\n".join(printed))
    story = Story(find_pods("run-2", ""))
    story.tell(types.SimpleNamespace(run_details=None, pipeline_spec={}, state="SUCCEEDED", state_history=None))
    assert summary(story)["trial_table"].split("\n") == [
        "trial  changes   val_accuracy  best epoch  time",
        "2      epochs=2  0.9           2 of 2      1.0 s",
        "1      epochs=1  failed                           no memory",
    ]
    of_train = ["train", "  | a table | of its own |"]
    told = capsys.readouterr().out.splitlines()
    assert told == [*of_train, "choose", "  best of 2 trials (1 failed): trial 2, epochs=2"], "the table is told once"


def test_a_sweep_that_argo_compresses_is_told_by_its_nodes(kube, capsys):
    """KFP lists for ever what it listed before: trials had no number and no end, and the run was thought stuck."""
    trial = f"{WORKFLOW}(0).root(0).for-loop-2(0).iteration-iterations(1:1)(0).iteration-item(0).train(0).executor(0)"
    kube.argo_nodes = [(trial[: end.start()], "Succeeded", "") for end in re.finditer(r"[.(]|$", trial)]
    kube.is_large = True
    story = Story(find_pods("run-2", ""))
    spec = compiled("sweep")[0]
    story.tell(types.SimpleNamespace(run_details=None, pipeline_spec=spec, state="RUNNING", state_history=None))
    settings = trial_settings(spec)
    assert capsys.readouterr().out == f"train 2 of {len(settings)}: {settings[1]}\n  succeeded, cached\n"


def test_a_run_that_argo_ends_is_told_in_its_words(kube):
    kube.argo_message = "failed to save workflow: workflow is longer than maximum allowed size"
    story = Story(find_pods("run-2", ""))
    run = types.SimpleNamespace(run_details=None, pipeline_spec=compiled("sweep")[0], state="FAILED", error=None)
    run.state_history = None
    story.tell(run)
    assert why(story, run) == f"the run failed: {kube.argo_message}"


def test_no_access_to_pods_is_no_error(kube):
    kube.forbidden.add("/api/v1/namespaces/kubeflow/pods")
    assert find_pods("run-2", "") is None
