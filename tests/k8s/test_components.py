"""What an overlay may take in: each component holds the policies, and opens what it says and no more."""

import os
import pathlib

import pytest
import yaml

from tests.k8s.manifests import K8S, find, render
from tests.k8s.policies import violations
from tests.k8s.references import dangling


@pytest.fixture
def with_component(tmp_path, kustomize_at_hand):
    """Renders the base with a component, as an overlay would take it in."""

    def made(name: str) -> list[dict]:
        def seen(path: str) -> str:
            return os.path.relpath(K8S / path, tmp_path)

        overlay = {"namespace": "kubeflow", "resources": [seen("base")], "components": [seen(f"components/{name}")]}
        pathlib.Path(tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        return render(tmp_path)

    return made


@pytest.mark.parametrize("name", ["hub", "mlflow"])  # multi-node is in overlays/gke
def test_a_component_breaks_no_policy_and_names_what_is_there(with_component, name):
    objects = with_component(name)
    assert violations(objects) == []
    assert dangling(objects) == []


@pytest.mark.parametrize(("name", "ports"), [("hub", {8080}), ("mlflow", {5000, 8080, 8443})])
def test_a_runs_pods_reach_one_more_server_and_nothing_reaches_them(with_component, name, ports):
    policy = find(with_component(name), "NetworkPolicy", f"conv2d-{name}")["spec"]
    assert policy["policyTypes"] == ["Egress"]
    assert policy["podSelector"]["matchExpressions"][0]["key"] == "workflows.argoproj.io/workflow"
    [rule] = policy["egress"]
    assert {port["port"] for port in rule["ports"]} == ports
    assert all("ipBlock" not in peer for peer in rule["to"])
