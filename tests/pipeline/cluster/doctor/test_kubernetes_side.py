"""The doctor of a cluster: each finding and its fix."""

import pytest

from tests.pipeline.cluster.doctor.cluster import TAINT, TOLERATION, check, node
from tests.servers.kube_api import kubeconfig, lead_to


@pytest.mark.parametrize(
    ("name", "path", "fix"),
    [
        ("namespace", "/api/v1/namespaces/kubeflow", "kubectl apply --server-side"),
        ("service account", "/api/v1/namespaces/kubeflow/serviceaccounts/conv2d-runner", "kubectl apply --server-side"),
        ("webhook's secret", "/api/v1/namespaces/kubeflow/secrets/conv2d-webhook", "kubectl create secret generic"),
    ],
)
def test_what_is_missing_and_what_may_not_be_looked_at(cluster, name, path, fix):
    del cluster.objects[path]
    found = check(name, webhook_secret="conv2d-webhook")
    assert (found.state, fix in found.fix) == ("failed", True)
    cluster.forbidden.add(path)
    assert check(name, webhook_secret="conv2d-webhook").state == "skipped"


@pytest.mark.parametrize("name", ["CPU nodes", "GPU nodes", "tolerations", "room", "several nodes"])
def test_nodes_that_one_may_not_look_at_are_no_failure(cluster, name):
    """As on most clusters of companies: each was one, `this is unexpected: report it`."""
    cluster.objects |= {RUNTIME: {}, REVIEW: {"spec": {}, "status": {"allowed": True}}}
    cluster.forbidden.add("/api/v1/nodes")
    found = check(name, "GPUS=1", "NODES=2")
    assert (found.state, found.found) == ("skipped", "no permission to look: cannot get /api/v1/nodes")


def test_a_login_that_has_expired_is_one(cluster):
    """Kubernetes tells its version to anybody."""
    cluster.faults = [("GET", "/api/v1/nodes", (401, {"kind": "Status", "message": "Unauthorized"}))]
    found = check("CPU nodes")
    assert (found.state, found.fix) == ("failed", "log in again")


