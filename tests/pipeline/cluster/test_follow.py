"""Following a run to whatever end, over connections that fail, with and without a view of its pods."""

import json
import types

import pytest

from components.core.errors import PipelineError
from pipeline.cluster.closing import summary
from pipeline.cluster.follow import Watch, follow
from pipeline.cluster.kubeflow import Endpoint
from pipeline.cluster.pods import find_pods
from pipeline.cluster.story import Story
from pipeline.cluster.submit import submit
from pipeline.parameters.parameters import configure
from tests.pipeline.cluster.submitting import FAST, ROOT_WAITS, STEPS, STORY, run, tasks
from tests.servers.kfp_api import KfpApi, Moment, error
from tests.servers.kube_api import pod

pytestmark = pytest.mark.usefixtures("bare_home")


def test_a_run_that_succeeds_is_followed_step_by_step(quickstart_compiled):
    api = KfpApi(STORY)
    said = run(api, quickstart_compiled)
    assert said[1].strip().endswith("/#/runs/details/run-2")
    assert said[2:4] == ["download", "  succeeded, 30.0 s"]
    assert not [line for line in said if "driver" in line or "executor" in line]
    assert said[-1] == "the run succeeded"
    sent = api.runs["run-2"]
    assert sent["runtime_config"]["parameters"]["epochs"] == configure("quickstart", environment={}).parameters.epochs
    assert sent["runtime_config"]["parameters"]["tolerations"] == []
    assert set(sent["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (Moment("FAILED", tasks("FAILED")), "download failed: KFP's API does not say why"),
        (Moment("FAILED", tasks("SUCCEEDED")), "the run failed: KFP does not say in which step, nor why"),
        (Moment("CANCELED", tasks("RUNNING")), "the run was cancelled"),
        (Moment("FAILED", tasks("FAILED"), history=("RUNNING", "CANCELING")), "the run was cancelled"),
        (Moment("SKIPPED"), "the run was skipped"),
    ],
)
def test_any_other_end_is_an_error_with_its_reason(quickstart_compiled, last, said):
    with pytest.raises(PipelineError) as caught:
        run(KfpApi([*STORY[:2], last]), quickstart_compiled)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_that_is_being_cancelled_is_followed_to_its_end(quickstart_compiled):
    with pytest.raises(PipelineError, match="cancelled"):
        run(KfpApi([Moment("CANCELING"), Moment("CANCELING"), Moment("CANCELED")]), quickstart_compiled)


def test_a_timeout_leaves_the_run_alone_and_says_how_to_go_on(quickstart_compiled):
    api = KfpApi([Moment("RUNNING", tasks("RUNNING"))])
    with pytest.raises(PipelineError, match="within 0.05 s; it goes on; follow it with: .* follow run-2"):
        run(api, quickstart_compiled, Watch(interval=0.01, patience=0.5, timeout=0.05))
    assert not [request for request in api.requests if ":terminate" in request[1]]


@pytest.mark.parametrize("waiting", [tasks("SUCCEEDED", "PENDING"), {}], ids=["a step", "KFP's own first pod"])
def test_without_a_kubeconfig_time_without_progress_means_stuck(quickstart_compiled, waiting):
    api = KfpApi([Moment("RUNNING", waiting) if waiting else ROOT_WAITS])
    with pytest.raises(PipelineError, match="stuck, nothing has moved for 0.05 s: a pod waits to start; .*kubectl"):
        run(api, quickstart_compiled, Watch(interval=0.01, patience=0.5, stuck_after=0.05))


def test_a_step_that_runs_long_is_not_stuck(quickstart_compiled):
    api = KfpApi([Moment("RUNNING", tasks("SUCCEEDED", "SUCCEEDED", "RUNNING", "PENDING"))] * 8 + STORY[-1:])
    assert (
        run(api, quickstart_compiled, Watch(interval=0.02, patience=0.5, stuck_after=0.05))[-1] == "the run succeeded"
    )


# What a connection may do, and the request it does it to.


