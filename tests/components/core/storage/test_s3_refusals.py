"""What S3 and its kin say when they refuse, and what of it a person is told."""

import re

import pytest
from moto.s3.responses import S3Response

from components.core.storage import Denied, NotFound, StorageError, open_store
from components.download import store_source
from tests.servers.small import SMALL


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (400, "ExpiredToken", "refused or have expired"),
        (403, "InvalidAccessKeyId", "refused or have expired"),
        (403, "RequestTimeTooSkewed", "set this machine's clock"),
        (403, "AccessDenied", "no permission for .*/prefix/key"),
        (301, "PermanentRedirect", "region of s3://bucket-.*, eu-central-1, received another's; set AWS_REGION"),
    ],
)
@pytest.mark.parametrize("method", ["stat", "read_bytes"])
def test_a_refusal_is_told_at_once_also_of_a_question_whose_answer_has_no_body(
    s3, monkeypatch, method, status, code, said
):
    monkeypatch.setattr(s3.server, "refused", (status, code))
    with pytest.raises(StorageError, match=said):
        getattr(open_store(s3.uri, SMALL), method)("key")
    assert len(s3.proxy.requests) <= 5, "what will be refused again is not worth many tries"


def test_an_object_in_an_archive_is_told_as_that(s3, monkeypatch):
    monkeypatch.setattr(s3.server, "refused", (403, "InvalidObjectState"))
    with pytest.raises(StorageError, match="in an archive .*; restore it first"):
        open_store(s3.uri, SMALL).read_bytes("key")


@pytest.mark.parametrize("hides", [True, False], ids=["as S3", "as MinIO"])
def test_a_team_that_may_list_only_below_its_prefix_finds_what_is_there_and_what_is_not(s3, monkeypatch, hides):
    bucket = s3.uri.split("/")[2]
    monkeypatch.setitem(s3.server.listed, bucket, "some/prefix")
    monkeypatch.setattr(s3.server, "hides", hides)
    store = open_store(s3.uri, SMALL)
    for attempt in (store.read, store.stat):
        with pytest.raises(NotFound, match="expected an object s3://.*/prefix/key, received none; check the name"):
            attempt("key")
    assert not store.exists("key")
    store.write_bytes("photos/cat/1.jpg", b"x", if_absent=True)
    assert store.read_bytes("photos/cat/1.jpg") == b"x"
    assert [stored.key for stored in store_source.find(f"{s3.uri}/photos").objects()] == [
        "some/prefix/photos/cat/1.jpg"
    ]
    elsewhere = open_store(f"s3://{bucket}/other/team", SMALL)
    if hides:
        with pytest.raises(Denied, match="no permission for .*/other/team/key"):
            elsewhere.read("key")


@pytest.mark.parametrize("tokens", ["gives none", "ignores them"])
def test_a_listing_without_its_rest_is_refused(s3, monkeypatch, tokens):
    """A store that knows only the first version of listings ends them after a page, or gives that page for ever."""
    store = open_store(s3.uri, SMALL)
    for number in range(5):
        store.write_bytes(f"{number}.jpg", b"x")
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    serialized, app = S3Response.serialized, s3.server.app

    def without_token(self, answer):
        status, headers, text = serialized(self, answer)
        return status, headers, re.sub("<NextContinuationToken>.*?</NextContinuationToken>", "<NextMarker/>", text)

    def first_page(environ, start_response):
        query = re.sub("continuation-token=[^&]*&?", "", environ["QUERY_STRING"])
        return app({**environ, "QUERY_STRING": query}, start_response)

    if tokens == "gives none":
        monkeypatch.setattr(S3Response, "serialized", without_token)
    else:
        monkeypatch.setattr(s3.server, "app", first_page)
    with pytest.raises(StorageError, match="received no token .* does not know ListObjectsV2; update it or choose"):
        list(store.list())