@pytest.mark.parametrize(
    ("proxy", "said"), [("socks5://127.0.0.1:9", "unsupported scheme socks5"), ("", "nothing answers at http://127.")]
)
def test_a_cluster_that_is_not_reached_is_told_by_its_cause(tmp_path, monkeypatch, proxy, said):
    lead_to(kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:9", proxy), monkeypatch)
    assert said in check("cluster").found


def test_a_webhook_secret_without_its_key(cluster):
    cluster.objects["/api/v1/namespaces/kubeflow/secrets/conv2d-webhook"] = {"data": {"uri": "x"}}
    assert check("webhook's secret", webhook_secret="conv2d-webhook").state == "failed"


def test_the_stores_secret_is_not_needed_by_everybody(cluster):
    del cluster.objects["/api/v1/namespaces/kubeflow/secrets/mlpipeline-minio-artifact"]
    assert check("store's secret").state == "warning"


@pytest.mark.parametrize(
    ("settings", "state", "found"),
    [
        ((), "skipped", "requests none; the cluster has 4"),
        (("GPUS=4", "BACKEND=jax"), "ok", "1 can give 4"),
        (("GPUS=8", "BACKEND=jax"), "warning", "none can give 8"),
        (("GPUS=1", 'NODE_SELECTOR={"gpu": "h100"}'), "warning", "none can give 1"),
        (("GPUS=1", "ACCELERATOR=nvidia.com/mig-1g.10gb"), "warning", "0 in the cluster"),
    ],
)
def test_gpu_nodes(cluster, settings, state, found):
    checked = check("GPU nodes", *settings)
    assert checked.state == state
    assert found in checked.found


@pytest.mark.parametrize(
    ("tolerations", "state"),
    [
        (TOLERATION, "ok"),
        ('[{"operator": "Exists"}]', "ok"),
        ('[{"key": "nvidia.com/gpu", "value": "present"}]', "ok"),
        ("[]", "failed"),
        ('[{"key": "nvidia.com/gpu", "value": "absent"}]', "failed"),
        ('[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}]', "failed"),
    ],
)
def test_tolerations_that_fit_and_the_one_that_would(cluster, tolerations, state):
    found = check("tolerations", "GPUS=1", f"TOLERATIONS={tolerations}")
    assert found.state == state
    if state == "failed":
        assert "gpu-1 has nvidia.com/gpu=present:NoSchedule" in found.found
        fixed = found.fix.removeprefix("TOLERATIONS='").removesuffix("'")
        assert check("tolerations", "GPUS=1", f"TOLERATIONS={fixed}").state == "ok"


@pytest.mark.parametrize(
    ("nodes", "said"),
    [([node("gpu-1", 4, taints=[TAINT])], "all 1 nodes have taints"), ([], "there is no node")],
)
def test_a_cluster_without_a_node_for_drivers(cluster, nodes, said):
    cluster.objects["/api/v1/nodes"] = {"items": nodes}
    found = check("CPU nodes")
    assert (found.state, found.found, found.fix) == ("failed", said, "keep an untainted pool: KFP's drivers run there")


RUNTIME = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/kubeflow/trainingruntimes/conv2d-jax"
REVIEW = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def test_several_nodes_need_trainer_its_runtime_a_right_and_nodes(cluster):
    two = "NODES=2", "GPUS=1"
    assert check("several nodes").state == "skipped"
    found = check("several nodes", *two)
    assert (found.state, "conv2d-jax is not there" in found.found) == ("failed", True)
    cluster.missing.add("/apis/trainer.kubeflow.org")
    found = check("several nodes", *two)
    assert (found.state, found.found) == ("failed", "Kubeflow Trainer is not there")
    cluster.missing.clear()
    cluster.objects |= {RUNTIME: {}, REVIEW: {"spec": {}, "status": {"allowed": False}}}
    found = check("several nodes", *two)
    assert (found.state, found.found) == ("failed", "conv2d-runner may not create TrainJobs")
    (asked,) = [body for method, path, _, body in cluster.requests if path == REVIEW]
    assert asked["spec"]["user"] == "system:serviceaccount:kubeflow:conv2d-runner"
    cluster.objects[REVIEW]["status"]["allowed"] = True
    assert (check("several nodes", *two).state, cluster.forbidden) == ("warning", set())
    assert check("several nodes", "NODES=9").state == "ok"  # on processors, which share a machine
    cluster.objects["/api/v1/nodes"]["items"].append(node("gpu-2", 1))
    assert check("several nodes", *two).found.endswith("the right to start 2 nodes, and 2 that fit")
    cluster.forbidden.add(RUNTIME)
    assert check("several nodes", *two).state == "skipped"


@pytest.mark.parametrize(("ready", "state"), [(2, "ok"), (1, "failed")])
def test_servers_are_looked_at_where_there_are_some(cluster, ready, state):
    path = "/apis/apps/v1/namespaces/conv2d-serving/deployments/tensorflow-serving"
    assert check("serving").state == "skipped"
    cluster.objects[path] = {
        "spec": {"replicas": 2, "selector": {}, "template": {}},
        "status": {"readyReplicas": ready},
    }
    assert check("serving").state == state
    cluster.forbidden.add(path)
    assert check("serving").state == "skipped"


SMALL = {"cpu": "1930m", "memory": "3Gi"}


@pytest.mark.parametrize(
    ("allocatable", "settings", "said"),
    [
        (SMALL, (), "every step fits on a node"),
        (SMALL, ("TRAIN_MEMORY=64Gi", 'NODE_SELECTOR={"pool": "on-demand"}'), "every step fits on a node"),
        (SMALL, ("EVALUATE_MEMORY=3Gi",), "evaluate requests 0.11 CPUs and 3.12 GiB, the largest node has 1.93 CPUs"),
        (SMALL, ("CPU_REQUEST=2",), "download requests 2.01 CPUs and 1.12 GiB"),
    ],
)
def test_each_steps_request_is_compared_with_the_largest_node(cluster, allocatable, settings, said):
    cluster.objects["/api/v1/nodes"]["items"] = [node("a")]
    cluster.objects["/api/v1/nodes"]["items"][0]["status"]["allocatable"] = allocatable
    found = check("room", "EXPORT_MEMORY=2Gi", *settings)
    assert said in found.found
    assert (found.state == "ok") == (said == "every step fits on a node")


@pytest.mark.parametrize(("used", "state"), [("1Gi", "ok"), ("15Gi", "failed")])
def test_each_steps_request_is_compared_with_the_quota(cluster, used, state):
    quota = {
        "metadata": {"name": "team"},
        "status": {"hard": {"requests.memory": "16Gi"}, "used": {"requests.memory": used}},
    }
    cluster.objects["/api/v1/namespaces/kubeflow/resourcequotas"] = {"items": [quota]}
    found = check("quota")
    assert found.state == state
    assert state == "ok" or found.found == "team leaves 1 GiB, download requests 1.12 GiB"


def test_the_gpus_of_all_nodes_are_compared_with_the_quota(cluster):
    status = {"hard": {"requests.nvidia.com/gpu": "8"}, "used": {"requests.nvidia.com/gpu": "5"}}
    quota = {"metadata": {"name": "team"}, "status": status}
    cluster.objects["/api/v1/namespaces/kubeflow/resourcequotas"] = {"items": [quota]}
    assert check("quota", "GPUS=3", "BACKEND=jax").state == "ok"
    found = check("quota", "GPUS=2", "NODES=2", "BACKEND=jax")
    assert (found.state, found.found) == ("failed", "team leaves 3 nvidia.com/gpu, train requests 4 nvidia.com/gpu")
    assert found.fix.endswith("or lower gpus")


@pytest.mark.parametrize(
    ("hard", "said"),
    [
        ({"limits.memory": "2.5Gi"}, "leaves 2.5 GiB as a limit, export requests 3 GiB as a limit"),
        ({"limits.cpu": "1500m"}, "leaves 1.5 CPUs as a limit, download requests 2 CPUs as a limit"),
        ({"pods": "0"}, "leaves 0 pods, download requests 1 pods"),
        ({"memory": "2.5Gi"}, "leaves 2.5 GiB, export requests 3.12 GiB"),
        ({"limits.memory": "6Gi", "limits.cpu": "2", "pods": "1"}, ""),
    ],
)
def test_each_steps_limits_are_compared_with_the_quota_too(cluster, hard, said):
    quota = {"metadata": {"name": "team"}, "status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
    cluster.objects["/api/v1/namespaces/kubeflow/resourcequotas"] = {"items": [quota]}
    found = check("quota")
    assert (found.state, found.found) == (("failed", f"team {said}") if said else ("ok", "1 leave room for every step"))


@pytest.mark.parametrize(
    ("data", "state", "said"),
    [
        (None, "skipped", "no config map conv2d-site"),
        ({"AWS_REGION": "eu-1", "AWS_CA_BUNDLE": "/etc/conv2d-site/ca.crt", "ca.crt": "..."},
         "ok", "conv2d-site with AWS_CA_BUNDLE, AWS_REGION, ca.crt"),
        ({"AWS_ENDPOINT_URI": "https://s3.company.example"}, "failed", "did you mean 'AWS_ENDPOINT_URL'?"),
        ({"https_proxy": "http://proxy:3128"}, "failed", "did you mean 'HTTPS_PROXY'?"),
        ({"REQUESTS_CA_BUNDLE": "/etc/conv2d-site/ca.pem", "ca.crt": "..."}, "failed", "and no such file"),
    ],
)  # fmt: skip
def test_what_a_company_says_of_its_network_is_what_pods_are_given(cluster, data, state, said):
    if data is not None:
        cluster.objects["/api/v1/namespaces/kubeflow/configmaps/conv2d-site"] = {"data": data}
    found = check("site")
    assert (found.state, said in found.found) == (state, True), found
