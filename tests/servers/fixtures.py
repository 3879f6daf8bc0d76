"""Fixtures: places for objects in real servers, behind proxies that can fail. A conftest imports what it uses.

from tests.servers.fixtures import gcs_server, place, s3_server  # noqa: F401
"""

import contextlib
import dataclasses
import pathlib
import uuid
from collections.abc import Iterator

import pytest

from tests.servers.gcs import GcsServer
from tests.servers.proxy import Proxy
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, S3Server

NOT_INHERITED = (
    "STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
    "AWS_SESSION_TOKEN",
    "MINIO_ACCESS_KEY",
    "MINIO_SECRET_KEY", "AWS_PROFILE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy",
)  # fmt: skip


@dataclasses.dataclass
class Place:
    """Somewhere to keep objects: `uri` is fresh and empty.

    Attributes:
        proxy: what makes it fail; None if nothing can.
        server: None for a local directory.
        environment: what another process needs to reach it.
    """

    scheme: str
    uri: str
    proxy: Proxy | None
    server: GcsServer | S3Server | None
    environment: dict[str, str]


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GcsServer]:
    """One GCS server for all tests."""
    with GcsServer() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One S3 server for all tests."""
    with S3Server() as server:
        yield server


def make_place(scheme: str, request: pytest.FixtureRequest, can_fail: bool = True) -> Iterator[Place]:
    """A fresh place of that scheme: file, gs, s3 or minio.

    Args:
        can_fail: whether a proxy lies before the server; each request takes it 1 ms of a core.
    """
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    for name in NOT_INHERITED:
        monkeypatch.delenv(name, raising=False)
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    if scheme == "file":
        directory: pathlib.Path = request.getfixturevalue("tmp_path") / "store"
        yield Place(scheme, str(directory), None, None, {})
        return
    server = request.getfixturevalue("gcs_server" if scheme == "gs" else "s3_server")
    with Proxy(server.url) if can_fail else contextlib.nullcontext() as proxy:
        url = proxy.url if proxy else server.url
        if scheme == "gs":
            server.state.buckets[bucket] = {}
            environment = {"STORAGE_EMULATOR_HOST": url}
        else:
            server.client.create_bucket(Bucket=bucket)
            environment = {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_REGION": "us-east-1",
                "AWS_CONFIG_FILE": "/dev/null",
                "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield Place(scheme, f"{scheme}://{bucket}/some/prefix", proxy, server, environment)


@pytest.fixture(params=["file", "gs", "s3"])
def place(request) -> Iterator[Place]:
    """Every kind of place in turn, on a good network: what holds here holds everywhere."""
    yield from make_place(request.param, request, can_fail=False)


@pytest.fixture(params=["gs", "s3"])
def bucket(request) -> Iterator[Place]:
    """The places that lie behind a network."""
    yield from make_place(request.param, request)


@pytest.fixture
def gcs(request) -> Iterator[Place]:
    """A GCS bucket."""
    yield from make_place("gs", request)


@pytest.fixture
def s3(request) -> Iterator[Place]:
    """An S3 bucket."""
    yield from make_place("s3", request)
