"""Curves in MLflow: what Kubeflow hands on is used, and a server that fails costs a line and no epoch."""

import json
import os
import pathlib
from types import SimpleNamespace

import pytest
import requests

from components.train.board import tracking
from components.train.board.tracking import tracked_run
from components.train.callbacks import Curves
from components.train.run import train
from components.train.settings import TrainSettings
from tests.components.train.conftest import BACKEND
from tests.servers.http_api import Api
from tests.servers.mlflow_api import MLflowApi


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """No waiting between two requests."""
    monkeypatch.setattr(tracking, "EVERY_S", 0.0)
    monkeypatch.setattr(tracking, "AFTER_A_FAILURE_S", 0.0)


def entry(epoch: int, **changes: float) -> dict:
    return {"epoch": epoch, "loss": 1 / epoch, "accuracy": 0.5, "learning_rate": 0.001, "seconds": 1.0} | changes


def trained(log: SimpleNamespace, *entries: dict, **environment: str) -> None:
    """Epochs, one after the other, as Keras would end them."""
    curves = Curves(tracked_run(environment), log)
    for each in entries:
        log.history.append(each)
        curves.on_epoch_end(each["epoch"] - 1)
    curves.close()


@pytest.fixture
def log():
    return SimpleNamespace(history=[])


def test_a_training_leaves_its_curves(tmp_path, digits, monkeypatch):
    mlflow = MLflowApi("0a1b")
    with mlflow.serving() as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        monkeypatch.setenv("MLFLOW_RUN_ID", "0a1b")
        given = {"epochs": 3, "batch_size": 500, "gpus": "auto", "gate_metric": "balanced_accuracy"}
        settings = TrainSettings.checked(architecture='["Flatten"]', backend=BACKEND, **given)
        train(settings, digits, str(tmp_path / "model"), str(tmp_path / "board"))
    history = json.loads(pathlib.Path(tmp_path / "model" / "training.json").read_text())["history"]
    for name in tracking.CURVES:
        assert mlflow.curve("0a1b", f"epoch/{name}") == {each["epoch"]: each[name] for each in history}, name


def test_a_training_that_was_killed_sends_what_the_run_lacks(log):
    mlflow = MLflowApi("0a1b")
    with mlflow.serving() as url:
        given = {"MLFLOW_TRACKING_URI": f"{url}/", "MLFLOW_RUN_ID": "0a1b"}
        trained(log, entry(1), entry(2), entry(3), **given)
        del log.history[2:]  # killed after its checkpoint of epoch 2; epoch 3 is trained once more, to the same bits
        trained(log, entry(3), entry(4), **given)
        fresh = SimpleNamespace(history=[])
        trained(fresh, entry(1), entry(2), **given)
    assert mlflow.curve("0a1b", "epoch/loss") == {1: 1.0, 2: 1 / 2, 3: 1 / 3, 4: 1 / 4}


@pytest.mark.parametrize(
    "fault", ["drop", (500, "<html>Internal Server Error</html>"), (403, {"error_code": "PERMISSION_DENIED"})]
)
def test_a_server_that_fails_is_told_once_and_the_epochs_are_sent_later(log, fault, capsys):
    mlflow = MLflowApi("0a1b")
    mlflow.faults = [("POST", "/api/2.0/mlflow/runs/log-batch", fault)] * 3
    with mlflow.serving() as url:
        epochs = [entry(epoch) for epoch in range(1, 6)]
        trained(log, *epochs, MLFLOW_TRACKING_URI=url, MLFLOW_RUN_ID="0a1b")
    assert list(mlflow.curve("0a1b", "epoch/loss")) == [1, 2, 3, 4, 5]
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("note: MLflow does not take the curves: ") and line.endswith("; training goes on")


def test_the_password_of_the_server_is_not_told(log, capsys):
    mlflow = MLflowApi("0a1b")
    mlflow.faults = [("GET", "/api", (401, {"error_code": "UNAUTHENTICATED"}))]
    with mlflow.serving() as url:
        trained(log, entry(1), MLFLOW_TRACKING_URI=url.replace("//", "//me:s3cret@"), MLFLOW_RUN_ID="0a1b")
    assert capsys.readouterr().out.startswith("note: MLflow does not take the curves: HTTP 401 Unauthorized; ")


