"""Which placements are taken, and which are refused before Kubernetes would."""

import pytest

from components.check.settings import PlacementSettings
from components.core.errors import PipelineError

TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def test_json_text_and_values_are_the_same_setting():
    text = PlacementSettings.checked(tolerations=f"[{str(TOLERATION)}]".replace("'", '"'), node_selector='{"a": "b"}')
    assert text == PlacementSettings.checked(tolerations=[TOLERATION], node_selector={"a": "b"})
    assert PlacementSettings.checked(tolerations=TOLERATION).tolerations == [TOLERATION]
    assert PlacementSettings.checked(train_cpu=4, train_memory="10Gi").train_cpu == "4"


@pytest.mark.parametrize(
    "toleration",
    [
        {"operator": "Exists"},
        {"key": "a", "value": "b", "effect": "NoSchedule"},
        {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
    ],
)
def test_tolerations_that_kubernetes_takes_are_taken(toleration):
    assert PlacementSettings.checked(tolerations=[toleration]).tolerations == [toleration]


@pytest.mark.parametrize(
    "toleration",
    [
        {},
        {"key": "a", "operator": "Is"},
        {"value": "b"},
        {"key": "a", "operator": "Exists", "tolerationSeconds": 60},
        {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": "60"},
        {"key": "a", "operator": "Exists", "toleration_seconds": 60},
        {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": True},
        {"key": 1, "value": "b"},
    ],
)
def test_tolerations_that_kubernetes_refuses_are_refused(toleration):
    with pytest.raises(PipelineError, match="tolerations: "):
        PlacementSettings.checked(tolerations=[toleration])


def test_what_kubernetes_takes_as_text_alone_needs_quotes():
    """`value: true` fails the run on the cluster, when the pod is made."""
    with pytest.raises(PipelineError, match='tolerations: expected text under value, "true" in quotes, not true'):
        PlacementSettings.checked(tolerations='[{"key": "spot", "value": true}]')
    wanted = {"key": "generation", "operator": "In", "values": ["3"]}
    affinity = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]}
    affinity["preferredDuringSchedulingIgnoredDuringExecution"][0]["preference"]["matchExpressions"] = [wanted]
    assert PlacementSettings.checked(node_affinity=affinity).node_affinity == affinity
    wanted["values"] = [3]
    with pytest.raises(PipelineError, match='node_affinity: expected text under values, "3" in quotes, not 3'):
        PlacementSettings.checked(node_affinity=affinity)
