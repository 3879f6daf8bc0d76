"""What an overlay may take in: each component holds the policies, and opens what it says and no more."""

import os
import pathlib
import re

import pytest
import yaml

from pipeline import ROOT
from pipeline.placement import SITE, SITE_FOLDER, SITE_VARIABLES
from tests.k8s.manifests import K8S, find, name_of, pods, render
from tests.k8s.policies import violations
from tests.k8s.references import dangling


@pytest.fixture
def with_component(tmp_path, kustomize_at_hand):
    """Renders the base, or an overlay, with a component, as an overlay of one's own would take it in."""

    def made(name: str, beside: str = "base", **more) -> list[dict]:
        def seen(path: str) -> str:
            return os.path.relpath(K8S / path, tmp_path)

        overlay = {"resources": [seen(beside)], "components": [seen(f"components/{name}")]}
        overlay |= {"namespace": "kubeflow"} if beside == "base" else {}
        overlay |= more
        pathlib.Path(tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        return render(tmp_path)

    return made


@pytest.mark.parametrize("name", ["hub", "mlflow"])  # multi-node is in overlays/gke
def test_a_component_breaks_no_policy_and_names_what_is_there(with_component, name):
    objects = with_component(name)
    assert violations(objects) == []
    assert dangling(objects) == []


def test_a_companys_own_network_is_told_to_each_pod_that_speaks_to_it(with_component, rendered):
    """The example of the component's own comment; the steps of runs have the same names (test_placement.py). Without a
    namespace of its own it went where kubectl happened to be, and the pods were given nothing of it."""
    comment = (K8S / "components/site/kustomization.yaml").read_text().partition("# The keys")[0]
    example = yaml.safe_load("\n".join(line[6:] for line in comment.splitlines() if line.startswith("#     ")))
    [generator] = example["configMapGenerator"]
    variables = dict(entry.split("=", 1) for entry in generator["literals"])
    assert set(variables) < set(SITE_VARIABLES)
    assert {value for name, value in variables.items() if name.endswith("_BUNDLE")} == {f"{SITE_FOLDER}/ca.crt"}
    del generator["files"]
    objects = with_component("site", namespace=example.get("namespace"), configMapGenerator=[generator])
    assert {name_of(thing) for thing in objects if "namespace" not in thing["metadata"]} == {"Namespace/kubeflow"}
    assert violations(objects) == []
    assert dangling(objects) == []
    assert find(objects, "ConfigMap", SITE)["data"] == variables
    nodes = [pod for pod in pods(rendered["overlays/gke"]) if pod.kind == "TrainingRuntime"]
    for pod in (*pods(objects), *nodes):
        [container] = pod.containers
        kinds = [kind for one in container["envFrom"] for kind, named in one.items() if named["name"] == SITE]
        assert kinds == ["configMapRef", "secretRef"], pod.owner
        [volume] = [one["name"] for one in pod.spec["volumes"] if one.get("configMap", {}).get("name") == SITE]
        assert {"name": volume, "mountPath": SITE_FOLDER} in container["volumeMounts"]
    opened = {policy["metadata"]["name"]: policy["spec"] for policy in objects if policy["kind"] == "NetworkPolicy"}
    for name in ("conv2d-site", "conv2d-site-runs"):
        assert [port["port"] for port in opened[name]["egress"][0]["ports"]] == [9000, 3128]


def test_no_autoscaler_tidies_the_nodes_of_a_training_away(rendered):
    """One that is moved to save a machine costs all of them what was done since the last checkpoint."""
    [replicated] = find(rendered["overlays/eks"], "TrainingRuntime")["spec"]["template"]["spec"]["replicatedJobs"]
    assert replicated["template"]["spec"]["template"]["metadata"]["annotations"] == {
        "karpenter.sh/do-not-disrupt": "true",
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    }


@pytest.mark.parametrize("beside", ["base", *(f"overlays/serving{way}" for way in ("", "/kserve", "/kserve-v2"))])
def test_on_openshift_no_pod_names_a_user_or_a_group(with_component, beside):
    """Its `restricted-v2` gives each namespace a range of them, and admits no pod that names one outside of it."""
    for pod in pods(with_component("openshift", beside)):
        for scope in (pod.spec, *pod.containers):
            assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(scope["securityContext"]), pod.owner
        assert pod.spec["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize("dockerfile", ["docker/Dockerfile", "docker/tensorboard/Dockerfile"])
def test_our_images_name_their_user_by_number(dockerfile):
    """What `runAsNonRoot` needs of a pod that names none: Kubernetes can't tell whether a name is root's."""
    users = re.findall(r"^USER (.*)$", (ROOT / dockerfile).read_text(), re.MULTILINE)
    assert users == ["10001:10001"]


@pytest.mark.parametrize(("name", "ports"), [("hub", {8080}), ("mlflow", {5000, 8080, 8443})])
def test_a_runs_pods_reach_one_more_server_and_nothing_reaches_them(with_component, name, ports):
    policy = find(with_component(name), "NetworkPolicy", f"conv2d-{name}")["spec"]
    assert policy["policyTypes"] == ["Egress"]
    assert policy["podSelector"]["matchExpressions"][0]["key"] == "workflows.argoproj.io/workflow"
    [rule] = policy["egress"]
    assert {port["port"] for port in rule["ports"]} == ports
    assert all("ipBlock" not in peer for peer in rule["to"])


def test_prometheus_finds_the_metrics_of_the_served_model(with_component):
    """By annotations, or by the operator's own kind: the port and path that the server has."""
    objects = with_component("serving-alerts", beside="overlays/serving")
    assert violations(objects) == []
    assert dangling(objects) == []
    template = find(objects, "Deployment", "tensorflow-serving")["spec"]["template"]
    [server] = template["spec"]["containers"]
    config = find(objects, "ConfigMap", "tensorflow-serving")["data"]["monitoring.config"]
    path = re.search(r'path: "(\S+)"', config)[1]
    assert "enable: true" in config and "--monitoring_config_file=/config/monitoring.config" in server["args"]
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    said = template["metadata"]["annotations"]
    assert said == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(ports["http"]),
        "prometheus.io/path": path,
    }
    monitor = find(objects, "PodMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("http", path)
    assert monitor["metadata"]["namespace"] == "conv2d-serving"


def test_alerts_are_about_what_the_server_counts_and_say_what_to_do(with_component):
    objects = with_component("serving-alerts", beside="overlays/serving")
    monitor, rule = find(objects, "PodMonitor"), find(objects, "PrometheusRule")
    [group] = rule["spec"]["groups"]
    # What TensorFlow Serving exports (tensorflow_serving/servables/tensorflow/util.cc), and Prometheus itself.
    exported = {":tensorflow:serving:request_count", ":tensorflow:serving:request_latency_bucket", "up"}
    job = f"{monitor['metadata']['namespace']}/{monitor['metadata']['name']}"
    for alert in group["rules"]:
        named = set(re.findall(r"([a-z_:]+)\{", alert["expr"]))
        assert named and named <= exported, alert
        assert f'job="{job}"' in alert["expr"] or 'namespace="conv2d-serving"' in alert["expr"]
        assert alert["for"] and alert["labels"]["severity"] in ("warning", "critical")
        assert alert["annotations"]["summary"] and alert["annotations"]["description"]
    assert {alert["alert"] for alert in group["rules"]} == {"ModelIsNotServed", "ModelFailsRequests", "ModelIsSlow"}


def test_no_overlay_needs_a_kind_that_a_plain_cluster_lacks(rendered):
    kinds = {thing["kind"] for objects in rendered.values() for thing in objects}
    assert not kinds & {"PodMonitor", "PrometheusRule", "ServiceMonitor"}
