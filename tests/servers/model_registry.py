"""A small server that speaks those calls of Kubeflow Hub's Model Registry that are used, as strict as its OpenAPI.

The fields are those of model_registry 0.3.18 and of the server's api/openapi/model-registry.yaml: an unknown one is
refused, a required one demanded, names are unique within their parent, and a PATCH replaces what it holds.
"""

import itertools
import re
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from tests.servers.http_api import Api

Identity = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$")]
Name = Annotated[str, Field(min_length=1)]


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class BoolValue(Strict):
    bool_value: bool
    metadataType: Literal["MetadataBoolValue"]  # noqa: N815


class IntValue(Strict):
    int_value: Annotated[str, Field(pattern=r"^-?([1-9][0-9]{0,8}|0)$")]
    metadataType: Literal["MetadataIntValue"]  # noqa: N815


class DoubleValue(Strict):
    double_value: float
    metadataType: Literal["MetadataDoubleValue"]  # noqa: N815


class StringValue(Strict):
    string_value: str
    metadataType: Literal["MetadataStringValue"]  # noqa: N815


class Described(Strict):
    customProperties: dict[str, BoolValue | IntValue | DoubleValue | StringValue] = {}  # noqa: N815
    description: str = ""
    state: Literal["LIVE", "ARCHIVED"] = "LIVE"


class ModelCreate(Described):
    name: Name


class VersionCreate(Described):
    name: Name
    registeredModelId: Identity  # noqa: N815


class Artifact(Described):
    id: Identity | None = None
    name: str
    artifactType: Literal["model-artifact"]  # noqa: N815
    uri: str
    modelFormatName: str = ""  # noqa: N815
    modelFormatVersion: str = ""  # noqa: N815


CREATED = {"registered_models": ModelCreate, "model_versions": VersionCreate}


class ModelRegistry(Api):
    """Models, versions and artifacts in memory.

    Attributes:
        api: the one that it serves, v1 or v1alpha3.
    """

    def __init__(self, api: str = "v1"):
        super().__init__()
        self.api = api
        self.kept: dict[str, dict[str, dict]] = {"registered_models": {}, "model_versions": {}, "artifacts": {}}
        self.ids = itertools.count(1)

    def properties(self, version: str) -> dict[str, Any]:
        """The values of a version's properties, of whichever type."""
        [found] = [each for each in self.kept["model_versions"].values() if each["name"] == version]
        return {name: next(iter(value.values())) for name, value in found["customProperties"].items()}

    def handle(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> tuple[int, Any]:
        prefix = f"/api/model_registry/{self.api}/"
        if not path.startswith(prefix):
            return 404, "404 page not found"
        try:
            return self._answer(method, path.removeprefix(prefix).split("/"), query, body)
        except pydantic.ValidationError as error:
            return refusal(400, str(error.errors()[0]))

    def _answer(self, method: str, path: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        match method, path:
            case "GET", ["registered_model"]:
                return self._find("registered_models", name=query["name"])
            case "GET", ["model_version"]:
                where = {"name": query["name"], "registeredModelId": query["parentResourceId"]}
                return self._find("model_versions", **where)
            case "POST", [("registered_models" | "model_versions") as kind]:
                return self._create(kind, CREATED[kind].model_validate(body).model_dump())
            case "GET", ["registered_models"]:
                return self._page(list(self.kept["registered_models"].values()), query)
            case "GET", ["registered_models", identity, "versions"]:
                known = self.kept["model_versions"].values()
                return self._page([each for each in known if each["registeredModelId"] == identity], query)
            case "PATCH", [("registered_models" | "model_versions") as kind, identity]:
                changed = Described.model_validate(body).model_dump(exclude_unset=True)
                self.kept[kind][identity] |= changed
                return 200, self.kept[kind][identity]
            case "GET", ["model_versions", identity, "artifacts"]:
                known = self.kept["artifacts"].values()
                return self._page([each for each in known if each["modelVersionId"] == identity], query)
            case "POST", ["model_versions", identity, "artifacts"]:
                artifact = Artifact.model_validate(body).model_dump() | {"modelVersionId": identity}
                if artifact["id"] is None:
                    return self._create("artifacts", artifact)
                self.kept["artifacts"][artifact["id"]] = artifact
                return 200, artifact
        return refusal(405, f"{method} {'/'.join(path)}")

    def _find(self, kind: str, **where: str) -> tuple[int, Any]:
        for each in self.kept[kind].values():
            if all(each[name] == value for name, value in where.items()):
                return 200, each
        return refusal(404, f"no {kind} found for {where}")

    def _create(self, kind: str, created: dict) -> tuple[int, Any]:
        parents = ("name", "registeredModelId", "modelVersionId")
        for each in self.kept[kind].values():
            if all(each.get(name) == created.get(name) for name in parents):
                return refusal(409, f"{kind} {created['name']} already exists")
        made = created | {"id": str(next(self.ids)), "createTimeSinceEpoch": "1764183600000"}
        self.kept[kind][made["id"]] = made
        return 201, made

    def _page(self, found: list[dict], query: dict[str, str]) -> tuple[int, Any]:
        assert re.fullmatch(r"\d+", query["pageSize"])
        at = int(query.get("nextPageToken") or 0)  # two a page, so that paging is used
        token = str(at + 2) if at + 2 < len(found) else ""
        return 200, {
            "items": found[at : at + 2],
            "nextPageToken": token,
            "pageSize": 2,
            "size": len(found[at : at + 2]),
        }


def refusal(status: int, message: str) -> tuple[int, Any]:
    """As the Hub refuses."""
    return status, {"code": str(status), "message": message}
