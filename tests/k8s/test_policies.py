"""The policies hold everywhere, and each of them can fail."""

import copy

import pytest

from tests.k8s.manifests import container, find, matches, pod
from tests.k8s.policies import violations


def test_no_overlay_breaks_a_policy(overlay):
    assert violations(overlay) == []


def labels(objects):
    return find(objects, "Deployment", "tensorboard")["spec"]["template"]["metadata"]["labels"]


def rule(objects):
    return find(objects, "Role", "conv2d-runner")["rules"][0]


# By the words that tell it: what is done to good manifests.
BROKEN = {
    "runs as root: securityContext.runAsNonRoot": lambda o: pod(o)["securityContext"].pop("runAsNonRoot"),
    "its user is the image's": lambda o: container(o).update(image="tensorflow/serving:2.19.1"),
    "OpenShift refuses it": lambda o: pod(o)["securityContext"].update(runAsUser=10001),
    "system calls are not filtered": lambda o: pod(o)["securityContext"].pop("seccompProfile"),
    "shares the node's: hostNetwork": lambda o: pod(o).update(hostNetwork=True),
    "shares the node's: hostPID": lambda o: pod(o).update(hostPID=True),
    "has no service account of its own": lambda o: pod(o).pop("serviceAccountName"),
    "carries a token to the API server": lambda o: pod(o).pop("automountServiceAccountToken"),
    "takes the proxy of a profile's mesh": lambda o: labels(o).pop("sidecar.istio.io/inject"),
    "mounts the node's files": lambda o: pod(o)["volumes"].append({"name": "disk", "hostPath": {"path": "/"}}),
    "may fill the node's disk": lambda o: pod(o)["volumes"].append({"name": "scratch", "emptyDir": {}}),
    "root file system is writable": lambda o: container(o)["securityContext"].pop("readOnlyRootFilesystem"),
    "may gain privileges": lambda o: container(o)["securityContext"].pop("allowPrivilegeEscalation"),
    "is privileged": lambda o: container(o)["securityContext"].update(privileged=True),
    "keeps capabilities": lambda o: container(o)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
    "tensorboard: runs as root": lambda o: container(o)["securityContext"].update(runAsUser=0),
    "takes a port of the node": lambda o: container(o)["ports"][0].update(hostPort=6006),
    "requests no cpu": lambda o: container(o)["resources"]["requests"].pop("cpu"),
    "requests no memory": lambda o: container(o)["resources"]["requests"].pop("memory"),
    "has no limit on memory": lambda o: container(o)["resources"].pop("limits"),
    "requests more memory than its limit": lambda o: container(o)["resources"]["requests"].update(memory="3Gi"),
    "tensorboard is whatever is newest": lambda o: container(o).update(image="registry:5000/conv2d-tensorboard"),
    ":latest is whatever is newest": lambda o: container(o).update(image="conv2d-tensorboard:latest"),
    "is no hash of its content": lambda o: container(o).update(image="conv2d-tensorboard:v1"),
    "has an odd digest": lambda o: container(o).update(image="conv2d-tensorboard@sha256:1234"),
    "is a server without a readinessProbe": lambda o: container(o).pop("readinessProbe"),
    "is a server without a livenessProbe": lambda o: container(o).pop("livenessProbe"),
    "container first: keeps capabilities": lambda o: pod(o).update(initContainers=[{"name": "first", "image": "a:1"}]),
    "is published: type LoadBalancer": lambda o: find(o, "Service")["spec"].update(type="LoadBalancer"),
    "is a secret in a manifest": lambda o: o.append({"kind": "Secret", "metadata": {"name": "key"}}),
    "does not enforce the restricted": lambda o: find(o, "Namespace")["metadata"].pop("labels"),
    "Kubeflow's to set: app.kubernetes.io/part-of": lambda o: find(o, "Namespace")["metadata"]["labels"].update(
        {"app.kubernetes.io/part-of": "conv2d"}
    ),
    "is removed by GitOps": lambda o: find(o, "Namespace")["metadata"].pop("annotations"),
    "reaches beyond its namespace": lambda o: find(o, "RoleBinding", "conv2d-runner").update(kind="ClusterRoleBinding"),
    "has a wildcard in verbs": lambda o: rule(o).update(verbs=["*"]),
    "has a wildcard in resources": lambda o: rule(o).update(resources=["*"]),
    "may read every secret": lambda o: rule(o).update(resources=["secrets"]),
    "may do more than look at pods": lambda o: rule(o).update(resources=["pods"]),
    "ask the node for its credentials": lambda o: find(o, "NetworkPolicy", "conv2d-tensorboard")["spec"]["egress"][0][
        "to"
    ][0]["ipBlock"].pop("except"),
    "ask the node for its credentials by IPv6": lambda o: find(o, "NetworkPolicy", "conv2d-tensorboard")["spec"][
        "egress"
    ][0]["to"][1]["ipBlock"].pop("except"),
    "ask the node for its credentials, or anybody": lambda o: find(o, "NetworkPolicy", "conv2d-runs")["spec"]["egress"][
        -1
    ].pop("to"),
    "tensorboard: no policy holds its Ingress": lambda o: o.remove(find(o, "NetworkPolicy", "conv2d-deny")),
    "lets every egress through": lambda o: find(o, "NetworkPolicy", "conv2d-deny")["spec"].update(egress=[{}]),
}


@pytest.mark.parametrize("words", BROKEN)
def test_a_broken_manifest_is_told(rendered, words):
    objects = copy.deepcopy(rendered["base"])
    BROKEN[words](objects)
    told = violations(objects)
    assert any(words in line for line in told), told


