"""A small server that speaks the KFP v2beta1 calls the SDK uses, in the words of the real one."""

import itertools
import json
import re
from typing import Any

import yaml

from tests.servers.http_api import Api
from tests.servers.kfp_runs import START, Moment, shown

PREFIX = "/apis/v2beta1"
# Whose rights a run has that names nobody.
SERVICE_ACCOUNT = "pipeline-runner"
# As which a value of a parameter's type arrives: a number where text belongs is refused.
ARRIVES_AS = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}
# What a KFP of many users does in one's namespace alone; a single object, asked for by its id, is in the one it is in.
NAMESPACED = {("experiments", "GET"), ("experiments", "POST"), ("recurringruns", "GET")}


class KfpApi(Api):
    """Experiments, pipelines, runs and recurring runs in memory. A run passes through `moments`, one a look.

    Attributes:
        moments: each a Moment, or what KFP really answered.
        pages: whether the UI is here too, as behind ml-pipeline-ui; ml-pipeline itself has the API alone.
    """

    def __init__(
        self, moments: list[Moment | dict] = (), namespaces: tuple[str, ...] = (), token: str = "", pages: bool = True
    ):
        super().__init__()
        self.moments, self.pages = list(moments) or [Moment("SUCCEEDED")], pages
        self.namespaces, self.token = namespaces, token
        self.experiments: dict[str, dict] = {}
        self.runs: dict[str, dict] = {}
        self.recurring: dict[str, dict] = {}
        self.pipelines: dict[str, dict] = {}
        self.versions: dict[str, list[dict]] = {}
        self.looks: dict[str, int] = {}
        self.numbers = itertools.count(1)

    def handle(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> tuple[int, Any]:
        if not path.startswith(PREFIX):
            return (200, "<html>Pipelines</html>") if self.pages else (404, {"code": 5, "message": "Not Found"})
        if self.token and headers.get("Authorization") != f"Bearer {self.token}":
            return error(401, 16, "Request header error: there is no user identity header.")
        collection, _, identity = path.removeprefix(f"{PREFIX}/").partition("/")
        if collection == "healthz":
            return 200, {"multi_user": bool(self.namespaces)}
        named = query.get("namespace") or (body or {}).get("namespace")
        if not identity and (refused := self._refuse_namespace(named, collection, method)):
            return refused
        # A schedule of a version is kept unseen: its runs are refused.
        by_version = collection == "recurringruns" and "pipeline_version_reference" in (body or {})
        if method == "POST" and not by_version and (refused := self._refuse_parameters(body)):
            return refused
        return getattr(self, f"_{collection}")(method, identity, query, body)

    def _refuse_namespace(self, namespace: str | None, collection: str, method: str) -> tuple[int, Any] | None:
        if namespace and not self.namespaces:
            return error(400, 3, f"In single-user mode, List{collection.title()} cannot filter by namespace.")
        if not namespace and self.namespaces and (collection, method) in NAMESPACED:
            return error(400, 3, f"Invalid resource references for {collection}. Namespace is empty.")
        if namespace and namespace not in self.namespaces:
            return error(403, 7, f"User 'ana' is not authorized to {method} {collection} in namespace {namespace}")
        return None

    def _refuse_parameters(self, body: Any) -> tuple[int, Any] | None:
        """As `validatePipelineJobInputs` in Kubeflow's v2_template.go does."""
        reference = body.get("pipeline_version_reference") or {}
        versions = self.versions.get(reference.get("pipeline_id", ""), [])
        made = [one for one in versions if one["pipeline_version_id"] == reference["pipeline_version_id"]]
        spec = (made[0] if made else body).get("pipeline_spec") or {}
        taken = spec.get("pipeline_spec", spec).get("root", {}).get("inputDefinitions", {}).get("parameters", {})
        for name, value in ((body.get("runtime_config") or {}).get("parameters") or {}).items():
            if name not in taken:
                return error(400, 3, f"parameter(s) provided are not required by pipeline: {name}")
            if type(value) not in ARRIVES_AS[kind := taken[name]["parameterType"]]:
                return error(400, 3, f"input parameter {name} requires type {kind.lower()}")
        return None

    def _experiments(self, method: str, identity: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if method == "POST":
            same = (body["display_name"], body.get("namespace") or "")
            if any((one["display_name"], one.get("namespace") or "") == same for one in self.experiments.values()):
                return error(
                    409, 6, f"Already exist error: The name {same[0]} already exists. Please specify a new name"
                )
            made = {**body, "experiment_id": f"experiment-{next(self.numbers)}"}
            self.experiments[made["experiment_id"]] = made
            return 200, made
        if identity:
            found = self.experiments.get(identity)
            return (200, found) if found else error(404, 5, f"Experiment {identity} not found")
        wanted = json.loads(query["filter"])["predicates"][0]["stringValue"] if query.get("filter") else None
        found = [entry for entry in self.experiments.values() if wanted in (None, entry["display_name"])]
        return 200, {"experiments": found, "total_size": len(found)} if found else {}

    def _runs(self, method: str, identity: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if method == "POST":
            run_id = f"run-{next(self.numbers)}"
            made = {"service_account": SERVICE_ACCOUNT, **body, "run_id": run_id, "created_at": START.isoformat()}
            self.runs[run_id] = made | {"state": "PENDING"}
            return 200, self.runs[run_id]
        if not identity:
            found = [run for run in self.runs.values() if run["experiment_id"] == query["experiment_id"]]
            return 200, {"runs": found} if found else {}
        if identity not in self.runs:
            return error(404, 5, f"Run {identity} not found")
        look = self.looks[identity] = self.looks.get(identity, -1) + 1
        moment = self.moments[min(look, len(self.moments) - 1)]
        return 200, {**self.runs[identity], **(shown(moment, identity) if isinstance(moment, Moment) else moment)}

    def _pipelines(self, method: str, identity: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if method == "POST" and identity == "upload_version":
            return self._upload_version(query, body)
        if method == "POST":
            name, namespace = body.get("name") or body["display_name"], body.get("namespace", "")
            if self._pipeline_named(name, namespace):
                return error(409, 6, f"Already exist error: The name {name} already exist. Please specify a new name")
            made = {"display_name": name, **body, "name": name, "pipeline_id": f"pipeline-{next(self.numbers)}"}
            self.pipelines[made["pipeline_id"]] = made
            return 200, made
        if identity.startswith("names/"):
            name = identity.removeprefix("names/")
            found = self._pipeline_named(name, query.get("namespace", ""))
            return (200, found) if found else error(404, 5, f"ResourceNotFoundError: Pipeline {name} not found")
        pipeline, _, version = identity.partition("/versions/")
        known = self.versions.get(pipeline.removesuffix("/versions"), [])
        if version:
            found = [entry for entry in known if entry["pipeline_version_id"] == version]
            return (200, found[0]) if found else error(404, 5, f"Pipeline version {version} not found")
        assert identity.endswith("/versions") and query["sort_by"] == "created_at desc"
        at = int(query.get("page_token") or 0)  # two a page, so that paging is used
        page: dict[str, Any] = {"pipeline_versions": known[::-1][at : at + 2], "total_size": len(known)}
        return 200, page | ({"next_page_token": str(at + 2)} if at + 2 < len(known) else {})

    def _upload_version(self, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """The upload is no gateway's: its query is spelled otherwise, and its errors have other names."""
        refused = {"error_message": "Failed to create a pipeline version", "error_details": "..."}
        known = self.versions.setdefault(query["pipelineid"], [])
        if query["pipelineid"] not in self.pipelines or set(body) != {"uploadfile"}:
            return 400, refused
        if any(query["name"] == version["name"] for version in known):
            return 409, refused
        documents = list(yaml.load_all(body["uploadfile"], yaml.CSafeLoader))
        made = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": f"version-{next(self.numbers)}",
            "name": query["name"],
            "display_name": query.get("display_name") or query["name"],
            "created_at": START.isoformat(),
            "pipeline_spec": documents[0]
            if len(documents) == 1
            else dict(zip(("pipeline_spec", "platform_spec"), documents, strict=True)),
        }
        known.append(made)
        return 200, made

    def _pipeline_named(self, name: str, namespace: str) -> dict | None:
        wanted = (name, namespace)
        return next((one for one in self.pipelines.values() if (one["name"], one.get("namespace", "")) == wanted), None)

    def _recurringruns(self, method: str, identity: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if method == "POST":
            generated = re.sub("[^a-z0-9-]+", "", body["display_name"].lower()) or "job-"
            if generated.startswith("-"):
                return error(500, 13, f'"{generated}x7k2p" is invalid: metadata.generateName: Invalid value')
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
