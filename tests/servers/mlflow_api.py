"""A small server that speaks those two calls of MLflow's REST API that are used, as MLflow 3.17 answers them."""

import collections
from typing import Any

from tests.servers.http_api import Api

PREFIX = "/api/2.0/mlflow/runs/"
METRIC = {"key": str, "value": (int, float), "timestamp": int, "step": int}


class MLflowApi(Api):
    """Runs by their ids, each a list of metrics as they were logged.

    Attributes:
        authorization: what requests must carry; empty: nothing.
    """

    def __init__(self, *runs: str, authorization: str = ""):
        super().__init__()
        self.runs: dict[str, list[dict]] = {run: [] for run in runs}
        self.authorization = authorization
        self.workspaces: set[str | None] = set()

    def curve(self, run: str, key: str) -> dict[int, float]:
        """The values by step."""
        assert collections.Counter((each["key"], each["step"]) for each in self.runs[run]).most_common(1)[0][1] == 1
        return {each["step"]: each["value"] for each in self.runs[run] if each["key"] == key}

    def handle(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> tuple[int, Any]:
        self.workspaces.add(headers.get("X-MLFLOW-WORKSPACE"))
        if self.authorization and headers.get("Authorization") != self.authorization:
            return 401, "You are not authenticated."
        run = query.get("run_id") or (body or {}).get("run_id")
        if run not in self.runs:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"Run with id={run} not found"}
        if (method, path) == ("GET", f"{PREFIX}get"):
            latest = {each["key"]: each for each in sorted(self.runs[run], key=lambda each: each["step"])}
            data = {"metrics": list(latest.values())} if latest else {}
            return 200, {"run": {"info": {"run_id": run}, "data": data}}
        if (method, path) == ("POST", f"{PREFIX}log-batch"):
            return self._log(run, body)
        return 404, "<html>Not Found</html>"

    def _log(self, run: str, body: dict) -> tuple[int, Any]:
        metrics = body["metrics"]
        wrong = [each for each in metrics if set(each) != set(METRIC)]
        wrong += [each for each in metrics if not all(isinstance(each[name], kind) for name, kind in METRIC.items())]
        if wrong or set(body) != {"run_id", "metrics"} or not 1 <= len(metrics) <= 1000:
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": f"Invalid value {wrong[:1]} for metrics"}
        self.runs[run] += metrics
        return 200, {}
