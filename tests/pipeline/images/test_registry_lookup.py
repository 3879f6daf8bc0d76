"""Whether images are in their registry, asked of real HTTP servers."""

import base64
import os

import pytest

from components.core.errors import PipelineError
from pipeline.images.lookup import check_images
from tests.servers.http_api import Api

pytestmark = pytest.mark.usefixtures("bare_home")


class Registry(Api):
    """Has what is in `there`; with `token`, hands one out and wants it back."""

    def __init__(self, there: set[str], guarded: str = ""):
        super().__init__()
        self.there, self.guarded, self.url = there, guarded, ""

    def handle(self, method, path, query, body, headers):
        if path == "/token":
            assert query["scope"] == "repository:team/conv2d:pull"
            return (200, {"token": "abc"}) if self.guarded == "anonymous" else (401, {})
        if self.guarded and headers.get("Authorization") != "Bearer abc":
            return 401, ({}, {"WWW-Authenticate": f'Bearer realm="{self.url}/token",service="r"'})
        assert method == "HEAD"
        assert "oci.image.index" in headers["Accept"]
        return (200, {}) if path.rpartition("/")[2] in self.there else (404, {})


@pytest.mark.parametrize("guarded", ["", "anonymous"])
def test_images_are_looked_up_in_their_registry(guarded):
    registry = Registry({"train-1", "export-1"}, guarded)
    with registry.serving() as registry.url:
        name = f"{registry.url.removeprefix('http://')}/team/conv2d"
        assert check_images([f"{name}:train-1", f"{name}:export-1"]) == []
        with pytest.raises(
            PipelineError, match="expected the registry to have .*:train-2, it has not; try make images"
        ):
            check_images([f"{name}:train-2", f"{name}:export-1"])


def test_a_login_with_dockers_credential_helper_is_used(tmp_path, monkeypatch):
    helper = tmp_path / "bin" / "docker-credential-teamstore"
    helper.parent.mkdir()
    helper.write_text('#!/bin/sh\nread host\nprintf \'{"Username": "ana", "Secret": "%s"}\' "${host%:*}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}{os.pathsep}{os.environ['PATH']}")

    class Basic(Api):
        def handle(self, method, path, query, body, headers):
            return (200, {}) if headers.get("Authorization") else (401, ({}, {"WWW-Authenticate": 'Basic realm="r"'}))

    registry = Basic()
    with registry.serving() as url:
        host = url.removeprefix("http://")
        (tmp_path / "no-docker").mkdir()
        (tmp_path / "no-docker" / "config.json").write_text(f'{{"credHelpers": {{"{host}": "teamstore"}}}}')
        assert check_images([f"{host}/team/conv2d:train-1"]) == []
    assert registry.authorizations[-1] == f"Basic {base64.b64encode(b'ana:127.0.0.1').decode()}"


def test_a_registry_that_can_not_be_asked_is_a_note():
    registry = Registry({"train-1"}, "private")
    with registry.serving() as registry.url:
        name = f"{registry.url.removeprefix('http://')}/team/conv2d"
        assert "wants credentials" in check_images([f"{name}:train-1"])[0]
    assert "does not answer here" in check_images([f"{name}:train-1"])[0]
    assert "name no registry" in check_images(["conv2d-pipeline:train-1"])[0]
