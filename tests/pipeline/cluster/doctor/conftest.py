import pytest

from tests.pipeline.cluster.doctor.cluster import TAINT, node, point_at
from tests.servers.kube_api import KubeApi, kubeconfig


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    for name in ("KFP_ENDPOINT", "KF_PIPELINES_ENDPOINT", "KFP_NAMESPACE", "KFP_TOKEN", "CONV2D_IMAGE_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    point_at(tmp_path / "no-kubeconfig", monkeypatch)


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
