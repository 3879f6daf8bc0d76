"""Pushing for real, to a registry on a free port of this machine."""

import json
import os

import pytest
import requests
from docker.errors import APIError

from components.core.errors import PipelineError
from pipeline.images import base_image, build, names, statements
from tests.servers.http_api import Api
from tests.servers.image_registry import BINARY, serving


@pytest.fixture
def registry(tmp_path, lacking):
    """host:port of an empty registry. Engines speak plain HTTP to registries on the loopback device."""
    if BINARY is None:
        lacking("expected a registry to push to; try: apt-get install docker-registry")
    with serving(tmp_path) as host:
        yield host


def test_pushes_what_the_registry_lacks_and_says_the_digests(engine, small, registry, monkeypatch, capsys):
    monkeypatch.setenv("CONV2D_IMAGE_REPOSITORY", f"{registry}/team/{os.environ['CONV2D_IMAGE_REPOSITORY']}")
    pushed = build.push(["cpu"])
    assert engine.api.timeout == 600, "the engine is silent for minutes while it pushes"
    said = capsys.readouterr().out.splitlines()
    assert len(pushed) == len(names.COMPONENTS)
    assert base_image.remembered() == os.environ["BASE_IMAGE"]
    # Of the locks' two versions the bill lists the one for the base's Python, whatever the recorded base has.
    bill = json.loads((statements.FOLDER / f"{names.image('train').rpartition(':')[2]}.cdx.json").read_text())
    assert [part["version"] for part in bill["components"] if part["name"] == "numpy"] == ["2.4.6"]
    for component in names.COMPONENTS:
        name = names.image(component)
        digest = next(line for line in said if line.startswith(f"pushed {name} ")).rpartition(" ")[2]
        path, _, tag = name.removeprefix(f"{registry}/").rpartition(":")
        served = requests.head(
            f"http://{registry}/v2/{path}/manifests/{tag}",
            headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
            timeout=10,
        )
        assert served.headers["Docker-Content-Digest"] == digest
        assert f"{name.rpartition(':')[0]}@{digest}" in pushed

    (small / "components/train/logic.py").write_text("changed")
    again = build.push(["cpu"])
    said = capsys.readouterr().out.splitlines()
    there_already = [line for line in said if line.startswith("there already: ")]
    assert len(again) == 1 and len(there_already) == len(names.COMPONENTS) - 1
    assert [line for line in said if line.startswith(f"pushed {names.image('train')} sha256:")]


def test_an_image_on_a_stand_in_base_does_not_go_under_the_real_one_s_tag(engine, small, registry, monkeypatch):
    stand_in = os.environ["BASE_IMAGE"]
    monkeypatch.delenv("BASE_IMAGE")
    monkeypatch.setenv("CONV2D_IMAGE_REPOSITORY", f"{registry}/{os.environ['CONV2D_IMAGE_REPOSITORY']}")
    monkeypatch.setattr(build, "obtain_base", lambda client, wanted: stand_in)
    with pytest.raises(PipelineError, match=f"built on its stand-in {stand_in}; .* BASE_IMAGE={stand_in}"):
        build.push(["cpu"])
    assert requests.get(f"http://{registry}/v2/_catalog", timeout=10).json()["repositories"] == []


def test_an_image_for_other_nodes_does_not_take_their_tag(engine, small, registry, monkeypatch):
    """From a laptop with an ARM processor: the tag was taken for good, and every pod ended in `exec format error`."""
    monkeypatch.setenv("CONV2D_IMAGE_REPOSITORY", f"{registry}/{os.environ['CONV2D_IMAGE_REPOSITORY']}")
    recipe = (small / "docker/Dockerfile").read_text()
    (small / "docker/Dockerfile").write_text(recipe.replace("FROM ${BASE_IMAGE}", "FROM scratch"))
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/arm64")
    build.build(["cpu"])
    monkeypatch.delenv("DOCKER_DEFAULT_PLATFORM")
    with pytest.raises(
        PipelineError, match="for nodes of linux/amd64, .* for linux/arm64: .* DOCKER_DEFAULT_PLATFORM="
    ):
        build.push(["cpu"])
    assert requests.get(f"http://{registry}/v2/_catalog", timeout=10).json()["repositories"] == []
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/arm64")
    assert len(build.push(["cpu"])) == len(names.COMPONENTS)


class Hub(Api):
    """Docker Hub, asked for a repository that is not there yet."""

    def handle(self, method, path, query, body, headers):
        if path == "/token":
            return 200, {"token": "of-nothing"}
        wanted = {"WWW-Authenticate": f'Bearer realm="{self.url}/token",service="registry.docker.io"'}
        return 401, ({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}, wanted)


def test_a_repository_that_the_first_push_makes_is_pushed(engine):
    """It was refused, with the advice to log in, to whoever was."""
    hub = Hub()
    with hub.serving() as hub.url:
        assert build._digest_in_registry(engine, f"{hub.url.removeprefix('http://')}/team/new:train-1") is None


def test_a_registry_that_is_not_there_is_one_line(engine, small, monkeypatch):
    monkeypatch.setenv("CONV2D_IMAGE_REPOSITORY", f"127.0.0.1:9/{os.environ['CONV2D_IMAGE_REPOSITORY']}")
    with pytest.raises(PipelineError, match="expected the registry to take .*refused.*docker login"):
        build.push(["cpu"])
    with pytest.raises(APIError, match="refused"):  # which the engine tells in the midst of a push's lines
        build._push(engine, names.image("check"))
