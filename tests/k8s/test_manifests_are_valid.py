"""Everything renders, and Kubernetes would take it: checked strictly, by the schemas of its three newest minors."""

import copy
import json

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from tests.k8s.manifests import find, kustomizations, name_of, pods, predictor_pod

MINORS = sorted(
    {utils.major_minor(version) for version in utils.all_versions()}, key=lambda minor: int(minor.split(".")[1])
)[-3:]
CUSTOM = {"InferenceService", "TrainingRuntime"}


def test_the_overlays_are_all_there():
    assert {
        "base",
        "overlays/local",
        "overlays/gke",
        "overlays/eks",
        "overlays/serving",
        "overlays/serving/kserve",
        "overlays/serving/kserve-v2",
    } <= set(kustomizations())


@pytest.fixture(scope="module")
def different(rendered):
    """Each object once, however many overlays hold it."""
    return list(
        {json.dumps(thing, sort_keys=True): thing for objects in rendered.values() for thing in objects}.values()
    )


@pytest.mark.parametrize("minor", MINORS)
def test_every_object_fits_the_schema(different, minor):
    for thing in different:
        if thing["kind"] not in CUSTOM:
            assert kubernetes_validate.validate(thing, minor, strict=True) == minor, name_of(thing)


@pytest.mark.parametrize("minor", MINORS)
def test_pods_inside_custom_resources_fit_the_schema(different, minor):
    inside = [pod for pod in pods(different) if pod.kind in CUSTOM]
    assert {pod.kind for pod in inside} == CUSTOM
    for pod in inside:
        validate_pod(pod.spec, minor)


def validate_pod(spec: dict, minor: str) -> None:
    kubernetes_validate.validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}, minor, strict=True
    )


@pytest.fixture(scope="module")
def trainer():
    """The models that Kubeflow Trainer publishes on PyPI."""
    pytest.importorskip("kubeflow_trainer_api", reason="kubeflow-trainer-api is not installed")
    from kubeflow_trainer_api import models

    return models


@pytest.mark.parametrize("path", ["overlays/gke", "overlays/eks"])
def test_the_training_runtime_is_one_to_trainer(rendered, trainer, path):
    """Its models drop what they don't know: so nothing may be missing."""
    runtime = find(rendered[path], "TrainingRuntime")
    assert lost(runtime, trainer.TrainerV1alpha1TrainingRuntime.from_dict(runtime).to_dict()) == []


def test_a_field_unknown_to_trainer_is_found(rendered, trainer):
    runtime = copy.deepcopy(find(rendered["overlays/gke"], "TrainingRuntime"))
    runtime["spec"]["mlPolicy"]["nodes"] = 2
    assert lost(runtime, trainer.TrainerV1alpha1TrainingRuntime.from_dict(runtime).to_dict()) == [
        ".spec.mlPolicy.nodes"
    ]


def lost(given, kept, path: str = "") -> list[str]:
    """The places in `given` that are not in `kept`."""
    if isinstance(given, dict):
        return [
            place
            for key, value in given.items()
            for place in (lost(value, kept[key], f"{path}.{key}") if key in kept else [f"{path}.{key}"])
        ]
    if isinstance(given, list):
        return [place for i, value in enumerate(given) for place in lost(value, kept[i], f"{path}[{i}]")]
    return []


@pytest.mark.parametrize(
    ("overlay", "served"),
    [
        ("kserve", ("tensorflow", "kserve-tensorflow-serving", "v1")),
        ("kserve-v2", ("onnx", "kserve-tritonserver", "v2")),
    ],
)
def test_the_inference_service_says_what_kserve_needs(rendered, overlay, served):
    """No schema of KServe's is on a registry: its pod is checked above, its own fields here, by its reference."""
    service = find(rendered[f"overlays/serving/{overlay}"], "InferenceService")
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    model, [fetched] = service["spec"]["predictor"]["model"], service["spec"]["predictor"]["storageUris"]
    assert fetched["uri"].startswith(("gs://", "s3://")) and fetched["mountPath"] == "/mnt/models"
    assert (model["modelFormat"]["name"], model["runtime"], model["protocolVersion"]) == served


def test_kserve_runs_the_tensorflow_serving_that_runs_without_it(rendered):
    """KServe 0.20's own default is 2.6.2, which is years older than what writes our models."""
    model = find(rendered["overlays/serving/kserve"], "InferenceService")["spec"]["predictor"]["model"]
    served = find(rendered["overlays/serving"], "Deployment")["spec"]["template"]["spec"]["containers"]
    image = next(container["image"] for container in served if "tensorflow/serving" in container["image"])
    assert model["runtimeVersion"] == image.rpartition(":")[2]


def test_a_field_unknown_to_kserve_is_found(rendered):
    service = copy.deepcopy(find(rendered["overlays/serving/kserve"], "InferenceService"))
    service["spec"]["predictor"]["model"]["storageURL"] = "gs://bucket"
    with pytest.raises(kubernetes_validate.ValidationError):
        validate_pod(predictor_pod(service)["spec"], MINORS[-1])
