"""The KFP faces of notify, run by kfp.local: a failing run is told by its exit handler, with the cause."""

import pathlib

import pytest
from kfp import dsl, local

from components.notify.component import notify, notify_failure
from tests.servers.http_api import Api

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Webhook(Api):
    def handle(self, method, path, query, body, headers):
        return 200, "ok"


@dsl.component(base_image="python", install_kfp_package=False)
def step(fail: bool) -> float:
    if fail:
        raise SystemExit(1)
    return 0.75


@dsl.pipeline(name="told")
def told(fail: bool):
    failure = notify_failure(run_name="nightly", run_id="run-1").set_caching_options(False)
    with dsl.ExitHandler(failure):
        accuracy = step(fail=fail).output
        notify(outcome="exported", accuracy=accuracy, run_name="nightly", run_id="run-1").set_caching_options(False)


@pytest.mark.parametrize(
    ("fail", "text"),
    [(False, "nightly: exported, test accuracy 0.7500\nrun run-1"), (True, "nightly: failed\n")],
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
