"""Credentials that a pod is given by an agent of its node, which may be away while the node is new or upgraded."""

import types
from typing import Any

import pytest

from components.core.storage import Denied, Limits, Unreachable, open_store
from tests.servers.http_api import Api
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY
from tests.servers.small import SMALL

KEYS = {"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": "t", "Expiration": "2100-01-01T00:00:00Z"}
IMPATIENT = Limits(deadline_s=1, first_pause_s=0.01)


class Agent(Api):
    """EKS Pod Identity's agent, or Google's metadata server: refuses with a status for as long as it is set."""

    def __init__(self, status: int, times: int = 1_000):
        super().__init__()
        self.status, self.times = status, times

    def handle(self, method: str, path: str, *request: Any) -> tuple[int, Any]:
        if path == "/":
            return 200, ("", {"Metadata-Flavor": "Google"})
        if path.endswith("universe-domain"):
            return 404, ("", {"Metadata-Flavor": "Google"})
        if path.endswith("project-id"):
            return 200, ("project", {"Metadata-Flavor": "Google"})
        self.times -= 1
        return (self.status, "") if self.times >= 0 else (200, KEYS)


@pytest.fixture
def of_agent(s3, monkeypatch):
    """Has the S3 client ask an agent for credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    return lambda url: monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/v1/credentials")


def test_an_agent_of_eks_that_is_not_there_yet_is_waited_for(s3, of_agent):
    agent = Agent(503, times=4)  # the client itself asks three times
    with agent.serving() as url:
        of_agent(url)
        store = open_store(s3.uri, SMALL)
        store.write_bytes("key", b"x")
    assert store.read_bytes("key") == b"x"
    assert len(agent.requests) == 5


def test_an_agent_of_eks_that_has_no_role_for_a_pod_is_not_asked_again(s3, of_agent):
    agent = Agent(404)
    with agent.serving() as url:
        of_agent(url)
        with pytest.raises(Denied, match="no usable credentials found"):
            open_store(s3.uri, SMALL)
    assert len(agent.requests) == 3


class Machine(Api):
    """EC2's metadata server, too busy for its first answers."""

    def handle(self, method: str, path: str, *request: Any) -> tuple[int, Any]:
        if len(self.requests) <= 2:
            return 503, ""
        if path.endswith("token"):
            return 200, ("token", {})
        return 200, ("role", {}) if path.endswith("/") else KEYS | {"Code": "Success"}


def test_a_busy_ec2_machine_is_asked_again(s3, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    with Machine().serving() as url:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        store = open_store(s3.uri, SMALL)
        store.write_bytes("key", b"x")
    assert store.read_bytes("key") == b"x"


@pytest.mark.parametrize(("status", "failure"), [(503, Unreachable), (404, Denied)])
def test_googles_metadata_server_is_waited_for_unless_it_answers(gcs, monkeypatch, tmp_path, status, failure):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setattr("google.auth._exponential_backoff.time", types.SimpleNamespace(sleep=lambda seconds: None))
    with Agent(status).serving() as url:
        for name in ("_GCE_METADATA_HOST", "_GCE_DEFAULT_MDS_IP"):
            monkeypatch.setattr(f"google.auth.compute_engine._metadata.{name}", url.removeprefix("http://"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with pytest.raises(failure, match="no answer from who gives the credentials|were refused or have expired"):
            open_store(gcs.uri, IMPATIENT).read_bytes("key")
