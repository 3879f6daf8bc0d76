"""The sums: do Kubeflow's pods and several runs at once pass the LimitRange and fit the ResourceQuota?

The resources of Kubeflow's containers are those of Kubeflow Pipelines' manifests (manifests/kustomize: base/pipeline,
third-party/mysql, third-party/seaweedfs, third-party/argo) and of its compiler (argocompiler: driverResources,
launcherResources), as of release 2.17. What Kubernetes does with them is the documented LimitRanger and quota.
"""

import copy

import pytest

from tests.k8s.manifests import find
from tests.k8s.policies import quantity

NOTHING: dict = {}
MYSQL = {"requests": {"cpu": "100m", "memory": "800Mi"}}
API_SERVER = {"requests": {"cpu": "250m", "memory": "500Mi"}}
SEAWEEDFS = {"requests": {"cpu": "32m", "memory": "128Mi"}}
DRIVER = {"requests": {"cpu": "0.1", "memory": "64Mi"}, "limits": {"cpu": "0.5", "memory": "0.5Gi"}}
LAUNCHER = {"requests": {"cpu": "0.1"}, "limits": {"cpu": "0.5", "memory": "128Mi"}}
ARGO = {"requests": {"cpu": "0.01", "memory": "32Mi"}, "limits": {"cpu": "0.5", "memory": "512Mi"}}
# A standalone Kubeflow Pipelines has some fifteen servers; the others ask for less than these, or for nothing.
SERVERS = [[MYSQL], [API_SERVER], [SEAWEEDFS], *([NOTHING] for _ in range(12))]
# Our largest step, with a GPU. In its pod: Kubeflow's launcher (before it), Argo's two containers.
TRAIN = {"requests": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}, "limits": {"memory": "16Gi"}}
STEP = [TRAIN, LAUNCHER, ARGO, ARGO]
RUNS = 8


class RefusedError(Exception):
    """The pod is not admitted."""


def admitted(container: dict, limit_range: dict) -> dict:
    """What a container's resources become: limits stand in for missing requests, then the LimitRange's defaults."""
    defaults = limit_range["spec"]["limits"][0]
    limits = defaults.get("default", {}) | container.get("limits", {})
    requests = defaults["defaultRequest"] | container.get("limits", {}) | container.get("requests", {})
    for resource, amount in requests.items():
        if resource in limits and quantity(amount) > quantity(limits[resource]):
            raise RefusedError(f"requests {amount} {resource} above its limit of {limits[resource]}")
    return {"requests": requests, "limits": limits}


def fits(pods: list[list[dict]], quota: dict, limit_range: dict) -> dict[str, float]:
    """What they use of the quota, all at once; RefusedError where it doesn't take them.

    Init containers are counted as if they ran beside the others, which asks for more than they do.
    """
    hard = quota["spec"]["hard"]
    used = {"pods": float(len(pods))}
    for container in (container for pod in pods for container in pod):
        requests = admitted(container, limit_range)["requests"]
        for resource in (name.removeprefix("requests.") for name in hard if name.startswith("requests.")):
            if resource in ("cpu", "memory") and resource not in requests:
                raise RefusedError(f"must specify requests.{resource}")
            used[f"requests.{resource}"] = used.get(f"requests.{resource}", 0) + quantity(requests.get(resource, 0))
    for resource, amount in used.items():
        if amount > quantity(hard[resource]):
            raise RefusedError(f"exceeded quota: {resource} {amount} of {hard[resource]}")
    return used


@pytest.fixture
def limits(rendered):
    return copy.deepcopy(find(rendered["base"], "LimitRange"))


@pytest.fixture
def quota(rendered):
    return copy.deepcopy(find(rendered["base"], "ResourceQuota"))


def test_kubeflow_tensorboard_and_eight_gpu_runs_fit(rendered, limits, quota):
    tensorboard = find(rendered["base"], "Deployment")["spec"]["template"]["spec"]["containers"]
    # Of a run there is, at its worst moment: its own driver, a step, and the next step's driver.
    run = [[DRIVER, ARGO, ARGO], STEP, [DRIVER, ARGO, ARGO]]
    used = fits([*SERVERS, [container["resources"] for container in tensorboard], *(run * RUNS)], quota, limits)
    assert used["requests.nvidia.com/gpu"] == RUNS


def test_a_container_without_resources_gets_some(limits):
    assert admitted(NOTHING, limits) == {
        "requests": {"cpu": "10m", "memory": "128Mi", "ephemeral-storage": "256Mi"},
        "limits": {},
    }


def test_what_else_lives_in_the_namespace_is_given_no_limit(limits):
    """A notebook that asks for 8Gi was refused, another team's step killed as it took more than 4Gi."""
    assert admitted({"requests": {"cpu": "2", "memory": "8Gi"}}, limits)["limits"] == {}


def test_there_is_no_gpu_to_ask_for_on_a_laptop(rendered, limits):
    with pytest.raises(RefusedError, match="nvidia.com/gpu"):
        fits([STEP], find(rendered["overlays/local"], "ResourceQuota"), limits)
