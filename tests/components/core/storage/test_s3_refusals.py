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
        (403, "RequestTimeTooSkewed", "the clock here is more than 15 minutes off"),
        (403, "AccessDenied", "no permission for .*/prefix/key"),
        (403, "NotNamedAnywhere", "no permission for .*/prefix/key"),
        (413, "", "takes no 8 MiB at once; raise its limit"),
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


def test_a_store_that_knows_no_conditions_is_told_as_that(s3, monkeypatch):
    """It was `status 501 NotImplemented`."""
    monkeypatch.setattr(s3.server, "refused", (501, "NotImplemented"))
    with pytest.raises(StorageError, match="the store of s3://bucket-.* knows no preconditions of writes"):
        open_store(s3.uri, SMALL).write_bytes("key", b"x", if_absent=True)


def test_a_key_that_may_not_be_used_is_told_as_that(s3, monkeypatch):
    """No right on the bucket helps."""
    monkeypatch.setattr(s3.server, "refused", (403, "AccessDenied", "is not authorized to perform: kms:Decrypt"))
    with pytest.raises(Denied, match="no permission for .*/prefix/key; allow kms:Decrypt and kms:GenerateDataKey on"):
        open_store(s3.uri, SMALL).read_bytes("key")


def test_where_rights_end_at_a_prefix_what_is_not_there_is_found_out(s3, monkeypatch):
    """AWS answers 403 for it: a listing, which names the prefix, is what it does allow."""
    monkeypatch.setattr(s3.server, "profiles", {s3.uri.split("/")[2]})
    monkeypatch.setattr(s3.server, "hides", True)
    store = open_store(s3.uri, SMALL)
    for attempt in (store.read, store.stat):
        with pytest.raises(NotFound, match="expected an object s3://.*/prefix/key, received none; check the name"):
            attempt("key")
    assert not store.exists("key")
    store.write_bytes("photos/cat/1.jpg", b"x", if_absent=True)
    assert store.read_bytes("photos/cat/1.jpg") == b"x"
    [found] = store_source.find_source(f"{s3.uri}/photos").objects()
    assert found.key == "some/prefix/photos/cat/1.jpg"


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
