"""Large objects: how many parts they are sent in, and how those of other tools are proven."""

import datetime
import os

import pytest

from components.core.storage import NotFound, PreconditionFailed, StorageError, open_store
from components.core.storage import gcs as gcs_module
from components.core.storage import s3 as s3_module
from tests.servers.small import SMALL


@pytest.fixture
def foreign(s3):
    """An object that another tool uploaded in parts of these sizes."""

    def upload(*sizes: int) -> bytes:
        data, at, parts = os.urandom(sum(sizes)), 0, []
        name, _, prefix = s3.uri.removeprefix("s3://").partition("/")
        client, where = s3.server.client, {"Bucket": name, "Key": f"{prefix}/dir/payload"}
        upload_id = client.create_multipart_upload(**where)["UploadId"]
        for number, size in enumerate(sizes, 1):
            body = data[at : at + size]
            answer = client.upload_part(**where, UploadId=upload_id, PartNumber=number, Body=body)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            at += size
        client.complete_multipart_upload(**where, UploadId=upload_id, MultipartUpload={"Parts": parts})
        return data

    return upload


@pytest.mark.parametrize("parts", [(5, 8, 3), (5, 8, 2, 3), (4, 4, 4), (8, 1), (1, 8), (9,)])
def test_an_object_in_unequal_parts_is_proven(s3, foreign, parts, tmp_path):
    data = foreign(*(part * 30_000 for part in parts))
    store = open_store(s3.uri, SMALL)
    s3.proxy.fail("status:503", method="HEAD", path=f"partNumber={len(parts)}")
    store.download_directory("dir", tmp_path)
    assert (tmp_path / "payload").read_bytes() == data
    asked = [asked for asked in s3.proxy.requests if "partNumber=" in asked]
    assert len(asked) == len(parts) + 1, "one that fails has no other asked for again: there may be 10,000"
    s3.proxy.requests.clear()
    store.download_directory("dir", tmp_path)
    assert not [asked for asked in s3.proxy.requests if "bytes=" in asked], "what is there and proven is not fetched"
    (tmp_path / "payload").unlink()
    s3.proxy.fail("corrupt", times=1000, method="GET", path="payload")
    with pytest.raises(StorageError, match=r"payload with etag-\d+ [0-9a-f]{32}"):
        store.download_directory("dir", tmp_path)
    assert not (tmp_path / "payload").exists()


def test_what_answers_prove_is_not_looked_at_before(s3, tmp_path):
    """One after another, that took longer than to fetch a folder of photographs of more than a chunk."""
    s3.server.client.put_object(
        Bucket=s3.uri.split("/")[2], Key=f"{s3.uri.split('/', 3)[3]}/dir/a", Body=os.urandom(2 * SMALL.chunk)
    )
    open_store(s3.uri, SMALL).download_directory("dir", tmp_path)
    assert not [asked for asked in s3.proxy.requests if asked.startswith("HEAD")]


def test_an_object_in_parts_is_fetched_from_a_store_that_does_not_know_them(s3, foreign, tmp_path):
    """VersityGW, and StorageGRID before 11.6, answer 501."""
    data = foreign(150_000, 150_000, 90_000)
    asked = s3.proxy.fail("status:501", times=1000, method="HEAD", path="partNumber=")
    open_store(s3.uri, SMALL).download_file("dir/payload", tmp_path / "payload")
    assert (tmp_path / "payload").read_bytes() == data
    assert asked.seen


@pytest.mark.parametrize(
    ("says", "proves"),
    [
        ({"ResponseMetadata": {}}, True),
        ({"ResponseMetadata": {}, "ServerSideEncryption": "AES256"}, True),
        ({"ResponseMetadata": {}, "ServerSideEncryption": "aws:kms"}, False),
        ({"ResponseMetadata": {}, "SSECustomerAlgorithm": "AES256"}, False),
        ({}, False),  # an item of a listing, which does not tell
    ],
)
def test_an_etag_is_an_md5_only_of_an_object_that_no_key_encrypts(says, proves):
    """Else no object of such a bucket could be read: it would never be what it is said to be."""
    answer = {"ETag": f'"{"0" * 32}"', "Size": 1, "LastModified": datetime.datetime.now(datetime.UTC)}
    assert s3_module._stored("key", answer | says).checksums == ({"md5": "0" * 32} if proves else {})


@pytest.mark.parametrize("module", [gcs_module, s3_module])
def test_a_file_of_any_size_has_no_more_parts_than_a_store_takes(bucket, module, tmp_path, monkeypatch):
    """In small: 10,000 parts of 8 MiB end at 84 GB."""
    if bucket.scheme != {gcs_module: "gs", s3_module: "s3"}[module]:
        pytest.skip("the other store's")
    monkeypatch.setattr(module, "MAX_PARTS", 8)
    if bucket.scheme == "gs":
        monkeypatch.setattr(bucket.server.state, "max_parts", 8)
    (tmp_path / "large").write_bytes(data := os.urandom(20 * SMALL.part + 17))
    store = open_store(bucket.uri, SMALL)
    store.upload_file(tmp_path / "large", "key")
    assert store.read_bytes("key") == data
    assert len([asked for asked in bucket.proxy.requests if "partNumber=" in asked]) <= 8


def test_a_file_that_s3_copies_in_no_one_request_is_copied_in_parts(s3, tmp_path, monkeypatch):
    """In small: S3 refuses to copy more than 5 GB at once."""
    monkeypatch.setattr(s3.server, "largest_copy", 4 * SMALL.part)
    monkeypatch.setattr(s3_module, "LARGEST_COPY", 4 * SMALL.part)
    monkeypatch.setattr(s3_module, "COPIED_PART", SMALL.part)
    (tmp_path / "large").write_bytes(data := os.urandom(5 * SMALL.part + 17))
    store = open_store(s3.uri, SMALL)
    stored = store.upload_file(tmp_path / "large", "staged")
    store.copy("staged", "served", if_generation=stored.generation)
    assert store.read_bytes("served") == data
    assert store.stat("served").checksums == store.stat("staged").checksums
    store.write_bytes("staged", data[::-1])
    with pytest.raises(PreconditionFailed):
        store.copy("staged", "served", if_generation=stored.generation)
    store.delete("staged")
    with pytest.raises(NotFound):
        store.copy("staged", "served")
    assert store.read_bytes("served") == data


@pytest.mark.parametrize(
    ("settings", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-central-1"}, "eu-west-1"),
        ({"AWS_CONFIG_FILE": "config"}, "ap-south-1"),
    ],
)
def test_requests_to_an_endpoint_are_signed_for_the_region_that_is_set(s3, monkeypatch, tmp_path, settings, region):
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").write_text("[default]\nregion = ap-south-1\n")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert open_store(s3.uri, SMALL).backend.client.meta.region_name == region


@pytest.mark.parametrize(("style", "host"), [("", "store.example.com/team/"), ("virtual", "team.store.example.com/")])
def test_buckets_of_an_endpoint_are_addressed_as_the_users_settings_say(s3, monkeypatch, tmp_path, style, host):
    """Alibaba's OSS takes a bucket in the host's name alone, other stores in the path."""
    (tmp_path / "config").write_text(f"[default]\ns3 =\n    addressing_style = {style}\n" if style else "")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://store.example.com")
    client = open_store("s3://team", SMALL).backend.client
    asked = client.generate_presigned_url("get_object", Params={"Bucket": "team", "Key": "photos/1.jpg"})
    assert asked.startswith(f"https://{host}photos/1.jpg?")
