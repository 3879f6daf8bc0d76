"""A small server that speaks the KFP v2beta1 calls the SDK uses, its errors in the words of the real one."""

import dataclasses
import datetime
import itertools
import json
from typing import Any

from tests.servers.http_api import Api

PREFIX = "/apis/v2beta1"
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dataclasses.dataclass
class Moment:
    """What a run looks like at one look: its state, its steps' states, and errors by step."""

    state: str
    tasks: dict[str, str] = dataclasses.field(default_factory=dict)
    errors: dict[str, str] = dataclasses.field(default_factory=dict)
    error: str = ""


class KfpApi(Api):
    """Experiments, runs and recurring runs in memory. A run passes through `moments`, one a look."""

    def __init__(self, moments: list[Moment] = (), namespaces: tuple[str, ...] = (), token: str = ""):
        super().__init__()
        self.moments = list(moments) or [Moment("SUCCEEDED")]
        self.namespaces, self.token = namespaces, token
        self.experiments: dict[str, dict] = {}
        self.runs: dict[str, dict] = {}
        self.recurring: dict[str, dict] = {}
        self.looks: dict[str, int] = {}
        self.numbers = itertools.count(1)

    def handle(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> tuple[int, Any]:
        if not path.startswith(PREFIX):
            return 404, "<html>no such page</html>"
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            return error(401, 16, "Request header error: there is no user identity header.")
        collection, _, identity = path.removeprefix(f"{PREFIX}/").partition("/")
        if collection == "healthz":
            return 200, {"multi_user": bool(self.namespaces)}
        if refused := self._refuse_namespace(
            query.get("namespace") or (body or {}).get("namespace"), collection, method
        ):
            return refused
        return getattr(self, f"_{collection}")(method, identity, query, body)

    def _refuse_namespace(self, namespace: str | None, collection: str, method: str) -> tuple[int, Any] | None:
        if namespace and not self.namespaces:
            return error(400, 3, f"In single-user mode, List{collection.title()} cannot filter by namespace.")
        if namespace and namespace not in self.namespaces:
            return error(403, 7, f"User 'ana' is not authorized to {method} {collection} in namespace {namespace}")
        return None

    def _experiments(self, method: str, identity: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if method == "POST":
            made = {**body, "experiment_id": f"experiment-{next(self.numbers)}"}
            self.experiments[made["experiment_id"]] = made
            return 200, made
        wanted = json.loads(query["filter"])["predicates"][0]["stringValue"] if query.get("filter") else None
        found = [entry for entry in self.experiments.values() if wanted in (None, entry["display_name"])]
        return 200, {"experiments": found, "total_size": len(found)} if found else {}

    def _runs(self, method: str, identity: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if method == "POST":
            made = {**body, "run_id": f"run-{next(self.numbers)}", "state": "PENDING", "created_at": START.isoformat()}
            self.runs[made["run_id"]] = made
            return 200, made
        if not identity:
            found = [run for run in self.runs.values() if run["experiment_id"] == query["experiment_id"]]
            return 200, {"runs": found} if found else {}
        if identity not in self.runs:
            return error(404, 5, f"Run {identity} not found")
        look = self.looks[identity] = self.looks.get(identity, -1) + 1
        return 200, {**self.runs[identity], **shown(self.moments[min(look, len(self.moments) - 1)])}

    def _recurringruns(self, method: str, identity: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if method == "POST":
            made = {**body, "recurring_run_id": f"schedule-{next(self.numbers)}", "status": "ENABLED"}
            self.recurring[made["recurring_run_id"]] = made
            return 200, made
        if method == "DELETE":
            return (200, {}) if self.recurring.pop(identity, None) else error(404, 5, "no such recurring run")
        # One a page, so that paging is used.
        entries = list(self.recurring.values())
        at = int(query.get("page_token") or 0)
        page: dict[str, Any] = {"recurringRuns": entries[at : at + 1]}
        if at + 1 < len(entries):
            page["next_page_token"] = str(at + 1)
        return 200, page


def error(status: int, code: int, message: str) -> tuple[int, Any]:
    """An error as KFP's gateway writes it, Go's inner errors and all."""
    text = f"Failed to do it: {message}"
    details = [{"@type": "type.googleapis.com/api.Error", "error_message": message, "error_details": f"{text}: {text}"}]
    return status, {"error": text, "code": code, "message": text, "details": details}


def shown(moment: Moment) -> dict[str, Any]:
    """A moment in KFP's words; with the drivers that it lists beside the steps."""
    details = []
    for name, state in {"root-driver": "SUCCEEDED", "root": moment.state, **moment.tasks}.items():
        started = START + datetime.timedelta(minutes=len(details))
        task = {"display_name": name, "task_id": name, "state": state, "create_time": started.isoformat()}
        if state != "PENDING":
            task["start_time"] = started.isoformat()
        if state in ("SUCCEEDED", "FAILED"):
            task["end_time"] = (started + datetime.timedelta(seconds=30)).isoformat()
        if name in moment.errors:
            task["error"] = {"code": 2, "message": moment.errors[name]}
        details.append(task)
    answer = {"state": moment.state, "run_details": {"task_details": details}}
    if moment.error:
        answer["error"] = {"code": 2, "message": moment.error}
    return answer
