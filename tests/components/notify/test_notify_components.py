"""The KFP faces of notify, run by kfp.local: a failing run is told by its exit handler, with the cause."""

import pathlib

import pytest
from kfp import dsl, local

from components.notify.component import notify, notify_failure
from pipeline import ROOT
from tests.servers.http_api import Api


class Webhook(Api):
    def handle(self, method, path, query, body, headers):
        return 200, "ok"


@dsl.component(base_image="python", install_kfp_package=False)
def step(fail: bool, evaluation: dsl.Output[dsl.Artifact]):
    if fail:
        raise SystemExit(1)

    from components.core.artifacts.evaluation import Decision, DecisionReason, write_decision

    pathlib.Path(evaluation.path).mkdir()
    decision = Decision(
        passed=False,
        reasons=[DecisionReason(said="test accuracy 0.7500 is below min_accuracy 0.8", holds=False)],
        accuracy=0.75,
        pictures=100,
        gate="beat_champion",
        min_accuracy=0.8,
        min_improvement=0.0,
        significance=0.05,
        model_name="digits",
        registry="",
        champion=0,
    )
    write_decision(pathlib.Path(evaluation.path), decision)


@dsl.pipeline(name="told")
def told(fail: bool):
    failure = notify_failure(run_name="nightly", run_id="run-1").set_caching_options(False)
    with dsl.ExitHandler(failure):
        evaluation = step(fail=fail).outputs["evaluation"]
        told = notify(evaluation=evaluation, outcome="not exported", run_name="nightly", run_id="run-1")
        told.set_caching_options(False)


@pytest.mark.parametrize(
    ("fail", "text"),
    [
        (
            False,
            "nightly: not exported, test accuracy 0.7500\n"
            "does not pass the gate: test accuracy 0.7500 is below min_accuracy 0.8\nrun run-1",
        ),
        (True, "nightly: failed\n"),
    ],
)
def test_a_run_is_told_once(tmp_path, monkeypatch, fail, text):
    webhook = Webhook()
    with webhook.serving() as url:
        monkeypatch.setenv("NOTIFY_WEBHOOK_URL", url)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path), raise_on_error=False)
        told(fail=fail)
    (request,) = webhook.requests
    assert request[3]["text"].startswith(text)
