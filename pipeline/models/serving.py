"""Which version of a model the cluster's servers serve: the champion, or one by number, written into the overlays."""

import pathlib
import re
from typing import TYPE_CHECKING, NamedTuple

import yaml

from components.core.artifacts.served_model import EXTRAS
from components.core.errors import PipelineError
from components.core.files import whole_file
from pipeline import ROOT

if TYPE_CHECKING:
    from components.core.registry import Registry

OVERLAY = ROOT / "k8s" / "overlays" / "serving"
POLICY = re.compile(r"(?<=model_version_policy \{ ).*(?= \}$)", re.MULTILINE)
NEWEST = "latest { num_versions: 1 }"
# Where KServe's servers look for what its first container fetched.
MODELS = "/mnt/models"
ONNX = f"{EXTRAS}/onnx"


class PinnedVersion(NamedTuple):
    """The version that is served from now on, from where, and whether it has an ONNX model, which kserve-v2 serves."""

    number: int
    uri: str
    onnx: bool


def pin(registry: "Registry", name: str, version: int | None) -> PinnedVersion:
    """Has the servers of all overlays serve one version, by default the champion, once an overlay is applied.

    The version's number is in what KServe fetches too, so that its pods are made anew for another one: a rollback is
    followed. A version without ONNX leaves kserve-v2 as it was.

    Raises:
        PipelineError: no such version, one that servers don't see, or the overlay serves another model.
    """
    shown = registry.show(name, version)
    if not shown.served:
        raise PipelineError(
            f"expected a version that is, or was, champion, since servers see no other, received {name} "
            f"{shown.number}; make it the champion first: make models ARGS='champion {name} {shown.number}'"
        )
    expected = _served_uri(registry.uri(name))
    _write_policy(f"specific {{ versions: {shown.number} }}")
    # TensorFlow Serving wants a directory of numbers, the other server one of names.
    _write_served("kserve", f"{expected}/{shown.number}", f"{MODELS}/{shown.number}")
    onnx = any(path.startswith(f"{ONNX}/") for path in shown.files)
    if onnx:
        _write_served("kserve-v2", f"{expected}/{shown.number}/{ONNX}", MODELS)
    return PinnedVersion(shown.number, expected, onnx)


def unpin(name: str) -> str:
    """Has TensorFlow Serving, alone or by KServe, serve the newest of the champions again; returns from where.

    Raises:
        PipelineError: the overlay serves another model.
    """
    uri = _served_uri(f"models/{name}")
    _write_policy(NEWEST)
    _write_served("kserve", uri, MODELS)
    return uri


def _served_uri(expected: str) -> str:
    """What the overlay serves, which is `expected` or ends with it."""
    path = OVERLAY / "common" / "kustomization.yaml"
    literals = [each for made in yaml.safe_load(_read(path))["configMapGenerator"] for each in made["literals"]]
    served = next((each.removeprefix("URI=").rstrip("/") for each in literals if each.startswith("URI=")), "no URI=...")
    if served != expected and not served.endswith(f"/{expected}"):
        raise PipelineError(
            f"expected the serving overlay to read {expected}, received {served}; change URI in {_shown(path)}"
        )
    return served


def _write_policy(policy: str) -> None:
    path = OVERLAY / "models.config"
    text, found = POLICY.subn(policy, _read(path))
    if found != 1:
        raise PipelineError(f"expected one line `model_version_policy {{ ... }}` in {_shown(path)}, found {found}")
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _write_served(overlay: str, uri: str, place: str) -> None:
    path = OVERLAY / overlay / "served.yaml"
    _read(path)  # which says if this is no checkout
    uri = uri.replace("minio://", "s3://", 1)  # KServe knows an endpoint of S3 from the service account's secret
    text = f"""# Written by `make models ARGS='serve NAME'`.
- op: add
  path: /spec/predictor/storageUris
  value:
    - uri: {uri}
      mountPath: {place}
"""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PipelineError(f"expected {_shown(path)}, found none; run this from the project's checkout") from None


def _shown(path: pathlib.Path) -> str:
    return str(path.relative_to(pathlib.Path.cwd())) if path.is_relative_to(pathlib.Path.cwd()) else str(path)
