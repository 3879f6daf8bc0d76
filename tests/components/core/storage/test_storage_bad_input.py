"""What a person can get wrong about storage: one clear line each."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from components.core.storage import BucketMissing, Denied, StorageError, open_store
from pipeline import ROOT
from tests.servers.http_api import Api
from tests.servers.s3 import SECRET_KEY
from tests.servers.small import SMALL


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("ftp://host/x", "received the scheme 'ftp'; known: file, gs, minio, s3"),
        ("minoi://bucket", "did you mean 'minio'"),
        ("gs://", "without a bucket"),
        ("s3:///key", "without a bucket"),
        ("gs://my bucket/x", "expected a bucket name"),
        ("gs://b", "expected a bucket name"),
        ("file://relative/path", "expected file:///an/absolute/path"),
        ("file:///", "expected file:///an/absolute/path"),
        ("gs://bucket/a\nb", "control characters"),
        ("s3://photos--use1-az4--x-s3/new", "received the directory bucket photos--use1-az4--x-s3; choose another"),
    ],
)
def test_impossible_places(uri, said):
    with pytest.raises(StorageError, match=said):
        open_store(uri)


def test_credentials_in_a_uri_are_refused_and_not_repeated():
    with pytest.raises(StorageError, match="credentials in it") as raised:
        open_store("s3://AKIA:very-secret@bucket/key")
    assert "very-secret" not in str(raised.value) and "AKIA" not in str(raised.value)


def test_a_missing_bucket_is_not_a_missing_object(bucket, tmp_path):
    (tmp_path / "small").write_bytes(b"x")
    (tmp_path / "large").write_bytes(os.urandom(3 * SMALL.part))
    store = open_store(f"{bucket.scheme}://no-such-bucket/prefix", SMALL)
    for attempt in (
        lambda: store.read_bytes("key"),
        lambda: store.stat("key"),
        lambda: store.exists("key"),
        lambda: store.write_bytes("key", b"x"),
        lambda: list(store.list()),
        lambda: store.directories(),
        lambda: store.upload_file(tmp_path / "small", "key"),
        lambda: store.upload_file(tmp_path / "large", "key"),
        lambda: store.download_file("key", tmp_path / "x"),
        lambda: store.download_directory("", tmp_path / "x"),
    ):
        with pytest.raises(BucketMissing, match="expected a bucket .*no-such-bucket, received none"):
            attempt()


def test_no_permission(bucket, tmp_path):
    name = bucket.uri.split("/")[2]
    forbidden = bucket.server.state.forbidden if bucket.scheme == "gs" else bucket.server.forbidden
    forbidden.add(name)
    (tmp_path / "large").write_bytes(os.urandom(3 * SMALL.part))
    store = open_store(bucket.uri, SMALL)
    for attempt in (
        lambda: store.read_bytes("key"),
        lambda: store.stat("key"),
        lambda: store.write_bytes("key", b"x"),
        lambda: list(store.list()),
        lambda: store.delete("key"),
        lambda: store.upload_file(tmp_path / "large", "key"),
    ):
        with pytest.raises(Denied, match="no permission for .*; (grant roles/|allow s3:)") as raised:
            attempt()
        assert SECRET_KEY not in str(raised.value)


def test_credentials_that_are_not_the_servers(bucket, monkeypatch):
    if bucket.scheme == "gs":
        monkeypatch.setattr(bucket.server.state, "token", "the-right-token")
    else:
        monkeypatch.setattr(bucket.server, "accepted", "the-right-key")
    with pytest.raises(Denied, match="refused or have expired"):
        open_store(bucket.uri, SMALL).read_bytes("key")


def test_no_google_credentials(gcs, monkeypatch, tmp_path):
    open_store(gcs.uri).write_bytes("key", b"public")
    monkeypatch.setenv("API_ENDPOINT_OVERRIDE", gcs.proxy.url)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    # No home with a login in it, and no metadata server to ask.
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    # The variable for that is read as the module is loaded, and would count for all later tests.
    monkeypatch.setattr("google.auth.compute_engine._metadata._NO_GCE_CHECK", True)
    assert open_store(gcs.uri).read_bytes("key") == b"public"
    monkeypatch.setattr(gcs.server.state, "token", "of those who may")
    with pytest.raises(Denied, match="no Google credentials found for gs://bucket-.*; run `gcloud auth"):
        open_store(gcs.uri).read_bytes("key")


def test_google_credentials_that_are_not_credentials(monkeypatch, tmp_path):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    (tmp_path / "key.json").write_text('{"type": "service_account", "private_key": "very-secret"}')
    for path in (tmp_path / "key.json", tmp_path / "missing.json"):
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        with pytest.raises(Denied, match="Google credentials") as raised:
            open_store("gs://bucket")
        assert "very-secret" not in str(raised.value)


@pytest.mark.parametrize(("scheme", "variable"), [("s3", "AWS_ACCESS_KEY_ID"), ("minio", "MINIO_ACCESS_KEY")])
def test_no_keys(s3, scheme, variable, monkeypatch):
    name, _, prefix = s3.uri.removeprefix("s3://").partition("/")
    for key, access in (("key", "private"), ("public", "public-read")):
        s3.server.client.put_object(Bucket=name, Key=f"{prefix}/{key}", Body=b"x", ACL=access)
    for setting in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(setting)
    store = open_store(f"{scheme}://{name}/{prefix}", SMALL)
    assert store.read_bytes("public") == b"x"
    with pytest.raises(Denied, match=f"no usable credentials found for {scheme}://{name}; set {variable}"):
        store.read_bytes("key")


def test_a_key_with_a_line_break_is_told_as_that(s3, monkeypatch):
    """As a Secret has it that was made by `echo`: it was a broken connection, for five minutes."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key\n")
    with pytest.raises(Denied, match="the key for s3://bucket, its token or its region has a line break in it"):
        open_store("s3://bucket", SMALL).read_bytes("key")


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    "profile", ["sso_session = team", "sso_start_url = https://team/start\nsso_region = eu-west-1"]
)
def test_a_login_by_a_browser_that_is_none_or_has_expired_is_told_as_that(s3, monkeypatch, tmp_path, profile, begun):
    """As it does every day: it was `can't work with the settings (TokenRetrievalError)`."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws/sso/cache").mkdir(parents=True)
    session = "[sso-session team]\nsso_start_url = https://team/start\nsso_region = eu-west-1\n"
    profile = f"[default]\nsso_account_id = 1\nsso_role_name = reader\n{profile}\n"
    (tmp_path / ".aws/config").write_text(profile + session)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / ".aws/config"))
    if begun:
        expired = {"accessToken": "t", "expiresAt": "2020-01-01T00:00:00Z"}
        for key in ("team", "https://team/start"):
            name = hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()
            (tmp_path / f".aws/sso/cache/{name}.json").write_text(json.dumps(expired))
    with pytest.raises(Denied, match="no usable credentials found for s3://bucket; .* log in with `aws sso login`"):
        open_store("s3://bucket", SMALL).read_bytes("key")


def test_an_endpoint_that_is_none(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "seaweedfs:9000")
    with pytest.raises(StorageError, match="expected AWS_ENDPOINT_URL to be an http"):
        open_store("s3://bucket", SMALL)


def test_an_endpoint_without_tls(s3, monkeypatch):
    """It was a broken connection, for five minutes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_in_plain_text() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=answer_in_plain_text, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(StorageError, match="endpoint of s3://bucket speaks http, not https; write http:// in AWS_"):
            open_store("s3://bucket", SMALL).read_bytes("key")