def test_pods_in_custom_resources_are_held_to_the_policies(rendered):
    objects = copy.deepcopy(rendered["overlays/gke"] + rendered["overlays/serving/kserve"])
    node = find(objects, "TrainingRuntime")["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"][
        "template"
    ]
    node["spec"]["hostNetwork"] = True
    find(objects, "InferenceService")["spec"]["predictor"]["model"].pop("securityContext")
    told = violations(objects)
    assert "TrainingRuntime/conv2d-jax: shares the node's: hostNetwork" in told
    assert "InferenceService/conv2d: container kserve-container: its root file system is writable" in told


# Pods of a profile's namespace that others made: Kubeflow's proxy for artifacts (kubeflow/pipelines,
# pipelines-profile-controller/artifact_proxy_resources.json), by which the UI shows them, and a person's notebook.
THEIRS = ({"app": "ml-pipeline-ui-artifact"}, {"app": "mine", "notebook-name": "mine", "statefulset": "mine"})
OF_A_RUN = {"workflows.argoproj.io/workflow": "training-6vc49", "pipeline/runid": "65a8bdc8"}


def test_the_policies_hold_our_pods_and_those_of_runs_and_nobody_elses(rendered):
    policies = [thing["spec"] for thing in rendered["overlays/gke"] if thing["kind"] == "NetworkPolicy"]
    for labels in THEIRS:
        assert not any(matches(policy["podSelector"], labels) for policy in policies), labels
    [of_runs] = [policy for policy in policies if matches(policy["podSelector"], OF_A_RUN)]
    assert of_runs["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in of_runs


@pytest.mark.parametrize(
    ("name", "policy"), [("base", "conv2d-dns"), ("base", "conv2d-runs"), ("overlays/serving", "fetch-models")]
)
def test_names_are_found_on_every_kind_of_cluster(rendered, name, policy):
    """A policy sees a DNS pod's own port, on OpenShift 5353. NodeLocal DNSCache is no pod to it: it answers at the
    service's address or at one of its own, 169.254.25.10 in kubespray's clusters. GKE's Cloud DNS does at a node's."""
    names = find(rendered[name], "NetworkPolicy", policy)["spec"]["egress"][0]
    ports = {(entry["protocol"], entry["port"]) for entry in names["ports"]}
    assert ports == {(protocol, port) for protocol in ("UDP", "TCP") for port in (53, 5353)}
    assert "to" not in names


# As Kubeflow's own manifests label its servers, and as OpenShift AI's operator does, in the project of the runs
# (opendatahub-io/data-science-pipelines-operator, config/internal/apiserver, ml-metadata and minio).
KUBEFLOWS = (
    {"app": "ml-pipeline", "application-crd-id": "kubeflow-pipelines"},
    {"app": "ds-pipeline-dspa", "component": "data-science-pipelines"},
    {"app": "minio-dspa", "component": "data-science-pipelines"},
)


@pytest.mark.parametrize("policy", ["conv2d-runs", "conv2d-multi-node"])
@pytest.mark.parametrize("labels", KUBEFLOWS, ids=lambda labels: labels["app"])
def test_kubeflows_servers_are_reached_whoever_installed_them(rendered, policy, labels):
    rules = find(rendered["overlays/gke"], "NetworkPolicy", policy)["spec"]["egress"]
    peers = [peer for rule in rules if "ports" not in rule for peer in rule["to"] if "namespaceSelector" not in peer]
    assert any(matches(peer["podSelector"], labels) for peer in peers)


def test_tensorboard_of_a_profiles_namespace_reaches_the_store_in_kubeflows(rendered):
    [rule] = find(rendered["overlays/local"], "NetworkPolicy", "conv2d-tensorboard")["spec"]["egress"]
    [peer] = rule["to"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kubeflow"}


@pytest.mark.parametrize(
    ("cloud", "agents"),
    [("gke", ["169.254.169.254/32", "169.254.169.252/32"]), ("eks", ["169.254.170.23/32", "fd00:ec2::23/128"])],
)
def test_a_pods_own_identity_is_handed_out_by_an_agent_on_its_node(rendered, cloud, agents):
    """Workload Identity, and EKS Pod Identity, which the policies had cut off with all that is link-local."""
    for name in ("conv2d-runs", "conv2d-tensorboard", "conv2d-multi-node"):
        last = find(rendered[f"overlays/{cloud}"], "NetworkPolicy", name)["spec"]["egress"][-1]
        assert [peer["ipBlock"]["cidr"] for peer in last["to"]] == agents
        assert {"protocol": "TCP", "port": 80} in last["ports"]
    serving = find(rendered["overlays/serving"], "NetworkPolicy", "fetch-models")["spec"]["egress"][-1]
    assert set(agents) <= {peer["ipBlock"]["cidr"] for peer in serving["to"]}


def test_a_run_reaches_every_clusters_api_server_and_addresses_of_ipv6(rendered):
    """Cilium takes no block of addresses for a node, where an API server may run: by blocks alone every run failed."""
    *_, api, plain = find(rendered["base"], "NetworkPolicy", "conv2d-runs")["spec"]["egress"]
    assert {entry["port"] for entry in api["ports"]} == {443, 6443, 8443, 16443}  # the last: MicroK8s
    assert "to" not in api
    assert [entry["port"] for entry in plain["ports"]] == [80]
    assert [block["ipBlock"]["cidr"] for block in plain["to"]] == ["0.0.0.0/0", "::/0"]
