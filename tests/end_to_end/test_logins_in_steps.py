"""A step fetches through a proxy that wants a login, and from an S3 server with keys from a file, in Docker as well.

    python -m pytest tests/end_to_end/test_logins_in_steps.py -rs

Both servers are on this machine's loopback. Without an engine the container's part is skipped.
"""

import base64
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.images.engine import engine
from tests.components.download.faulty_server import tar_gz
from tests.servers.http_api import Api
from tests.servers.s3 import S3Server

LOGIN = "ada:secret"
KEY = "TEAMKEY"
PICTURES = tar_gz(20_000)


class ForwardProxy(Api):
    """Knows one site, `pictures.example`, which no name server does, and nobody without a login."""

    def handle(self, method: str, path: str, query: dict[str, str], body: object, headers: Mapping[str, str]) -> tuple:
        login = base64.b64encode(LOGIN.encode()).decode()
        if headers.get("Proxy-Authorization") != f"Basic {login}":
            return 407, ""
        return (200, (PICTURES, {"ETag": '"1"'})) if headers["Host"] == "pictures.example" else (502, "")


@pytest.fixture
def proxy() -> Iterator[tuple[ForwardProxy, str]]:
    api = ForwardProxy()
    with api.serving() as url:
        yield api, url.replace("//", f"//{LOGIN}@")


@pytest.fixture
def s3() -> Iterator[str]:
    with S3Server("team") as server:
        server.client.put_object(Bucket="team", Key="photos.tar.gz", Body=PICTURES)
        server.accepted = KEY
        yield server.url


@pytest.fixture(params=["process", "docker"])
def runner(request: pytest.FixtureRequest) -> str:
    if request.param == "docker":
        try:
            engine()
        except PipelineError as absent:
            pytest.skip(str(absent))
    return request.param


@pytest.mark.parametrize("source", ["http://pictures.example/photos.tar.gz", "s3://team/photos.tar.gz"])
def test_a_step_has_the_users_proxy_and_keys(
    runner: str, source: str, proxy: tuple[ForwardProxy, str], s3: str, tmp_path: pathlib.Path
) -> None:
    api, address = proxy
    login = tmp_path / "home" / ".aws" / "credentials"
    login.parent.mkdir(parents=True)
    login.write_text(f"[team]\naws_access_key_id = {KEY}\naws_secret_access_key = secret\n")
    others = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GOOGLE_", "CONV2D_"))}
    environment = others | {
        "HOME": str(tmp_path / "home"), "AWS_PROFILE": "team", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3, "http_proxy": address, "HTTP_PROXY": address, "no_proxy": "127.0.0.1",
        "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    command = [sys.executable, "-m", "pipeline", "run-local", "--runner", runner]
    # It ends at preprocess, as these are no pictures.
    command += ["--outputs", str(tmp_path / "outputs"), "dataset=image_folder", f"source={source}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    fetched = [path.read_bytes() for path in (tmp_path / "outputs").rglob("raw/*.tar.gz")]
    assert fetched == [PICTURES], done.stdout[-3000:] + done.stderr[-3000:]
    assert bool(api.requests) is source.startswith("http://")
    assert LOGIN.partition(":")[2] not in done.stdout.replace(address, "")
