import pytest

from tests.pipeline.cluster.doctor.cluster import TAINT, node


@pytest.fixture(autouse=True)
def bare(bare_home, tmp_path, monkeypatch):
    monkeypatch.delenv("CONV2D_IMAGE_REPOSITORY", raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")


@pytest.fixture
def cluster(bare, kube):
    namespaced = "/api/v1/namespaces/kubeflow"
    code = dict.fromkeys(("buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "platform"), "")
    kube.objects = {
        "/version/": {**code, "gitVersion": "v1.34.1", "major": "1", "minor": "34"},
        namespaced: {"metadata": {"name": "kubeflow"}},
        f"{namespaced}/serviceaccounts/conv2d-runner": {"metadata": {"name": "conv2d-runner"}},
        f"{namespaced}/secrets/mlpipeline-minio-artifact": {"data": {"accesskey": "c2VjcmV0"}},
        f"{namespaced}/secrets/conv2d-webhook": {"data": {"url": "czNjcmV0"}},
        "/api/v1/nodes": {"items": [node("cpu-1"), node("gpu-1", 4, {"gpu": "l4"}, [TAINT])]},
    }
    return kube