class Answering(Api):
    """An S3 server that has one answer to everything."""

    def __init__(self, status: int, code: str, headers: dict[str, str]):
        super().__init__()
        self.answer = status, (f"<Error><Code>{code}</Code><Message>{SECRET_KEY}</Message></Error>", headers)

    def handle(self, *request) -> tuple:
        return self.answer


ANSWERS = {
    "a redirect to https": (301, "", "sends to https://minio.example.com in place of an answer; set AWS_ENDPOINT_URL"),
    "the page of a login": (302, "", "sends to https://minio.example.com in place of an answer"),
    "nginx's redirect": (308, "", "sends to https://minio.example.com in place of an answer"),
    "MinIO's console": (200, "", "answers with a web page; set AWS_ENDPOINT_URL to the store's own address"),
    "an https server": (400, "Client sent an HTTP request to an HTTPS server.", "speaks https; write https:// in AWS_"),
    "a clock that is off": (403, "RequestTimeTooSkewed", "the clock here is more than 15 minutes off the store's"),
    "an archived object": (403, "InvalidObjectState", "s3://bucket/key is archived; restore it"),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_a_store_says_that_is_no_lack_of_permission(s3, monkeypatch, kind):
    status, code, said = ANSWERS[kind]
    server = Answering(status, code, {"Location": f"https://minio.example.com/bucket/key?token={SECRET_KEY}"})
    with server.serving() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(StorageError, match=said) as raised:
            open_store("s3://bucket", SMALL).read_bytes("key")
        if status in (200, 400):
            with pytest.raises(StorageError, match=said):
                open_store("s3://bucket", SMALL).stat("key")
    assert SECRET_KEY not in str(raised.value)
    assert len(server.requests) <= 4


def test_kubeflows_own_store_is_where_minio_uris_lead(s3, monkeypatch):
    """The same server by its other name, and the in-cluster service where no endpoint is set."""
    name = s3.uri.split("/")[2]
    open_store(f"minio://{name}", SMALL).write_bytes("key", b"x")
    assert open_store(f"s3://{name}", SMALL).read_bytes("key") == b"x"
    # Keys of its own come before AWS's, which are left to s3://.
    monkeypatch.setattr(s3.server, "accepted", "the-key-of-minio")
    monkeypatch.setenv("MINIO_ACCESS_KEY", "the-key-of-minio")
    monkeypatch.setenv("MINIO_SECRET_KEY", SECRET_KEY)
    assert open_store(f"minio://{name}", SMALL).read_bytes("key") == b"x"
    with pytest.raises(Denied):
        open_store(f"s3://{name}", SMALL).read_bytes("key")
    # So does an endpoint of its own: a company's s3:// is elsewhere.
    monkeypatch.setenv("MINIO_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.company.invalid:9000")
    assert open_store(f"minio://{name}", SMALL).read_bytes("key") == b"x"
    assert open_store(f"s3://{name}").backend.client.meta.endpoint_url == "https://s3.company.invalid:9000"
    monkeypatch.delenv("MINIO_ENDPOINT_URL")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert open_store(f"minio://{name}").backend.client.meta.endpoint_url == "http://seaweedfs.kubeflow:8333"


def test_heavy_clients_are_loaded_only_for_their_scheme(tmp_path):
    code = (
        "import sys; from components.core.storage import open_store\n"
        "open_store(sys.argv[1]).write_bytes('a', b'b')\n"
        "heavy = [name for name in ('google.cloud.storage', 'boto3', 'botocore', 'requests') if name in sys.modules]\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)


def test_local_files_in_the_way(tmp_path):
    store = open_store(str(tmp_path / "store"))
    store.write_bytes("a", b"x")
    with pytest.raises(StorageError, match="can't use .*store/a/b: "):
        store.write_bytes("a/b", b"x")
    store.write_bytes("dir/file", b"x")
    with pytest.raises(StorageError, match="received a directory"):
        store.write_bytes("dir", b"x")
    with pytest.raises(StorageError, match="received a directory"):
        store.read_bytes("dir")
    with pytest.raises(StorageError, match="File name too long"):
        store.write_bytes("n" * 300, b"x")


def test_local_files_that_can_not_be_used(place, tmp_path):
    store = open_store(place.uri, SMALL)
    with pytest.raises(StorageError, match="can't read .*missing: No such file"):
        store.upload_file(tmp_path / "missing", "key")
    with pytest.raises(StorageError, match="expected a directory to upload"):
        store.upload_directory(tmp_path / "missing", "key")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StorageError, match="expected files to upload below .*empty, received none"):
        store.upload_directory(tmp_path / "empty", "key")
    store.write_bytes("key", b"x")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="can't write .*file/below"):
        store.download_file("key", tmp_path / "file" / "below")


@pytest.mark.parametrize("room", [2 * SMALL.chunk, 5 * SMALL.chunk - 7])
def test_a_full_disk_is_a_clear_line(gcs, tmp_path, room):
    """Also if it is full in the middle of what is written, of which the system says only how much it took."""
    store = open_store(gcs.uri, SMALL)
    (tmp_path / "file").write_bytes(os.urandom(5 * SMALL.chunk))
    store.upload_file(tmp_path / "file", "key")
    code = (
        "import resource, signal, sys; from components.core.storage import open_store\n"
        "from components.core.errors import one_line_errors; from tests.servers.small import SMALL\n"
        "store = open_store(sys.argv[1], SMALL)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))\n"
        "with one_line_errors(): store.download_file('key', sys.argv[2])"
    )
    environment = {**os.environ, **gcs.environment, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, gcs.uri, str(tmp_path / "back"), str(room)],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: can't write") and done.stderr.count("\n") == 1
    assert not (tmp_path / "back").exists()