@pytest.mark.parametrize(
    "fault", [error(503, 14, "upstream"), error(500, 13, "internal"), error(429, 8, "slow"), "drop"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/apis/v2beta1/healthz"), ("GET", "/apis/v2beta1/experiments"), ("GET", "/apis/v2beta1/runs/run-2")],
)
def test_failures_that_pass_are_waited_for(quickstart_compiled, method, path, fault):
    api = KfpApi(STORY)
    api.faults = [(method, path, fault)]
    said = run(api, quickstart_compiled)
    assert said[-1] == "the run succeeded"
    assert api.faults == []


def test_a_dropped_port_forward_is_one_line(quickstart_compiled, caplog):
    api = KfpApi(STORY)
    api.faults = [("GET", "/apis/v2beta1/runs/run-2", "drop")] * 5
    said = run(api, quickstart_compiled)
    told = [line for line in said if "connect" in line]
    assert [line.partition(" to http")[0] for line in told] == ["lost the connection", "connected again"]
    assert [record for record in caplog.records if "urllib3" in record.name] == []


@pytest.mark.parametrize("fault", ["drop", "drop after", error(503, 14, "upstream connect error")])
def test_a_submission_whose_answer_is_lost_starts_one_run_only(quickstart_compiled, fault):
    api = KfpApi(STORY)
    api.faults = [("POST", "/apis/v2beta1/runs", fault)]
    assert run(api, quickstart_compiled)[-1] == "the run succeeded"
    assert len(api.runs) == 1
    assert api.faults == []


def test_a_server_that_falls_silent_is_not_waited_for_for_ever(quickstart_compiled, monkeypatch):
    monkeypatch.setattr("pipeline.cluster.kubeflow.TIMEOUT_S", (5, 1.0))
    api = KfpApi(STORY)
    api.faults = [("GET", "/apis/v2beta1/runs/run-2", "stall"), ("POST", "/apis/v2beta1/runs", "stall")]
    said = run(api, quickstart_compiled, Watch(interval=0.01, patience=20.0))
    assert said[-1] == "the run succeeded"
    assert api.faults == []


def test_a_connection_that_stays_lost_leaves_the_run_alone(quickstart_compiled):
    api = KfpApi([Moment("RUNNING")])
    api.faults = [("GET", "/apis/v2beta1/runs/run-2", "drop")] * 100
    said = []
    with api.serving() as url:
        place = Endpoint(url)
        client, run_id = submit(configure(environment={}), quickstart_compiled, place, patience_s=3.0, say=said.append)
        with pytest.raises(PipelineError) as caught:
            follow(client, place, run_id, Watch(0.01, patience=0.2), None, said.append)
    assert f"the run, if there is one, goes on; follow it with: python -m pipeline follow {run_id}" in str(caught.value)
    assert len([line for line in said if line.startswith("lost the connection")]) == 1


def test_a_token_that_expires_meanwhile_is_told(quickstart_compiled):
    api = KfpApi([Moment("RUNNING")])
    api.faults = [("GET", "/apis/v2beta1/runs/run-2", error(401, 16, "token is expired"))]
    with pytest.raises(PipelineError, match="token: missing, wrong or expired.*goes on"):
        run(api, quickstart_compiled)


# What Kubernetes adds, if a kubeconfig lets us ask.


def followed(compiled, moments, watch=FAST) -> tuple[list[str], str]:
    """What is said of a run whose pods can be seen, and the error it ends with."""
    api, lines = KfpApi(moments), []
    with api.serving() as url:
        place = Endpoint(url)
        client, run_id = submit(configure(environment={}), compiled, place, patience_s=3.0, say=lines.append)
        try:
            follow(client, place, run_id, watch, find_pods(run_id, ""), lines.append)
        except PipelineError as error:
            return "\n".join(lines).split("\n"), str(error)
    return "\n".join(lines).split("\n"), ""


@pytest.mark.parametrize(
    ("stuck", "said"),
    [
        (
            pod("train", "Pending", ("ImagePullBackOff", 'Back-off pulling image "x"')),
            "train: its image x can't be pulled; push it",
        ),
        (
            pod("train", "Pending", ("CreateContainerConfigError", 'secret "keys" not found')),
            'train: its container can\'t be made: secret "keys" not found. The run is left as it is',
        ),
        (
            pod("train", "Pending", unschedulable="0/3 nodes: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes"),
            "train: no node takes its pod: 0/3 nodes: 3 Insufficient nvidia.com/gpu.",
        ),
    ],
)
def test_why_a_step_can_not_start_is_said_once_and_ends_the_wait(quickstart_compiled, kube, stuck, said):
    kube.pods = [stuck]
    moments = [Moment("RUNNING", tasks("SUCCEEDED", "SUCCEEDED", "PENDING"))]
    lines, error = followed(quickstart_compiled, moments, Watch(0.01, 0.5, stuck_after=0.05, hopeless_after=0.05))
    assert said in error
    assert len([line for line in lines if line.startswith("waiting: train")]) == 1


def test_a_healthy_start_is_no_trouble(quickstart_compiled, kube):
    kube.pods = [pod("train", "Pending", ("PodInitializing", ""))]
    kube.argo_nodes = [("training-x7k2p(0).root(0).evaluate(0).executor(0)", "Pending", "ContainerCreating")]
    lines, error = followed(quickstart_compiled, [*[Moment("RUNNING", tasks("PENDING"))] * 3, STORY[-1]])
    assert error == ""
    assert not [line for line in lines if "waiting" in line]


def test_names_of_one_trouble_take_turns_without_a_line_each(kube):
    kube.pods = [pod("train", "Pending", ("ErrImagePull", 'failed to pull image "x": not found'))]
    lines = []
    story = Story(find_pods("run-2", ""), lines.append)
    for reason in ("ErrImagePull", "ImagePullBackOff", "ErrImagePull"):
        kube.pods[0]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = reason
        story.pods.look()
        story.troubles()
    kube.pods = [pod("train", "Pending", unschedulable="0/1 nodes")]
    story.pods.look()
    story.troubles()
    assert lines == [
        "waiting: train: its image x can't be pulled: not found",
        "waiting: train: no node takes its pod: 0/1 nodes",
    ]


def test_a_quota_that_keeps_pods_from_being_made_is_seen_in_the_workflow(kube):
    kube.argo_nodes = [("training-x(0).root(0).train(0).executor(0)", "Pending", "exceeded quota")]
    pods = find_pods("run-2", "mine")
    pods.look()
    assert [str(trouble) for trouble in pods.troubles()] == ["train: its pod is refused: exceeded quota"]
    assert kube.requests[-1][2]["labelSelector"] == "pipeline/runid=run-2"


def test_a_lost_pod_and_the_next_try_are_told(quickstart_compiled, kube):
    kube.argo_nodes = [("training-x7k2p(0).root(0).train(0).executor(0)", "Error", "pod deleted")]
    trained = tasks("SUCCEEDED", "SUCCEEDED", "RUNNING")
    moments = [Moment("RUNNING", trained), Moment("RUNNING", trained, tries={"train": 2}), STORY[-1]]
    lines, _ = followed(quickstart_compiled, moments)
    assert lines.count("  train: its pod was deleted; trying again (2 of 4)") == 1


def test_log_lines_come_once_each_and_the_steps_own_error_is_the_cause(quickstart_compiled, kube):
    kube.pods = [pod("train", "Running")]
    name = kube.pods[0]["metadata"]["name"]
    kube.logs[name] = (
        b"2026-01-01T00:00:01.0Z I0101 00:00:01.1 16 main.go:139] Setting log level\n"
        b"2026-01-01T00:00:01.1Z 10 %\r 50 %\rread 100 pictures\xff\x85 in 1 s\n2026-01-01T00:00:01.2Z epoch 2/2\n"
        b"2026-01-01T00:00:01.3Z error: loss is not finite at step 7; try a lower learning_rate\n"
    )
    failed = Moment("FAILED", tasks("SUCCEEDED", "SUCCEEDED", "FAILED"))
    lines, error = followed(quickstart_compiled, [*STORY[:3], failed])
    assert error.startswith("train failed: loss is not finite at step 7; try a lower learning_rate; its log: http")
    assert lines.count("  epoch 2/2") == 1
    assert lines.count("  read 100 pictures\ufffd\ufffd in 1 s") == 1
    assert not [line for line in lines if "main.go" in line]
    lines, _ = followed(quickstart_compiled, [*STORY[:3], failed], Watch(0.01, 0.5, verbose=True))
    assert [line for line in lines if "main.go" in line]


FAILURES = {
    "its launcher": (
        "F1126 14:32:06.813869 16 main.go:130] failed to execute component: Received message larger than max",
        {"exitCode": 1, "reason": "Error"},
        "Kubeflow's launcher: Received message larger than max",
    ),
    "a defect": (
        "Traceback (most recent call last):\n  File x\nKeyError: 'x'",
        {"exitCode": 1, "reason": "Error"},
        "KeyError: 'x'",
    ),
    "killed": (
        "E1126 14:32:06.7 16 launcher_v2.go:449] Component failed to execute successfully: exit status 137",
        {"exitCode": 137, "reason": "Error"},
        "killed (exit code 137), likely for want of memory on its node; give train_memory more",
    ),
    "silence": ("epoch 1/2", {"exitCode": 3, "reason": "Error"}, "exit code 3; its last line: epoch 1/2"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_told_by_what_says_most(quickstart_compiled, kube, kind):
    log, terminated, said = FAILURES[kind]
    kube.pods = [pod("train", "Failed", terminated=terminated)]
    stamped = [f"2026-01-01T00:00:01.{number}Z {line}" for number, line in enumerate(log.split("\n"))]
    kube.logs[kube.pods[0]["metadata"]["name"]] = "\n".join(stamped)
    failed = Moment("FAILED", tasks("SUCCEEDED", "SUCCEEDED", "FAILED"))
    assert said in followed(quickstart_compiled, [failed])[1]


def test_an_evicted_pod_is_told_as_such(quickstart_compiled, kube):
    kube.pods = [pod("train", "Failed")]
    kube.pods[0]["status"] |= {"reason": "Evicted", "message": "The node was low on resource: memory."}
    failed = Moment("FAILED", tasks("SUCCEEDED", "SUCCEEDED", "FAILED"))
    assert "train failed: Evicted: The node was low on resource: memory." in followed(quickstart_compiled, [failed])[1]


def test_a_pod_that_waits_for_a_volume_is_explained_by_its_event(quickstart_compiled, kube):
    kube.pods = [pod("train", "Pending")]
    kube.warnings = [(kube.pods[0]["metadata"]["name"], "MountVolume.SetUp failed"), ("another", "x")]
    moments = [Moment("RUNNING", tasks("SUCCEEDED", "SUCCEEDED", "PENDING"))]
    _, error = followed(quickstart_compiled, moments, Watch(0.01, 0.5, stuck_after=0.05))
    assert "nothing has moved for 0.05 s: MountVolume.SetUp failed. The run" in error


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
        kube.pods.append(pod(step, "Succeeded"))
        lines = f"{executor_input(step, *outputs[step])}\n{printed}".split("\n")
        stamped = [f"2026-01-01T00:00:01.{number:03}Z {line}" for number, line in enumerate(lines)]
        kube.logs[kube.pods[-1]["metadata"]["name"]] = "\n".join(stamped)
    lines, error = followed(quickstart_compiled, STORY)
    assert error == ""
    assert lines[lines.index("step        result     time") :] == [
        "step        result     time",
        *[f"{step:<10}  succeeded  30.0 s" for step in STEPS],
        "",
        "Test loss: 0.1234 / Test accuracy: 0.9722",
        "exported and published as version 3, the champion; the model passes the gate: accuracy 0.9722 reaches 0.9",
        "report:      minio://b/evaluate/evaluation/report.html",
        "tensorboard: minio://b/train/tensorboard",
        "saved_model: minio://b/export/exported/saved_model",
        "model:       minio://b/train/model/model.keras",
        "the run succeeded",
    ]


def test_a_sweep_ends_with_the_table_of_its_trials(kube):
    rows = ["trial | changes | val_accuracy | best epoch | time |  |", "2 | epochs=2 | 0.9 | 2 of 2 | 1.0 s |  |"]
    rows.append("1 | epochs=1 | failed |  |  | no memory |")
    kube.pods = [pod("choose", "Succeeded")]
    stamped = [f"2026-01-01T00:00:01.{number}Z | {row}" for number, row in enumerate(rows)]
    kube.logs[kube.pods[0]["metadata"]["name"]] = "\n".join(stamped)
    story = Story(find_pods("run-2", ""), lambda line: None)
    story.tell(types.SimpleNamespace(run_details=None, pipeline_spec={}, state="SUCCEEDED", state_history=None))
    assert summary(story)["trial_table"].split("\n") == [
        "trial  changes   val_accuracy  best epoch  time",
        "2      epochs=2  0.9           2 of 2      1.0 s",
        "1      epochs=1  failed                           no memory",
    ]


def test_no_access_to_pods_is_no_error(kube):
    kube.forbidden.add("/api/v1/namespaces/kubeflow/pods")
    assert find_pods("run-2", "") is None
