"""Curves by epoch in MLflow, if this pod was given a run there.

Kubeflow Pipelines from 2.17 on tracks runs in MLflow by itself, if its platform has one: a run a task, with the task's
parameters and its scalar metrics at the end. With `injectUserEnvVars` it tells the task's own code which run that is
(MLFLOW_RUN_ID), where, and how to log in. So the curves go there too, by MLflow's REST interface: the package would be
600 MB. Trouble with MLflow never costs a model.
"""

import math
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from components.core.errors import ODD_JSON, one_line

CURVES = ("loss", "accuracy", "val_loss", "val_accuracy", "val_balanced_accuracy", "learning_rate", "images_per_second")
# Names of their own: Kubeflow logs `loss` and so on too, as they are of the epoch that is kept.
PREFIX = "epoch"
SERVICE_ACCOUNT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105
TIMEOUT_S = (3, 5)
# Epochs may take a tenth of a second; and a server that is away is not asked after each.
EVERY_S = 5.0
AFTER_A_FAILURE_S = 60.0
# MLflow's own limit on one request.
LARGEST_BATCH = 1000


def tracked_run(environment: Mapping[str, str] = os.environ) -> "TrackedRun | None":
    """The run that this pod was given; None if there is none."""
    uri, run = environment.get("MLFLOW_TRACKING_URI", ""), environment.get("MLFLOW_RUN_ID", "")
    return TrackedRun(uri, run, environment) if run and uri.startswith(("http://", "https://")) else None


class TrackedRun:
    """Sends a history's new epochs to a run in MLflow; what could not be sent goes with the next ones.

    A training that was killed and goes on sends what the run lacks: MLflow is asked which epoch came last.
    """

    def __init__(self, uri: str, run: str, environment: Mapping[str, str]):
        import requests

        self.run = run
        self.api = f"{uri.rstrip('/')}/api/2.0/mlflow/runs"
        self.session = requests.Session()
        self.session.verify = environment.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True
        if workspace := environment.get("MLFLOW_WORKSPACE"):
            self.session.headers["X-MLFLOW-WORKSPACE"] = workspace
        if token := _token(environment):
            self.session.headers["Authorization"] = f"Bearer {token}"
        elif user := environment.get("MLFLOW_TRACKING_USERNAME"):
            self.session.auth = (user, environment.get("MLFLOW_TRACKING_PASSWORD", ""))
        self.sent: int | None = None  # epochs; None: not known yet
        self.next_try = 0.0
        self.told = False

    def send_now_and_then(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Sends what is new, unless something was sent a moment ago."""
        if time.monotonic() >= self.next_try:
            self._send(history)

    def send_the_rest(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Sends all that is left."""
        self._send(history)
        self.session.close()

    def _send(self, history: Sequence[Mapping[str, Any]]) -> None:
        self.next_try = time.monotonic() + EVERY_S
        try:
            if self.sent is None:
                self.sent = self._last_epoch()
            epochs = history[self.sent :]
            now = int(time.time() * 1000)
            points = [point for entry in epochs for point in _points(entry, now)]
            for start in range(0, len(points), LARGEST_BATCH):
                batch = {"run_id": self.run, "metrics": points[start : start + LARGEST_BATCH]}
                self._answer(self.session.post(f"{self.api}/log-batch", json=batch, timeout=TIMEOUT_S))
            self.sent += len(epochs)
        except (OSError, *ODD_JSON) as failure:  # requests' own errors are OSErrors
            self.next_try = time.monotonic() + AFTER_A_FAILURE_S
            if not self.told:
                print(f"note: MLflow does not take the curves: {one_line(failure, 200)}; training goes on", flush=True)
            self.told = True

    def _last_epoch(self) -> int:
        """The last epoch that the run has figures of, from a pod that was lost; 0: none."""
        answer = self.session.get(f"{self.api}/get", params={"run_id": self.run}, timeout=TIMEOUT_S)
        metrics = self._answer(answer)["run"]["data"].get("metrics", [])
        steps = [int(metric["step"]) for metric in metrics if metric["key"] == f"{PREFIX}/loss"]
        return max(steps, default=0)

    def _answer(self, answer: Any) -> Any:
        """What MLflow answered; an OSError if it refused."""
        if not answer.ok:  # in words of our own: requests' repeat the URL, which may hold a password
            raise OSError(f"HTTP {answer.status_code} {answer.reason}")
        return answer.json()


def _points(entry: Mapping[str, Any], now_ms: int) -> list[dict[str, Any]]:
    """An epoch's figures as MLflow takes them; what is no number it would not."""
    return [
        {"key": f"{PREFIX}/{name}", "value": entry[name], "timestamp": now_ms, "step": entry["epoch"]}
        for name in CURVES
        if name in entry and math.isfinite(entry[name])
    ]


def _token(environment: Mapping[str, str]) -> str:
    """As MLflow's client finds it: given, or the pod's own towards a server that asks Kubernetes."""
    if environment.get("MLFLOW_TRACKING_AUTH", "").startswith("kubernetes"):
        file = pathlib.Path(SERVICE_ACCOUNT_TOKEN)
        return file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    return environment.get("MLFLOW_TRACKING_TOKEN", "")
