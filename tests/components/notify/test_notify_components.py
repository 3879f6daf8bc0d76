"""The component as KFP runs it below an exit handler: one message, whatever the end."""

import re

import pytest
from kfp import dsl, local
from kfp.dsl.executor import Executor

from components.notify.component import notify
from pipeline import ROOT
from tests.components.notify.conftest import Webhook, leave
from tests.pipeline.cluster.replay import recorded_log


@dsl.component(base_image="python", install_kfp_package=False)
def step(fail: bool):
    if fail:
        raise SystemExit(1)


@dsl.pipeline(name="told")
def told(fail: bool, run_name: str):
    telling = notify(run_name=run_name, run_id="run-1").set_caching_options(False)
    with dsl.ExitHandler(telling):
        step(fail=fail)


@pytest.mark.parametrize(
    ("fail", "name", "text"),
    [(False, "nightly", "nightly: succeeded\n"), (True, "", "local-pipeline")],
    ids=["named", "not"],
)
def test_a_run_is_told_once(tmp_path, monkeypatch, fail, name, text):
    webhook = Webhook()
    with webhook.serving() as url:
        monkeypatch.setenv("NOTIFY_WEBHOOK_URL", url)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path), raise_on_error=False)
        told(fail=fail, run_name=name)
    (request,) = webhook.requests
    assert request[3]["text"].startswith(text)
    assert (": failed\n" in request[3]["text"]) == fail


# What a real Kubeflow handed to the task at an exit handler's end; `state` besides.
FINAL = {"error": {}, "pipelineJobResourceName": "training-d5rl2", "pipelineTaskName": "exit-handler-1"}
# What its launcher does not keep of a step's log.
NOT_KEPT = re.compile(r"[IEF]\d{4} |time=|Error: exit status")


def kept(log: str) -> bytes:
    """The `executor-logs` that go with a recorded log."""
    lines = [line.partition(" ")[2] for line in recorded_log(log).split("\n")]
    return "\n".join(line for line in lines if not NOT_KEPT.match(line)).encode()


ENDS = {
    "out of memory": (
        "FAILED",
        "quickstart 2026-11-26",
        {"train/1/executor-logs-0": kept("step-out-of-memory")},
        "quickstart 2026-11-26: failed\n"
        "train: killed, probably out of memory; give the step more\nhttp://kfp/#/runs/details/run-1",
    ),
    "a schedule's run, which has no name": (
        "FAILED",
        "",
        {"download/1/executor-logs-0": kept("step-failed")},
        "training-d5rl2: failed\n"
        "download: expected an object minio://mlpipeline/absent or objects below it, received none; check the name\n"
        "http://kfp/#/runs/details/run-1",
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_a_real_kubeflow_hands_on_makes_one_whole_message(tmp_path, monkeypatch, end):
    state, name, left, text = ENDS[end]
    leave(tmp_path, left)
    place = {
        "name": "place",
        "type": {"schemaTitle": "system.Artifact"},
        "uri": f"{tmp_path}/training/run-1/notify/9/place",
    }
    given = {"status": FINAL | {"state": state}, "run_name": name, "run_id": "run-1"}
    webhook = Webhook()
    with webhook.serving() as url:
        monkeypatch.setenv("NOTIFY_WEBHOOK_URL", url)
        monkeypatch.setenv("NOTIFY_UI_URL", "http://kfp")
        Executor(
            {
                "inputs": {"parameterValues": given},
                "outputs": {"artifacts": {"place": {"artifacts": [place]}}, "outputFile": str(tmp_path / "out.json")},
            },
            notify.python_func,
        ).execute()
    assert [request[3]["text"] for request in webhook.requests] == [text]
