"""Tells Kubeflow Hub (Kubeflow's Model Registry) which versions of a model there are, and which is the champion.

The bucket is the truth, the Hub a copy for people to find: a Hub that is away, or refuses, costs a line and no model.
Each telling compares all versions of the model, so the next one makes up for one that was lost. People's own labels in
the Hub stay; a version of a name that we would use, which is not from this registry, is left alone.
"""

import json
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import requests
import requests.adapters
import urllib3

from components.core.errors import ODD_JSON, PipelineError, one_line
from components.core.registry import Registry, Version
from components.core.storage.errors import tell

# The Hub's API was v1alpha3 for two years; in 2026 it became v1, with the same fields in what is used here.
APIS = ("v1", "v1alpha3")
# As Kubeflow's own client does: the file of a token for the services of Kubeflow.
TOKEN_FILE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105
TIMEOUT_S = (3, 20)
# Somebody may move the champion while it is told.
LOOKS = 3
FACTS = ("accuracy", "loss", "dataset", "dataset_fingerprint", "source_uri", "source_sha256", "model_sha256",
         "weights_sha256", "code_revision")  # fmt: skip
METRICS = ("macro_f1", "calibration_error", "test_pictures")


class HubError(PipelineError):
    """The Hub did not answer as its API does."""


def tell_hub(url: str, registry_uri: str, name: str) -> bool:
    """Registers a model as it stands in the registry; says in one line if that failed. Nothing if no Hub is named.

    Returns:
        Whether the Hub has been told.
    """
    if not url:
        return False
    if not registry_uri:
        tell(f"note: Kubeflow Hub was not told of {name}, which is published nowhere: give PUBLISH_URI=")
        return False
    try:
        registry = Registry(registry_uri)
        with Hub(url) as hub:
            for _ in range(LOOKS):
                champion = registry.champion(name)
                hub.register(registry, name)
                if registry.champion(name) == champion:
                    break
    except PipelineError as error:
        tell(f"warning: Kubeflow Hub was not told of {name}: {error}. The registry has it all the same; once the Hub "
             f"answers: make models ARGS='register {name}'")  # fmt: skip
        return False
    tell(f"Kubeflow Hub at {url} knows the versions of {name}")
    return True


