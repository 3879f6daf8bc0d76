"""Which engine is asked."""

import hashlib
import json
import socket

import pytest

from components.core.errors import PipelineError
from pipeline.cluster.doctor.check import Setup
from pipeline.cluster.doctor.machine import check_docker
from pipeline.images.engine import address, engine


@pytest.fixture
def contexts(tmp_path, monkeypatch):
    """A `docker context use colima`, and another context, as the docker command writes them."""
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.setenv(variable, "")  # so that what is set meanwhile is taken back
        monkeypatch.delenv(variable)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "colima"}))
    for name in ("colima", "rootless"):
        file = tmp_path / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
        file.parent.mkdir(parents=True)
        endpoint = {"Host": f"unix://{tmp_path}/{name}.sock", "SkipTLSVerify": False}
        file.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    return tmp_path


def test_the_engine_is_that_of_the_docker_command(contexts, monkeypatch):
    """A laptop's engine has no /var/run/docker.sock, and RUNNER=auto took processes there."""
    assert address() == f"unix://{contexts}/colima.sock"
    with pytest.raises(PipelineError, match=f"expected a Docker engine at unix://{contexts}/colima.sock, "):
        engine()
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONTEXT", "rootless")
    assert address() == f"unix://{contexts}/rootless.sock"
    monkeypatch.setenv("DOCKER_HOST", "tcp://build:2375")
    assert address() == "tcp://build:2375"


def test_an_engine_that_this_user_may_not_ask_is_not_told_to_start(tmp_path, monkeypatch):
    """The most frequent of all first messages: a user who is not in the group docker."""

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(
        PipelineError, match=r"received: Permission denied; have yourself added to its group \(docker\)"
    ):
        engine()
    assert check_docker(Setup()).fix.startswith("have yourself added to its group (docker)")


def test_an_engine_that_does_not_answer_is_told_without_the_layers_between(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(
        PipelineError, match="^expected a Docker engine at tcp://127.0.0.1:1, received: Connection refused; "
    ):
        engine()


@pytest.mark.parametrize("damage", ["{", '{"currentContext": "gone"}', "{}"])
def test_without_a_context_it_is_dockers_own(contexts, damage):
    (contexts / "config.json").write_text(damage)
    assert address() == "unix:///var/run/docker.sock"
