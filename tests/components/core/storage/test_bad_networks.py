"""Stores and networks on bad days: the right bytes or a clear line, never a wrong or partial object taken as whole."""

import os
import signal
import subprocess
import sys
import time

import pytest

from components.core.errors import PipelineError
from components.core.progress import Progress
from components.core.storage import (
    Denied,
    Limits,
    PreconditionFailed,
    StorageError,
    Unreachable,
    open_store,
)
from components.core.storage.download import Landing
from pipeline import ROOT
from tests.servers.s3 import SECRET_KEY
from tests.servers.small import SMALL

IMPATIENT = Limits(**{**vars(SMALL), "deadline_s": 0.4, "stall_s": 0.2})
PATIENT = Limits(**{**vars(SMALL), "stall_s": 20.0})  # where requests are counted: a busy machine is slow
# One chunk or part; several of them.
SIZES = [1000, 2 * SMALL.part + 17]
REFUSED = ["status:200", "status:503", "status:429", "reset", "lose"]
ON_THE_WAY_BACK = [*REFUSED, "status:500", "truncate", "stall", "corrupt"]
ON_THE_WAY_THERE = [*REFUSED, "corrupt-upload"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("deed", ON_THE_WAY_BACK)
def test_a_download_survives(bucket, deed, size, tmp_path):
    store = open_store(bucket.uri, SMALL)
    (tmp_path / "there").write_bytes(data := os.urandom(size))
    store.upload_file(tmp_path / "there", "payload")
    fault = bucket.proxy.fail(deed, times=2, method="GET", path="payload")
    store.download_file("payload", tmp_path / "back" / "payload")
    assert fault.seen == 2
    assert (tmp_path / "back" / "payload").read_bytes() == data
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["payload"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("deed", ON_THE_WAY_THERE)
def test_an_upload_survives(bucket, deed, size, tmp_path):
    store = open_store(bucket.uri, SMALL)
    (tmp_path / "there").write_bytes(data := os.urandom(size))
    # The body of a small upload to GCS, and of a part of a large one; both are PUTs on S3.
    small_gcs = bucket.scheme == "gs" and size <= SMALL.part
    fault = bucket.proxy.fail(
        deed, times=2, method="POST" if small_gcs else "PUT", path="/o" if small_gcs else "payload"
    )
    store.upload_file(tmp_path / "there", "payload")
    assert fault.seen == 2
    bucket.proxy.faults.clear()
    assert store.stat("payload").size == size
    store.download_file("payload", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_an_answer_with_nothing_in_it_is_no_answer(bucket):
    """A gateway's, for instance: S3's listing read as an empty one, "no checkpoint yet", all else as a traceback."""
    store = open_store(bucket.uri, SMALL)
    store.write_bytes("dir/key", b"x")
    for path, deed in (
        ("", lambda: [stored.key for stored in store.list()] == ["dir/key"]),
        ("", lambda: store.directories() == ["dir"]),
        ("dir/key", lambda: store.stat("dir/key").size == 1),
        ("copied", lambda: store.copy("dir/key", "copied") is None and store.read_bytes("copied") == b"x"),
    ):
        fault = bucket.proxy.fail("status:200", path=path)
        assert deed() and fault.seen


@pytest.mark.parametrize("size", SIZES)
def test_an_upload_survives_a_store_that_does_not_look_at_what_it_takes(s3, size, tmp_path, monkeypatch):
    monkeypatch.setattr(s3.server, "careless", True)
    (tmp_path / "there").write_bytes(data := os.urandom(size))
    fault = s3.proxy.fail("corrupt-upload", method="PUT", path="payload")
    store = open_store(s3.uri, SMALL)
    store.upload_file(tmp_path / "there", "payload")
    assert fault.seen and store.read_bytes("payload") == data


def test_a_slow_line_takes_longer_for_a_part_than_a_connection_may(bucket, monkeypatch):
    """Below 54 Mbit/s no part of a large file reached GCS in ten seconds, beside seven others, however often it was
    sent."""
    monkeypatch.setattr("components.core.storage.gcs.CONNECT_TIMEOUT_S", 1.0)
    store = open_store(bucket.uri, Limits(deadline_s=30))
    bucket.proxy.fail("slow", times=9)
    store.write_bytes("part", bytes(8 << 20))
    assert len(bucket.proxy.requests) == 1


def test_the_first_step_of_a_large_upload_survives(bucket, tmp_path):
    store = open_store(bucket.uri, SMALL)
    (tmp_path / "there").write_bytes(data := os.urandom(2 * SMALL.part))
    fault = bucket.proxy.fail("status:200", method="POST", path="uploads")
    store.upload_file(tmp_path / "there", "payload")
    assert fault.seen and store.read_bytes("payload") == data


@pytest.mark.parametrize("deed", ["lose", "status:200", "status:503", "reset"])
def test_the_last_step_of_a_large_upload_survives(bucket, deed, tmp_path):
    """Where the answer is lost, the store has the object, and asking again finds no such upload."""
    store = open_store(bucket.uri, SMALL)
    (tmp_path / "there").write_bytes(data := os.urandom(5 * SMALL.part))
    fault = bucket.proxy.fail(deed, method="POST", path="uploadId=")
    store.upload_file(tmp_path / "there", "payload")
    assert fault.seen == 1
    assert store.read_bytes("payload") == data


@pytest.mark.parametrize("deed", ["status:503", "truncate", "stall", "corrupt", "refuse:AccessDenied"])
def test_a_download_that_can_not_succeed_leaves_nothing(bucket, deed, tmp_path):
    open_store(bucket.uri, SMALL).write_bytes("payload", os.urandom(1000))
    bucket.proxy.fail(deed, times=1000, path="payload")
    with pytest.raises(StorageError) as raised:
        open_store(bucket.uri, IMPATIENT).download_file("payload", tmp_path / "back" / "payload")
    assert_one_line(raised.value)
    assert not (tmp_path / "back" / "payload").exists()


@pytest.mark.parametrize("deed", ["status:503", "reset", "corrupt-upload", "refuse:AccessDenied"])
@pytest.mark.parametrize("size", SIZES)
def test_an_upload_that_can_not_succeed_leaves_nothing(bucket, deed, size, tmp_path):
    (tmp_path / "there").write_bytes(os.urandom(size))
    for method in ("PUT", "POST"):
        bucket.proxy.fail(deed, times=1000, method=method)
    with pytest.raises(StorageError) as raised:
        open_store(bucket.uri, IMPATIENT).upload_file(tmp_path / "there", "payload")
    assert_one_line(raised.value)
    bucket.proxy.faults.clear()
    assert not open_store(bucket.uri, SMALL).exists("payload")
    if bucket.scheme == "s3":  # parts are paid for until then
        assert not bucket.server.client.list_multipart_uploads(Bucket=bucket.uri.split("/")[2]).get("Uploads")


def test_a_store_that_is_down_is_given_up_at_the_deadline(bucket):
    store = open_store(bucket.uri, IMPATIENT)
    bucket.proxy.fail("status:503", times=10_000)
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"could not read .*key: answer 503.*gave up after \d+ tries"):
        store.read_bytes("key")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("names", "host", "said"),
    [
        (("STORAGE_EMULATOR_HOST", "AWS_ENDPOINT_URL"), "127.0.0.1", "connection refused;"),
        (("STORAGE_EMULATOR_HOST", "AWS_ENDPOINT_URL"), "no.invalid", "host name not found;"),
        (("HTTP_PROXY",), "127.0.0.1", "connection refused at the proxy that is set;"),
    ],
)
def test_nothing_listening_is_a_clear_line(bucket, monkeypatch, names, host, said):
    for name in names:
        monkeypatch.setenv(name, f"http://{host}:9")
    with pytest.raises(Unreachable, match=said):
        open_store(bucket.uri, IMPATIENT).read_bytes("certificates/timeout/key")


def test_kubeflows_own_store_that_is_elsewhere_is_told_how_to_find(monkeypatch):
    for name, value in {"ENDPOINT_URL": "http://no.invalid:9", "ACCESS_KEY": "a", "SECRET_KEY": "b"}.items():
        monkeypatch.setenv(f"MINIO_{name}", value)
    with pytest.raises(Unreachable, match="host name not found, which MINIO_ENDPOINT_URL says;"):
        open_store("minio://mlpipeline", IMPATIENT).read_bytes("key")


@pytest.mark.parametrize("deed", ["lose", "status:503", "reset"])
def test_a_claim_whose_answer_was_lost_is_still_ours(bucket, deed):
    """The retry of a create-if-absent finds its own object there, and must not take it for another's."""
    store = open_store(bucket.uri, SMALL)
    bucket.proxy.fail(
        deed, path="/o" if bucket.scheme == "gs" else "claim", method="POST" if bucket.scheme == "gs" else "PUT"
    )
    stored = store.write_bytes("claim", b"mine", if_absent=True)
    assert store.read("claim") == (b"mine", store.read("claim")[1])
    with pytest.raises(PreconditionFailed):
        store.write_bytes("claim", b"theirs", if_absent=True)
    # And the token that was returned is the object's, so that compare-and-set goes on from it.
    store.write_bytes("claim", b"mine, moved", if_generation=stored.generation)


def test_a_condition_on_what_was_deleted_is_told_as_that_also_at_a_second_try(bucket):
    """The second try looks for what the first may have written, and finds nothing."""
    store = open_store(bucket.uri, SMALL)
    first = store.write_bytes("pointer", b"one")
    store.delete("pointer")
    bucket.proxy.fail("status:503")
    with pytest.raises(PreconditionFailed):
        store.write_bytes("pointer", b"two", if_generation=first.generation)
    assert not store.exists("pointer")


def test_an_object_replaced_while_it_is_read_is_read_whole(bucket, tmp_path):
    store = open_store(bucket.uri, SMALL)
    (tmp_path / "file").write_bytes(os.urandom(10 * SMALL.chunk))
    store.upload_file(tmp_path / "file", "payload")
    old = store.stat("payload")
    (tmp_path / "file").write_bytes(new := os.urandom(12 * SMALL.chunk))
    store.upload_file(tmp_path / "file", "payload")
    store.download_files([(old, tmp_path / "back")])
    assert (tmp_path / "back").read_bytes() == new


def test_an_object_damaged_in_the_store_is_refused(bucket, tmp_path):
    """Bytes that do not have the checksum that was stored with them."""
    store = open_store(bucket.uri, SMALL)
    (tmp_path / "file").write_bytes(os.urandom(3 * SMALL.part))
    store.upload_file(tmp_path / "file", "payload")
    bucket.proxy.fail("corrupt", times=1000, method="GET", path="payload")
    # On GCS a GET also describes the object; only its media is damaged here.
    if bucket.scheme == "gs":
        bucket.proxy.faults[0].path = "alt=media"
    with pytest.raises(StorageError, match="payload with crc32c [0-9a-f]{8}, received [0-9a-f]{8}") as raised:
        store.download_file("payload", tmp_path / "back" / "payload")
    assert_one_line(raised.value)
    assert not (tmp_path / "back" / "payload").exists()


@pytest.mark.parametrize("size", [1000, 5 * SMALL.part + 17])
def test_objects_of_other_tools_are_checked_too(s3, size, tmp_path):
    """Uploaded without our checksum, in one piece and in parts: by their ETag."""
    from boto3.s3.transfer import TransferConfig

    (tmp_path / "there").write_bytes(data := os.urandom(size))
    name, _, prefix = s3.uri.removeprefix("s3://").partition("/")
    parts = TransferConfig(multipart_threshold=SMALL.part, multipart_chunksize=SMALL.part)
    s3.server.client.upload_file(str(tmp_path / "there"), name, f"{prefix}/dir/payload", Config=parts)
    store = open_store(s3.uri, SMALL)
    store.download_directory("dir", tmp_path / "back")
    assert (tmp_path / "back" / "payload").read_bytes() == data
    (tmp_path / "back" / "payload").unlink()
    s3.proxy.fail("corrupt", times=1000, method="GET", path="payload")
    with pytest.raises(StorageError, match=r"payload with (md5|etag-\d+) [0-9a-f]{32}"):
        store.download_directory("dir", tmp_path / "back")
    assert not (tmp_path / "back" / "payload").exists()


def test_a_killed_download_goes_on_where_it_was(bucket, tmp_path):
    store = open_store(bucket.uri, SMALL)
    (tmp_path / "file").write_bytes(data := os.urandom(20 * SMALL.chunk))
    store.upload_file(tmp_path / "file", "payload")
    bucket.proxy.fail("hold", path=f"bytes={12 * SMALL.chunk}-")
    code = (
        "import sys; from components.core.storage import Limits, open_store; from tests.servers.small import SMALL\n"
        "limits = Limits(**{**vars(SMALL), 'workers': 1, 'stall_s': 60})\n"
        "open_store(sys.argv[1], limits).download_file('payload', sys.argv[2])"
    )
    target = tmp_path / "back" / "payload"
    process = subprocess.Popen(
        [sys.executable, "-c", code, bucket.uri, str(target)], cwd=ROOT, env={**os.environ, **bucket.environment}
    )
    try:
        assert bucket.proxy.held.wait(30)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not target.exists()
    bucket.proxy.requests.clear()
    store.download_file("payload", target)
    assert target.read_bytes() == data
    assert sorted(asked.partition("=")[2] for asked in chunks(bucket.proxy)) == sorted(
        f"{number * SMALL.chunk}-{(number + 1) * SMALL.chunk - 1}" for number in range(12, 20)
    )
    assert [path.name for path in target.parent.iterdir()] == ["payload"]


def test_a_foreign_partial_file_does_no_harm(bucket, tmp_path):
    """Left over from another generation, damaged on disk, or gone, as of one that was cleared away."""
    store = open_store(bucket.uri, PATIENT)
    (tmp_path / "file").write_bytes(data := os.urandom(6 * SMALL.chunk))
    store.upload_file(tmp_path / "file", "payload")
    stored = store.stat("payload")
    partial, journal = tmp_path / ".back.partial", tmp_path / ".back.partial.done"
    own = f"{stored.generation} {stored.size} {SMALL.chunk}"
    for head, there, asked in ((own, 6, 9), (own, 0, 6), ("another 1 2", 8, 6), ("", 6, 6), ("\xff", 6, 6)):
        partial.write_bytes(os.urandom(there * SMALL.chunk))
        journal.write_text(f"{head}\n0\n1\n2\nx\n77\n4")
        bucket.proxy.requests.clear()
        store.download_file("payload", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == data
        assert len(chunks(bucket.proxy)) == asked, "if half was there, that, and then all anew"
        (tmp_path / "back").unlink()


def test_a_torn_line_of_a_killed_download_is_not_added_to(gcs, tmp_path):
    """1, of 12, and 3 were 13, a chunk that nobody had fetched."""
    store = open_store(gcs.uri, SMALL)
    stored = store.write_bytes("payload", bytes(14 * SMALL.chunk))
    (tmp_path / ".back.partial").write_bytes(bytes(stored.size))
    (tmp_path / ".back.partial.done").write_text(f"{stored.generation} {stored.size} {SMALL.chunk}\n0\n1\n2\n1")
    with Progress("download", None, "B") as progress:
        next(Landing(store, stored, tmp_path / "back").tasks(progress))()
    assert Landing(store, stored, tmp_path / "back").done == {0, 1, 2, 3}


def test_a_file_of_the_same_size_is_not_taken_for_the_object(bucket, tmp_path):
    """S3's listings tell no checksums."""
    store = open_store(bucket.uri, SMALL)
    store.write_bytes("dir/1", b"new")
    (tmp_path / "1").write_bytes(b"old")
    store.download_directory("dir", tmp_path)
    assert (tmp_path / "1").read_bytes() == b"new"


def test_files_that_are_there_are_not_fetched_again(gcs, tmp_path):
    store = open_store(gcs.uri, SMALL)
    for number in range(5):
        store.write_bytes(f"dir/{number}", os.urandom(1000))
    store.download_directory("dir", tmp_path / "back")
    (tmp_path / "back" / "3").write_bytes(b"damaged")
    gcs.proxy.requests.clear()
    store.download_directory("dir", tmp_path / "back")
    assert [asked.partition("?")[0].rpartition("%2F")[2] for asked in gcs.proxy.requests if "alt=media" in asked] == [
        "3"
    ]


@pytest.mark.parametrize(
    "deed", ["status:401", "refuse:ExpiredToken", "refuse:InvalidAccessKeyId", "refuse:SignatureDoesNotMatch"]
)
def test_expired_credentials_are_said_at_once(bucket, deed, capfd):
    if bucket.scheme == "gs" and deed != "status:401":
        pytest.skip("S3's own words")
    store = open_store(bucket.uri, SMALL)
    bucket.proxy.fail(deed, times=1000)
    for attempt in (
        lambda: store.read_bytes("key"),
        lambda: store.stat("key"),
        lambda: store.write_bytes("key", b"x"),
        lambda: store.delete("key"),
        lambda: list(store.list()),
    ):
        with pytest.raises(Denied, match="refused or have expired") as raised:
            attempt()
        assert_one_line(raised.value)
    assert len(bucket.proxy.requests) <= 10, "credentials that were refused are not worth many tries"
    assert SECRET_KEY not in "".join(capfd.readouterr())


def test_no_secret_reaches_any_output(s3, tmp_path):
    """Another process, its warnings and tracebacks included, through every kind of failure."""
    token = "session-token-that-must-never-be-printed"
    code = (
        "import sys, warnings; warnings.simplefilter('always')\n"
        "from components.core.storage import Limits, StorageError, open_store\n"
        "from tests.servers.small import SMALL\n"
        "store = open_store(sys.argv[1], Limits(**{**vars(SMALL), 'deadline_s': 0.3, 'stall_s': 0.2}))\n"
        "for attempt in (lambda: store.read('key'), lambda: store.write_bytes('key', b'x'), lambda: list(store.list()),"
        " lambda: store.upload_file(sys.argv[2], 'key'), lambda: store.stat('key')):\n"
        "    try: attempt()\n"
        "    except StorageError as error: print(error, repr(error), error.__cause__)\n"
        "store.read_bytes('key')"
    )
    (tmp_path / "large").write_bytes(os.urandom(3 * SMALL.part))
    for deed in ("refuse:SignatureDoesNotMatch", "status:400", "reset"):
        s3.proxy.faults.clear()
        s3.proxy.fail(deed, times=10_000)
        done = subprocess.run(
            [sys.executable, "-c", code, s3.uri, str(tmp_path / "large")],
            cwd=ROOT,
            env={**os.environ, **s3.environment, "AWS_SESSION_TOKEN": token},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1, deed
        for secret in (SECRET_KEY, token):
            assert secret not in done.stdout + done.stderr, deed


def chunks(proxy) -> list[str]:
    """The byte ranges asked for, in order."""
    return [asked.rpartition(" ")[2] for asked in proxy.requests if "bytes=" in asked]


def assert_one_line(error: PipelineError) -> None:
    """One line, in words, without a secret, an address with a query or a Python object in it."""
    text = str(error)
    assert text and "\n" not in text and "<" not in text and "X-Amz" not in text and SECRET_KEY not in text
    assert error.__cause__ is None
