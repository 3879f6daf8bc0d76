"""Renders the manifests of k8s/ and looks into them."""

import dataclasses
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator

import yaml

from pipeline import ROOT

K8S = ROOT / "k8s"
# What InferenceService adds to a pod's and to a container's own fields, as far as our manifests use it. From KServe's
# reference of serving.kserve.io/v1beta1: PredictorSpec (PodSpec and ComponentExtensionSpec inline), ModelSpec.
KSERVE_PREDICTOR = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "model", "storageUris"}
KSERVE_MODEL = {"modelFormat", "runtime", "runtimeVersion", "protocolVersion"}
OLDEST_KUSTOMIZE = 5


@dataclasses.dataclass(frozen=True)
class Pod:
    """A pod that an object makes: what the policies are about.

    Attributes:
        owner: "Kind/name" of the object.
        kind: the object's kind.
        containers: with the init containers.
    """

    owner: str
    kind: str
    namespace: str
    labels: dict
    spec: dict
    containers: list[dict]


def kustomizations() -> list[str]:
    """Everything that can be applied, by its path in k8s/: overlays, and what they are made of. Components can't."""
    paths = sorted(K8S.rglob("kustomization.yaml"))
    return [
        str(path.parent.relative_to(K8S)) for path in paths if yaml.safe_load(path.read_text())["kind"] != "Component"
    ]


@functools.cache
def kustomize() -> list[str] | None:
    """The command that renders a directory; None where there is none recent enough."""
    if shutil.which("kustomize"):
        said = subprocess.run(["kustomize", "version"], capture_output=True, text=True).stdout
        if _major(said) >= OLDEST_KUSTOMIZE:
            return ["kustomize", "build"]
    if shutil.which("kubectl"):
        version = ["kubectl", "version", "--client", "--output=json"]
        said = subprocess.run(version, capture_output=True, text=True).stdout
        if said.startswith("{") and _major(json.loads(said).get("kustomizeVersion", "")) >= OLDEST_KUSTOMIZE:
            return ["kubectl", "kustomize"]
    return None


def _major(version: str) -> int:
    found = re.search(r"v?(\d+)\.\d+\.\d+", version)
    return int(found[1]) if found else 0


def render(directory: pathlib.Path) -> list[dict]:
    """The objects that `kubectl apply --kustomize` would send.

    Raises:
        AssertionError: it can't be rendered; with kustomize's own words.
    """
    without_cluster = os.environ | {"KUBECONFIG": os.devnull}
    done = subprocess.run([*kustomize(), str(directory)], capture_output=True, text=True, env=without_cluster)
    assert done.returncode == 0, f"{directory} does not render: {done.stderr.strip()}"
    assert "deprecated" not in done.stderr, done.stderr
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]


def name_of(thing: dict) -> str:
    return f"{thing['kind']}/{thing['metadata']['name']}"


def find(objects: list[dict], kind: str, name: str | None = None) -> dict:
    """The one object of that kind (and name)."""
    found = [thing for thing in objects if thing["kind"] == kind and name in (None, thing["metadata"]["name"])]
    assert len(found) == 1, f"expected one {kind} {name or ''}, found {[name_of(thing) for thing in found]}"
    return found[0]


def matches(selector: dict, labels: dict) -> bool:
    """Whether a label selector chooses something that carries these labels."""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for expression in selector.get("matchExpressions", []):
        has = labels.get(expression["key"])
        operator, values = expression["operator"], expression.get("values", [])
        if not {
            "In": has in values,
            "NotIn": has not in values,
            "Exists": has is not None,
            "DoesNotExist": has is None,
        }[operator]:
            return False
    return True


def pod(objects: list[dict], name: str = "tensorboard") -> dict:
    """The pod of a deployment."""
    return find(objects, "Deployment", name)["spec"]["template"]["spec"]


def container(objects: list[dict]) -> dict:
    """TensorBoard's container."""
    return pod(objects)["containers"][0]


def pods(objects: list[dict]) -> Iterator[Pod]:
    """Each pod that the objects make, whatever they are wrapped in."""
    for thing in objects:
        for template in _templates(thing):
            spec = template["spec"]
            yield Pod(
                owner=name_of(thing),
                kind=thing["kind"],
                namespace=thing["metadata"].get("namespace", ""),
                labels=template.get("metadata", {}).get("labels", {}),
                spec=spec,
                containers=spec.get("initContainers", []) + spec["containers"],
            )


def _templates(thing: dict) -> list[dict]:
    if thing["kind"] == "Deployment":
        return [thing["spec"]["template"]]
    if thing["kind"] == "TrainingRuntime":
        jobs = thing["spec"]["template"]["spec"]["replicatedJobs"]
        return [job["template"]["spec"]["template"] for job in jobs]
    if thing["kind"] == "InferenceService":
        return [predictor_pod(thing)]
    assert "template" not in thing.get("spec", {}), f"{name_of(thing)} makes pods that the policies don't look into"
    return []


def predictor_pod(service: dict) -> dict:
    """The pod that KServe makes of an InferenceService, as far as the service says; the runtime brings the image."""
    predictor = service["spec"]["predictor"]
    server = {key: value for key, value in predictor["model"].items() if key not in KSERVE_MODEL}
    spec = {key: value for key, value in predictor.items() if key not in KSERVE_PREDICTOR}
    return {"spec": spec | {"containers": [{"name": "kserve-container"} | server]}}