class Hub:
    """The Model Registry's REST API at `url`, as far as it is used here. A context manager.

    Raises:
        HubError: nothing answers at the address, or something else does.
    """

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        self.session = requests.Session()
        again = urllib3.Retry(2, status_forcelist=(429, 502, 503, 504), backoff_factor=0.5, allowed_methods=None,
                              raise_on_status=False)  # fmt: skip
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=again))
        token = pathlib.Path(os.environ.get(TOKEN_FILE) or os.devnull)
        if token.is_file():
            self.session.headers["Authorization"] = f"Bearer {token.read_text(encoding='utf-8').strip()}"
        self.api = self._find_api()

    def __enter__(self) -> "Hub":
        return self

    def __exit__(self, *error: object) -> None:
        self.session.close()

    def register(self, registry: Registry, name: str) -> None:
        """Brings the Hub's model of that name to what the registry says.

        Raises:
            HubError: the Hub refuses, or its model of that name is of another registry. StorageError.
        """
        champion = registry.champion(name)
        served = {"registry": registry.uri(name), "champion": str(champion.version) if champion else ""}
        model = self._obtain("registered_model", {"name": name}, "registered_models",
                             {"name": name, "state": "LIVE", "customProperties": _properties(served)})  # fmt: skip
        of = _said(model).get("registry", served["registry"])
        if of != served["registry"]:
            raise HubError(f"its model {name} is of another registry, {of}; choose another model_name")
        self._update(f"registered_models/{model['id']}", model, served)
        known = {version["name"]: version for version in self._versions(model["id"])}
        there = registry.inventory(name)
        for version in there:
            if isinstance(version, Version):
                self._register_version(model["id"], known.get(str(version.number)), version, served["registry"])
        for number in known.keys() - {str(version.number) for version in there}:
            if _said(known[number]).get("registry") == served["registry"] and known[number].get("state") != "ARCHIVED":
                self._send("PATCH", f"model_versions/{known[number]['id']}", {"state": "ARCHIVED"})

    def _register_version(self, model_id: str, known: dict | None, version: Version, registry: str) -> None:
        try:
            said = _facts(version) | {"registry": registry}
        except ODD_JSON:
            what = f"version {version.number} of {version.name}"
            tell(f"warning: {what} does not say of itself what an export does: not told to Kubeflow Hub")
            return
        if known is None:
            created = {"registeredModelId": model_id, "name": str(version.number), "state": "LIVE",
                       "customProperties": _properties(said)}  # fmt: skip
            where = {"name": str(version.number), "parentResourceId": model_id}
            known = self._obtain("model_version", where, "model_versions", created)
        if _said(known).get("registry") != registry:
            what = f"version {version.number} of {version.name}"
            tell(f"warning: {what} in Kubeflow Hub is not from {registry}: left alone")
            return
        self._update(f"model_versions/{known['id']}", known, said)
        self._register_artifact(known["id"], version)

    def _register_artifact(self, version_id: str, version: Version) -> None:
        """Where the SavedModel lies, which the first promotion moves: to say so again updates what is there."""
        artifact = {
            "artifactType": "model-artifact",
            "name": f"{version.name}-{version.number}",
            "uri": version.uri,
            "modelFormatName": "tensorflow",  # KServe's word for a SavedModel
            "modelFormatVersion": "2",
            "state": "LIVE",
        }
        path = f"model_versions/{version_id}/artifacts"
        for _ in range(2):
            listed = self._send("GET", path, query={"pageSize": "100"})["items"]
            found = next((each for each in listed if each.get("name") == artifact["name"]), None)
            if found and found.get("uri") == version.uri:
                return
            if self._send("POST", path, artifact | ({"id": found["id"]} if found else {}), missing=409):
                return

    def _update(self, path: str, found: dict, said: dict[str, Any]) -> None:
        """Sets what differs. All properties are sent, people's labels among them: the Hub replaces the set."""
        ours, there = _properties(said), found.get("customProperties") or {}
        if any(there.get(name) != value for name, value in ours.items()):
            self._send("PATCH", path, {"customProperties": there | ours})

    def _obtain(self, one: str, where: dict[str, str], all_of_them: str, created: dict[str, Any]) -> dict:
        """What the Hub has by that name, made if need be; somebody else may be making it too."""
        for _ in range(2):
            if found := self._send("GET", one, query=where, missing=404):
                return found
            if made := self._send("POST", all_of_them, created, missing=409):
                return made
        raise HubError(f"{one} {where['name']} is there and can't be found")

    def _versions(self, model_id: str) -> Iterator[dict]:
        query = {"pageSize": "100"}
        while True:
            page = self._send("GET", f"registered_models/{model_id}/versions", query=query)
            yield from page["items"]
            if not page.get("nextPageToken"):
                return
            query = query | {"nextPageToken": page["nextPageToken"]}

    def _find_api(self) -> str:
        """The newest API of this Hub that we know."""
        for api in APIS:
            self.api = f"{self.url}/api/model_registry/{api}"
            found = self._send("GET", "registered_models", query={"pageSize": "1"}, missing=404)
            if found is not None:
                return self.api
        raise HubError(f"what answers at {self.url} is no Model Registry")

    def _send(
        self, method: str, path: str, body: Any = None, query: dict[str, str] | None = None, missing: int = 0
    ) -> Any:
        """The answer; None if its status is `missing`."""
        try:
            # A redirect leads to a login page.
            answer = self.session.request(
                method, f"{self.api}/{path}", json=body, params=query, timeout=TIMEOUT_S, allow_redirects=False
            )
            if answer.status_code == missing:
                return None
            said = answer.json()
        except requests.JSONDecodeError:
            raise HubError(f"what answers at {self.url} is no Model Registry (HTTP {answer.status_code})") from None
        except requests.RequestException as error:
            raise HubError(f"no answer at {self.url}: {type(error).__name__}") from None
        if not (answer.ok and isinstance(said, dict)):
            why = said.get("message", "") if isinstance(said, dict) else ""
            raise HubError(f"{method} {path}: HTTP {answer.status_code} {one_line(why, 200)}".strip())
        return said


def _facts(version: Version) -> dict[str, Any]:
    """What is told of a version: figures, where it comes from, its formats, why the gate let it through, its role."""
    facts, metrics = version.facts, version.facts.get("metrics") or {}
    told = {name: facts[name] for name in FACTS if facts.get(name) not in (None, "")}
    told |= {name: metrics[name] for name in METRICS if name in metrics}
    if reasons := (facts.get("decision") or {}).get("reasons"):
        told["gate"] = "; ".join(reason["said"] for reason in reasons)
    told["formats"] = ",".join(facts.get("formats") or ["saved_model"])
    return told | {"champion": version.champion, "served": version.served, "uri": version.uri}


def _properties(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: _property(value) for name, value in said.items()}


def _property(value: Any) -> dict[str, Any]:
    """As the Hub writes a value: with its type; whole numbers of up to nine digits, as text."""
    if isinstance(value, bool):
        return {"bool_value": value, "metadataType": "MetadataBoolValue"}
    if isinstance(value, int) and abs(value) < 10**9:
        return {"int_value": str(value), "metadataType": "MetadataIntValue"}
    if isinstance(value, int | float) and math.isfinite(value):
        return {"double_value": float(value), "metadataType": "MetadataDoubleValue"}
    text = value if isinstance(value, str) else json.dumps(value)
    return {"string_value": text, "metadataType": "MetadataStringValue"}


def _said(resource: dict) -> dict[str, Any]:
    """The text among a resource's properties."""
    properties = resource.get("customProperties") or {}
    return {name: value["string_value"] for name, value in properties.items() if "string_value" in value}
