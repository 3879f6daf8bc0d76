"""Fixtures of the tests about clusters."""

import pathlib

import pytest

from tests.pipeline.pipelines import training
from tests.servers.kube_api import KubeApi, kubeconfig, lead_to


@pytest.fixture
def bare_home(tmp_path, monkeypatch):
    """Nobody's kubeconfig, docker login or KFP settings."""
    for name in ("KFP_ENDPOINT", "KF_PIPELINES_ENDPOINT", "KFP_NAMESPACE", "KFP_EXISTING_TOKEN", "KFP_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    lead_to(tmp_path / "no-kubeconfig", monkeypatch)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker"))


@pytest.fixture(scope="session")
def quickstart_compiled(tmp_path_factory) -> pathlib.Path:
    from pipeline.cluster.compile import compile_pipeline

    path = tmp_path_factory.mktemp("compiled") / "training.yaml"
    compile_pipeline(training(), path)
    return path


@pytest.fixture
def kube(tmp_path, monkeypatch):
    api = KubeApi()
    with api.serving() as url:
        lead_to(kubeconfig(tmp_path / "kubeconfig", url), monkeypatch)
        yield api
