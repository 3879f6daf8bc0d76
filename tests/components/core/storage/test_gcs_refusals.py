"""What Google Cloud Storage says when it refuses, and what of it a person is told."""

import pytest

from components.core.storage import Denied, StorageError, Unreachable, open_store
from tests.servers.small import SMALL


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "userRateLimitExceeded"])
@pytest.mark.parametrize("deed", ["list", "write", "stat"])
def test_too_many_requests_are_asked_again_though_they_are_called_forbidden(gcs, reason, deed):
    """https://github.com/googleapis/google-cloud-go/issues/269: 403, in the middle of an upload."""
    store = open_store(gcs.uri, SMALL)
    store.write_bytes("key", b"x")
    gcs.server.state.refusals += [(403, reason)] * 2
    deeds = {
        "list": lambda: list(store.list()),
        "write": lambda: store.write_bytes("key", b"y"),
        "stat": lambda: store.stat("key"),
    }
    deeds[deed]()
    assert not gcs.server.state.refusals


def test_a_store_that_wants_to_be_left_alone_is(gcs):
    gcs.proxy.fail("status:503/3600", times=100)
    with pytest.raises(Unreachable, match="gave up after 1 try"):
        open_store(gcs.uri, SMALL).read_bytes("key")


def test_what_a_retention_policy_keeps_is_told_as_that(gcs, monkeypatch):
    monkeypatch.setattr(gcs.server.state, "kept", {gcs.uri.split("/")[2]})
    store = open_store(gcs.uri, SMALL)
    store.write_bytes("key", b"x")
    for attempt in (lambda: store.write_bytes("key", b"y"), lambda: store.delete("key")):
        with pytest.raises(Denied, match="gs://.*/key may not be changed or deleted yet: a retention policy"):
            attempt()
    assert store.read_bytes("key") == b"x"


def test_any_other_refusal_repeats_googles_word_for_it(gcs):
    gcs.server.state.refusals.append((400, "userProjectMissing"))
    with pytest.raises(StorageError, match="refused the request for .* with status 400 userProjectMissing"):
        open_store(gcs.uri, SMALL).stat("key")
    gcs.server.state.refusals.append((403, "accountDisabled"))
    with pytest.raises(Denied, match=r"no permission for gs://.*/key \(accountDisabled\); grant roles/"):
        open_store(gcs.uri, SMALL).stat("key")


def test_a_quota_project_that_may_not_be_used_is_told_as_that(gcs):
    """gcloud's login sends one along; no right on the bucket helps."""
    why = "me@example.com does not have serviceusage.services.use access to the Google Cloud project."
    gcs.server.state.refusals.append((403, "forbidden", why))
    with pytest.raises(
        Denied, match="billed to, for gs://bucket-.*; gcloud auth application-default set-quota-project"
    ):
        open_store(gcs.uri, SMALL).stat("key")


def test_nothing_is_asked_beside_what_is_wanted(gcs):
    """The client asked for the bucket, for its traces: beside the first request, and after each missing object."""
    store = open_store(gcs.uri, SMALL)
    store.write_bytes("key", b"x")
    assert not store.exists("none")
    assert [request.partition(" ")[0] for request in gcs.proxy.requests] == ["POST", "GET"]
