"""The doctor against real small servers: each finding and its fix, with parts there, wrong and missing."""

import dataclasses
import json
import re
import socket

import pytest
from click.testing import CliRunner

from pipeline.cluster.doctor import kubeflow as kubeflow_checks
from pipeline.cluster.doctor import kubernetes_side, machine, room, stores, workloads
from pipeline.cluster.doctor.check import Check
from pipeline.cluster.doctor.examine import examine, show
from pipeline.cluster.doctor.setup import Setup
from pipeline.commands.main import main
from tests.servers.http_api import Api
from tests.servers.kfp_api import KfpApi
from tests.servers.kube_api import KubeApi, kubeconfig
from tests.servers.model_registry import ModelRegistry

TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
TOLERATION = '[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]'


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    for name in ("KFP_ENDPOINT", "KF_PIPELINES_ENDPOINT", "KFP_NAMESPACE", "KFP_TOKEN", "CONV2D_IMAGE_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    point_at(tmp_path / "no-kubeconfig", monkeypatch)


def point_at(path, monkeypatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(path))
    # The client reads KUBECONFIG once, when it is imported.
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))


def node(name: str, gpus: int = 0, labels: dict | None = None, taints: list | None = None) -> dict:
    allocatable = {"cpu": "8", "memory": "32Gi", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": taints or []},
        "status": {"allocatable": allocatable},
    }


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    api = KubeApi()
    namespaced = "/api/v1/namespaces/kubeflow"
    code = dict.fromkeys(("buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "platform"), "")
    api.objects = {
        "/version/": {**code, "gitVersion": "v1.34.1", "major": "1", "minor": "34"},
        namespaced: {"metadata": {"name": "kubeflow"}},
        f"{namespaced}/serviceaccounts/conv2d-runner": {"metadata": {"name": "conv2d-runner"}},
        f"{namespaced}/secrets/mlpipeline-minio-artifact": {"data": {"accesskey": "c2VjcmV0"}},
        f"{namespaced}/secrets/conv2d-webhook": {"data": {"url": "czNjcmV0"}},
        "/api/v1/nodes": {"items": [node("cpu-1"), node("gpu-1", 4, {"gpu": "l4"}, [TAINT])]},
    }
    with api.serving() as url:
        point_at(kubeconfig(tmp_path / "kubeconfig", url), monkeypatch)
        yield api


def check(name: str, setup: Setup = Setup()) -> Check:  # noqa: B008
    kube, _ = kubernetes_side.reach(setup)
    return (kubernetes_side.CHECKS | room.CHECKS | workloads.CHECKS)[name](setup, kube)


def test_it_works_with_everything_missing_and_each_failure_has_a_fix(capsys):
    with socket.socket() as bound:  # and never listens
        bound.bind(("127.0.0.1", 0))
        found = examine(Setup(url=f"http://127.0.0.1:{bound.getsockname()[1]}"))
    names = {check.name: check for check in found}
    assert len(names) == len(found) >= 20
    assert names["cluster"].state == "failed"
    assert names["tolerations"].state == "skipped"
    assert all(check.fix for check in found if check.state in ("failed", "warning"))
    show(found, as_json=True)
    assert json.loads(capsys.readouterr().out) == [dataclasses.asdict(check) for check in found]
    show(found, as_json=False)
    printed = capsys.readouterr().out
    assert "checks failed" in printed
    assert re.search(r"FAILED +kubeflow pipelines +expected Kubeflow Pipelines at .*, no answer", printed)


def test_without_a_cluster_what_is_local_is_checked_and_passes(tmp_path):
    ended = CliRunner().invoke(main, ["doctor"], env={"KUBECONFIG": str(tmp_path / "none")})
    assert ended.exit_code == 0
    assert re.search(r"ok +packages +\d+ packages, each as the lock file has it\n", ended.output)
    (line,) = re.findall("(?m)^.*cluster .*$", ended.output)
    assert re.fullmatch("skipped +cluster +none is named here, .*; give --endpoint http://..., set .*", line)
    assert ended.output.endswith("\nnothing failed\n")


def test_a_whole_cluster_is_healthy(cluster, capsys):
    api = KfpApi()
    with api.serving() as url:
        asked = ("GPUS=2", "BACKEND=jax", 'NODE_SELECTOR={"gpu": "l4"}', f"TOLERATIONS={TOLERATION}")
        found = {
            check.name: check for check in examine(Setup(url=url, webhook_secret="conv2d-webhook", settings=asked))
        }
    checks = ("kubeflow pipelines", "experiments", "clock", "cluster", "namespace", "service account", "store's secret",
              "webhook's secret", "CPU nodes", "GPU nodes", "tolerations")  # fmt: skip
    assert {name: found[name].state for name in checks} == dict.fromkeys(checks, "ok")
    assert "1 can give 2 nvidia.com/gpu" in found["GPU nodes"].found
    assert "czNjcmV0" not in str(found)


def test_python_out_of_range(monkeypatch):
    monkeypatch.setattr("sys.version_info", (3, 10, 1))
    assert machine.check_python(Setup()) == Check(
        "python",
        "failed",
        "3.10.1",
        "install Python 3.11, 3.12 or 3.13 and say which: make clean, make PYTHON3=python3.11",
    )


def test_packages_are_compared_with_the_lock(tmp_path):
    lock = tmp_path / "local.txt"
    lock.write_text(
        "# locked\nclick==0.0.1 \\\n    --hash=sha256:00\nnot-there==1.0 \\\n    --hash=sha256:00\n"
        "only-elsewhere==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    found = machine.check_packages(Setup(), lock)
    assert found.state == "warning"
    assert re.fullmatch(r"click [\d.]+, locked 0.0.1; not-there missing, locked 1.0", found.found)
    assert machine.check_packages(Setup(), tmp_path / "none").state == "failed"


def test_a_clock_that_is_off():
    api = KfpApi()
    api.date = "Thu, 01 Jan 2026 00:00:00 GMT"
    with api.serving() as url:
        found = machine.check_clock(Setup(url=url))
    assert found.state == "failed"
    assert "ahead of the cluster's" in found.found
    assert "set-ntp" in found.fix


class VersionedKfp(KfpApi):
    def handle(self, method, path, query, body, headers):
        if path == "/apis/v1beta1/healthz":
            return 200, {"tag_name": "2.5.0", "multi_user": False}
        return super().handle(method, path, query, body, headers)


@pytest.mark.parametrize(("api", "state"), [(VersionedKfp(), "warning"), (KfpApi(), "skipped")])
def test_an_older_back_end_is_told(api, state):
    with api.serving() as url:
        setup = Setup(url=url)
        client, _ = kubeflow_checks.reach(setup)
        found = kubeflow_checks.check_versions(setup, client)
    assert found.state == state
    assert state != "warning" or "2.5.0, older than the SDK" in found.found


def test_a_token_that_is_refused_has_its_fix():
    with KfpApi(token="right").serving() as url:
        client, found = kubeflow_checks.reach(Setup(url=url))
    assert client is None
    assert found.state == "failed"
    assert "KFP_EXISTING_TOKEN" in found.fix


@pytest.mark.parametrize(
    ("name", "path", "fix"),
    [
        ("namespace", "/api/v1/namespaces/kubeflow", "kubectl apply -k"),
        ("service account", "/api/v1/namespaces/kubeflow/serviceaccounts/conv2d-runner", "kubectl apply -k"),
        ("webhook's secret", "/api/v1/namespaces/kubeflow/secrets/conv2d-webhook", "kubectl create secret generic"),
    ],
)
def test_what_is_missing_and_what_may_not_be_looked_at(cluster, name, path, fix):
    setup = Setup(webhook_secret="conv2d-webhook")
    del cluster.objects[path]
    found = check(name, setup)
    assert (found.state, fix in found.fix) == ("failed", True)
    cluster.forbidden.add(path)
    assert check(name, setup).state == "skipped"


def test_a_webhook_secret_without_its_key(cluster):
    cluster.objects["/api/v1/namespaces/kubeflow/secrets/conv2d-webhook"] = {"data": {"uri": "x"}}
    assert check("webhook's secret", Setup(webhook_secret="conv2d-webhook")).state == "failed"


def test_the_stores_secret_is_not_needed_by_everybody(cluster):
    del cluster.objects["/api/v1/namespaces/kubeflow/secrets/mlpipeline-minio-artifact"]
    assert check("store's secret").state == "warning"


@pytest.mark.parametrize(
    ("settings", "state", "found"),
    [
        ((), "skipped", "asks for none; the cluster has 4"),
        (("GPUS=4", "BACKEND=jax"), "ok", "1 can give 4"),
        (("GPUS=8", "BACKEND=jax"), "warning", "none can give 8"),
        (("GPUS=1", 'NODE_SELECTOR={"gpu": "h100"}'), "warning", "none can give 1"),
        (("GPUS=1", "ACCELERATOR=nvidia.com/mig-1g.10gb"), "warning", "0 in the cluster"),
    ],
)
def test_gpu_nodes(cluster, settings, state, found):
    checked = check("GPU nodes", Setup(settings=settings))
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
    found = check("tolerations", Setup(settings=("GPUS=1", f"TOLERATIONS={tolerations}")))
    assert found.state == state
    if state == "failed":
        assert "gpu-1 has nvidia.com/gpu=present:NoSchedule" in found.found
        fixed = found.fix.removeprefix("TOLERATIONS='").removesuffix("'")
        assert check("tolerations", Setup(settings=("GPUS=1", f"TOLERATIONS={fixed}"))).state == "ok"


def test_a_cluster_of_tainted_nodes_only(cluster):
    cluster.objects["/api/v1/nodes"] = {"items": [node("gpu-1", 4, taints=[TAINT])]}
    found = check("CPU nodes")
    assert (found.state, found.fix) == ("failed", "keep an untainted pool: KFP's drivers run there")


RUNTIME = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/kubeflow/trainingruntimes/conv2d-jax"
REVIEW = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def test_several_nodes_need_trainer_its_runtime_a_right_and_nodes(cluster):
    setup = Setup(settings=("NODES=2", "GPUS=1"))
    assert check("several nodes").state == "skipped"
    found = check("several nodes", setup)
    assert (found.state, "conv2d-jax is not there" in found.found) == ("failed", True)
    cluster.missing.add("/apis/trainer.kubeflow.org")
    found = check("several nodes", setup)
    assert (found.state, found.found) == ("failed", "Kubeflow Trainer is not there")
    cluster.missing.clear()
    cluster.objects |= {RUNTIME: {}, REVIEW: {"spec": {}, "status": {"allowed": False}}}
    found = check("several nodes", setup)
    assert (found.state, found.found) == ("failed", "conv2d-runner may not create TrainJobs")
    (asked,) = [body for method, path, _, body in cluster.requests if path == REVIEW]
    assert asked["spec"]["user"] == "system:serviceaccount:kubeflow:conv2d-runner"
    cluster.objects[REVIEW]["status"]["allowed"] = True
    assert (check("several nodes", setup).state, cluster.forbidden) == ("warning", set())
    cluster.objects["/api/v1/nodes"]["items"].append(node("gpu-2", 1))
    assert check("several nodes", setup).found.endswith("the right to start 2 nodes, and 2 that fit")
    cluster.forbidden.add(RUNTIME)
    assert check("several nodes", setup).state == "skipped"


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


class Registry(Api):
    """Takes uploads, or refuses them."""

    def __init__(self, status: int):
        super().__init__()
        self.status = status

    def handle(self, method, path, query, body, headers):
        if method == "POST":
            return self.status, ({}, {"Location": f"{path}1234"} if self.status == 202 else {})
        return (204, {}) if method == "DELETE" else (404, {})


def test_a_push_is_tried_and_given_up(monkeypatch):
    registry = Registry(202)
    with registry.serving() as url:
        monkeypatch.setenv("CONV2D_IMAGE_REPOSITORY", f"{url.removeprefix('http://')}/team/conv2d")
        assert stores.check_registry(Setup()).state == "ok"
        assert [request[:2] for request in registry.requests] == [
            ("POST", "/v2/team/conv2d/blobs/uploads/"),
            ("DELETE", "/v2/team/conv2d/blobs/uploads/1234"),
        ]
        registry.status = 403
        found = stores.check_registry(Setup())
        assert (found.state, found.fix.startswith("docker login")) == ("failed", True)
        absent = stores.check_images(Setup())
        assert (absent.state, "make images ACTION=push" in absent.fix) == ("failed", True)


def test_the_store_is_written_read_and_cleaned(tmp_path):
    assert stores.check_store(Setup(bucket=str(tmp_path / "store"))).state == "ok"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    found = stores.check_store(Setup(bucket="gss://bucket"))
    assert found.state == "failed"
    assert found.fix


class Board(Api):
    def handle(self, method, path, query, body, headers):
        return (200, {"version": "2.21.0"}) if path == "/data/environment" else (200, "<html></html>")


def test_tensorboard_and_what_is_not():
    with Board().serving() as url:
        assert stores.check_tensorboard(Setup(tensorboard=f"{url}/")).found == f"2.21.0 at {url}/"
        found = stores.check_tensorboard(Setup(tensorboard=f"{url}/other"))
        assert (found.state, "is not TensorBoard" in found.found) == ("failed", True)
    url = url.replace("//", "//user:s3cret@")
    assert "nothing answers at http://127.0.0.1" in stores.check_tensorboard(Setup(tensorboard=url)).found


SMALL = {"cpu": "1930m", "memory": "3Gi"}


@pytest.mark.parametrize(
    ("allocatable", "settings", "said"),
    [
        (SMALL, (), "each step fits on a node"),
        (SMALL, ("TRAIN_MEMORY=64Gi", 'NODE_SELECTOR={"pool": "on-demand"}'), "each step fits on a node"),
        (SMALL, ("EVALUATE_MEMORY=3Gi",), "evaluate asks for 0.11 CPUs and 3.12 GiB, the largest node gives 1.93 CPUs"),
        (SMALL, ("CPU_REQUEST=2",), "download asks for 2.01 CPUs and 1.12 GiB"),
    ],
)
def test_each_steps_request_is_compared_with_the_largest_node(cluster, allocatable, settings, said):
    cluster.objects["/api/v1/nodes"]["items"] = [node("a")]
    cluster.objects["/api/v1/nodes"]["items"][0]["status"]["allocatable"] = allocatable
    found = check("room", Setup(settings=("EXPORT_MEMORY=2Gi", *settings)))
    assert said in found.found
    assert (found.state == "ok") == (said == "each step fits on a node")


@pytest.mark.parametrize(("used", "state"), [("1Gi", "ok"), ("15Gi", "failed")])
def test_each_steps_request_is_compared_with_the_quota(cluster, used, state):
    quota = {
        "metadata": {"name": "team"},
        "status": {"hard": {"requests.memory": "16Gi"}, "used": {"requests.memory": used}},
    }
    cluster.objects["/api/v1/namespaces/kubeflow/resourcequotas"] = {"items": [quota]}
    found = check("quota")
    assert found.state == state
    assert state == "ok" or found.found == "team leaves 1 GiB, download asks for 1.12 GiB"


def test_the_gpus_of_all_nodes_are_compared_with_the_quota(cluster):
    status = {"hard": {"requests.nvidia.com/gpu": "8"}, "used": {"requests.nvidia.com/gpu": "5"}}
    quota = {"metadata": {"name": "team"}, "status": status}
    cluster.objects["/api/v1/namespaces/kubeflow/resourcequotas"] = {"items": [quota]}
    assert check("quota", Setup(settings=("GPUS=3", "BACKEND=jax"))).state == "ok"
    found = check("quota", Setup(settings=("GPUS=2", "NODES=2", "BACKEND=jax")))
    assert (found.state, found.found) == ("failed", "team leaves 3 nvidia.com/gpu, train asks for 4 nvidia.com/gpu")
    assert found.fix.endswith("or give gpus less")


@pytest.mark.parametrize(
    ("hard", "said"),
    [
        ({"limits.memory": "2.5Gi"}, "leaves 2.5 GiB as a limit, export asks for 3 GiB as a limit"),
        ({"limits.cpu": "1500m"}, "leaves 1.5 CPUs as a limit, preprocess asks for 2 CPUs as a limit"),
        ({"pods": "0"}, "leaves 0 pods, download asks for 1 pods"),
        ({"memory": "2.5Gi"}, "leaves 2.5 GiB, export asks for 3.12 GiB"),
        ({"limits.memory": "6Gi", "limits.cpu": "2", "pods": "1"}, ""),
    ],
)
def test_each_steps_limits_are_compared_with_the_quota_too(cluster, hard, said):
    quota = {"metadata": {"name": "team"}, "status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
    cluster.objects["/api/v1/namespaces/kubeflow/resourcequotas"] = {"items": [quota]}
    found = check("quota")
    assert (found.state, found.found) == (("failed", f"team {said}") if said else ("ok", "1 leave room for each step"))


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


def test_kubeflow_hub_is_asked_if_it_is_to_be_told():
    assert stores.check_hub(Setup()).state == "skipped"
    with ModelRegistry("v1alpha3").serving() as url:
        asked = Setup(settings=(f"MODEL_REGISTRY_URL={url}",))
        assert stores.check_hub(asked) == Check("kubeflow hub", "ok", f"{url}/api/model_registry/v1alpha3 answers")
    gone = stores.check_hub(asked)
    assert gone.state == "failed" and "no answer" in gone.found and "port-forward" in gone.fix
    with KfpApi().serving() as url:
        other = stores.check_hub(Setup(settings=(f"MODEL_REGISTRY_URL={url}",)))
    assert "no Model Registry" in other.found
