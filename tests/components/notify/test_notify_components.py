"""The component as kfp.local runs it below an exit handler: one message, whatever the end."""

import pytest
from kfp import dsl, local

from components.notify.component import notify
from pipeline import ROOT
from tests.servers.http_api import Api


class Webhook(Api):
    def handle(self, method, path, query, body, headers):
        return 200, "ok"


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