class Says(Api):
    """Another service, which has one answer to all."""

    def __init__(self, answer: object):
        super().__init__()
        self.answer = answer

    def handle(self, *request):
        return 200, self.answer


@pytest.mark.parametrize("server", [Says("<html>log in</html>"), Says({}), Says([]), MLflowApi("another")])
def test_something_else_than_the_run_costs_a_line(log, server, capsys):
    with server.serving() as url:
        trained(log, entry(1), entry(2), MLFLOW_TRACKING_URI=url, MLFLOW_RUN_ID="0a1b")
    assert capsys.readouterr().out.count("MLflow does not take the curves") == 1


def test_a_figure_that_is_no_number_is_left_out(log):
    mlflow = MLflowApi("0a1b")
    with mlflow.serving() as url:
        trained(log, entry(1, val_loss=float("nan")), MLFLOW_TRACKING_URI=url, MLFLOW_RUN_ID="0a1b")
    assert {each["key"] for each in mlflow.runs["0a1b"]} == {"epoch/loss", "epoch/accuracy", "epoch/learning_rate"}


@pytest.mark.parametrize(
    ("given", "authorization"),
    [
        ({"MLFLOW_TRACKING_TOKEN": "s3cret"}, "Bearer s3cret"),
        ({"MLFLOW_TRACKING_USERNAME": "ana", "MLFLOW_TRACKING_PASSWORD": "pw"}, "Basic YW5hOnB3"),
        ({"MLFLOW_TRACKING_AUTH": "kubernetes"}, "Bearer of-the-pod"),
    ],
)
def test_it_logs_in_as_kubeflow_says(log, tmp_path, monkeypatch, given, authorization):
    (tmp_path / "token").write_text("of-the-pod\n")
    monkeypatch.setattr(tracking, "SERVICE_ACCOUNT_TOKEN", str(tmp_path / "token"))
    mlflow = MLflowApi("0a1b", authorization=authorization)
    with mlflow.serving() as url:
        where = {"MLFLOW_TRACKING_URI": url, "MLFLOW_RUN_ID": "0a1b", "MLFLOW_WORKSPACE": "team"}
        trained(log, entry(1), **where, **given)
    assert mlflow.workspaces == {"team"} and mlflow.curve("0a1b", "epoch/loss") == {1: 1.0}


@pytest.mark.parametrize(
    "given",
    [{}, {"MLFLOW_TRACKING_URI": "http://x"}, {"MLFLOW_RUN_ID": "0a1b"},
     {"MLFLOW_RUN_ID": "0a1b", "MLFLOW_TRACKING_URI": "file:///mlruns"}],
)  # fmt: skip
def test_without_a_run_of_a_server_nothing_is_sent(log, given):
    assert tracked_run(given) is None


def test_a_real_mlflow_takes_them(log, monkeypatch):
    """Its package is 600 MB, and starts in minutes on a busy machine: so one that runs is asked, if it is named."""
    url = os.environ.get("MLFLOW_URL")
    if not url:
        pytest.skip("no MLflow named; start one by `mlflow server`, and give MLFLOW_URL=http://localhost:5000")
    monkeypatch.setattr(tracking, "TIMEOUT_S", (30, 60))
    made = requests.post(f"{url}/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}, timeout=60).json()
    run = made["run"]["info"]["run_id"]
    given = {"MLFLOW_TRACKING_URI": url, "MLFLOW_RUN_ID": run}
    trained(log, entry(1), entry(2), **given)
    trained(log, entry(3), **given)
    where = {"run_id": run, "metric_key": "epoch/loss"}
    found = requests.get(f"{url}/api/2.0/mlflow/metrics/get-history", params=where, timeout=60).json()
    assert [(each["step"], each["value"]) for each in found["metrics"]] == [(1, 1.0), (2, 1 / 2), (3, 1 / 3)]
    trained(log, entry(4), MLFLOW_TRACKING_URI=url, MLFLOW_RUN_ID="another")
