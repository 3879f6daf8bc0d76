"""What the components build on a store: mirrors of originals, checkpoints, directories kept alike."""

import os
import pathlib
import subprocess
import sys
import threading

import pytest

from components.core.artifacts.checkpoints import Checkpoints, remove_checkpoints
from components.core.errors import PipelineError
from components.core.files import sha256_of
from components.core.storage import NotFound, Unreachable, open_store
from components.core.storage.backend import Limits
from components.download.file_to_fetch import FileToFetch
from components.download.mirror import Mirror
from components.download.store_source import find_source
from components.train.board.live import DirectorySync
from pipeline import ROOT
from tests.servers.small import SMALL


@pytest.fixture
def original(tmp_path) -> pathlib.Path:
    """A fetched file of several parts."""
    path = tmp_path / "originals" / "cifar.tar.gz"
    path.parent.mkdir()
    path.write_bytes(os.urandom(3 * SMALL.part))
    return path


@pytest.fixture
def wanted(original) -> FileToFetch:
    return FileToFetch(original.name, f"sha256-{sha256_of(original)}")


def test_a_mirror_gives_back_what_it_was_given(place, original, wanted, tmp_path):
    mirror = Mirror(place.uri, SMALL)
    assert not mirror.fetch(wanted, tmp_path / "back")
    mirror.keep(wanted, original)
    assert mirror.fetch(wanted, tmp_path / "back")
    assert sha256_of(tmp_path / "back") == sha256_of(original)
    assert not mirror.fetch(FileToFetch(original.name, "md5-of another"), tmp_path / "other")


@pytest.mark.parametrize("damage", ["other bytes", "shorter", "on the way"])
def test_a_damaged_mirror_is_told_and_repaired(gcs, original, wanted, tmp_path, capsys, damage):
    """Nothing of it stays: what lies beside the target becomes part of the artifact."""
    mirror = Mirror(gcs.uri, SMALL)
    mirror.keep(wanted, original)
    key = f"originals/{wanted.checksum}/cifar.tar.gz"
    if damage == "on the way":
        gcs.proxy.fail("corrupt", times=1000, path="alt=media")
    else:
        mirror.store.write_bytes(key, os.urandom(3 * SMALL.part if damage == "other bytes" else 10))
    (tmp_path / "raw").mkdir()
    capsys.readouterr()
    assert not mirror.fetch(wanted, tmp_path / "raw" / "cifar.tar.gz")
    assert not list((tmp_path / "raw").iterdir())
    said = capsys.readouterr().out
    assert said.startswith("mirror: expected ") and said.count("\n") == 1
    gcs.proxy.faults.clear()
    mirror.keep(wanted, original)
    assert mirror.fetch(wanted, tmp_path / "back")


def test_a_mirror_in_a_missing_bucket_is_told(gcs, original, wanted, tmp_path, capsys):
    mirror = Mirror("gs://no-such-bucket/mirror", SMALL)
    assert not mirror.fetch(wanted, tmp_path / "back")
    mirror.keep(wanted, original)
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2 and all("expected a bucket gs://no-such-bucket, received none" in line for line in told)


def test_a_uri_stands_for_an_object_or_for_what_is_below_it(bucket):
    store = open_store(bucket.uri, SMALL)
    store.write_bytes("photos.tar", b"archive")
    store.write_bytes("photos/cat/1.jpg", b"cat")
    store.write_bytes("photos/dog/2.jpg", b"dogs")
    one = find_source(f"{bucket.uri}/photos.tar")
    assert [stored.size for stored in one.objects()] == [7] == [one.file.size]
    for uri in (f"{bucket.uri}/photos", f"{bucket.uri}/photos/"):
        many = find_source(uri)
        sizes = [stored.size for stored in many.objects()]
        assert (many.file, sizes) == (None, [3, 4])
    assert len(list(find_source(f"{bucket.scheme}://{bucket.uri.split('/')[2]}").objects())) == 3
    with pytest.raises(NotFound, match="expected an object .*/phot or objects below it, received none"):
        find_source(f"{bucket.uri}/phot")
    # What was uploaded from macOS looks as it is typed, and is another name.
    store.write_bytes("Ga\u0308rten/1.jpg", b"x")
    assert find_source(f"{bucket.uri}/G\u00e4rten").uri == f"{bucket.uri}/Ga\u0308rten"


def save(checkpoints: Checkpoints, step: int, directory: pathlib.Path) -> None:
    (directory / "weights").mkdir(parents=True, exist_ok=True)
    (directory / "weights" / "w.bin").write_bytes(step.to_bytes(4, "big") * 50_000)
    (directory / "state.json").write_text(str(step))
    checkpoints.save(directory, step)


def test_the_newest_checkpoint_comes_back(place, tmp_path):
    checkpoints = Checkpoints(place.uri, limits=SMALL)
    assert checkpoints.newest(tmp_path / "back") is None
    for step in (1, 2, 10, 11):
        save(checkpoints, step, tmp_path / "local")
    assert Checkpoints(place.uri, limits=SMALL).newest(tmp_path / "back") == 11
    assert (tmp_path / "back" / "state.json").read_text() == "11"
    assert (tmp_path / "back" / "weights" / "w.bin").read_bytes() == (11).to_bytes(4, "big") * 50_000
    assert [child.partition("-")[0] for child in checkpoints.store.directories()] == ["0000000011"]
    save(Checkpoints(place.uri, limits=SMALL), 2, tmp_path / "local")  # a run of the same job, some epochs behind
    assert checkpoints.newest(tmp_path / "again") == 11
    checkpoints.delete()
    assert checkpoints.newest(tmp_path / "none") is None and not (tmp_path / "none").exists()


def test_a_damaged_checkpoint_is_refused_by_name(gcs, tmp_path):
    """It is not skipped, and training does not begin anew: who deletes it decides to lose it."""
    checkpoints = Checkpoints(gcs.uri, limits=SMALL)
    save(checkpoints, 3, tmp_path / "local")
    [three] = checkpoints.store.directories()
    checkpoints.store.write_bytes(f"{three}/state.json", b"?")
    with pytest.raises(PipelineError, match=f"{three}.*received a damaged one .*state.json.*delete it"):
        checkpoints.newest(tmp_path / "back")


def test_one_that_was_cut_off_while_written_does_not_count(gcs, tmp_path):
    checkpoints = Checkpoints(gcs.uri, limits=SMALL)
    save(checkpoints, 3, tmp_path / "local")
    checkpoints.store.write_bytes("0000000004-cutoff/state.json", b"half of it")
    assert checkpoints.newest(tmp_path / "back") == 3
    save(checkpoints, 5, tmp_path / "local")
    assert checkpoints.newest(tmp_path / "again") == 5
    assert len(checkpoints.store.directories()) == 2, "a run of the same job may be writing it"
    checkpoints.delete()
    assert checkpoints.store.directories() == []


@pytest.mark.parametrize("newer", [None, 4])
def test_one_that_is_removed_while_it_is_fetched_is_none(gcs, tmp_path, monkeypatch, newer):
    """A run of the same job has ended, or has saved the next one."""
    checkpoints, other = Checkpoints(gcs.uri, limits=SMALL), Checkpoints(gcs.uri, limits=SMALL)
    save(checkpoints, 3, tmp_path / "local")
    assert other.newest(tmp_path / "other") == 3

    def listed(prefix: str = "", listing=checkpoints.store.list):
        monkeypatch.undo()
        save(other, newer, tmp_path / "local") if newer else other.delete()
        return listing(prefix)

    monkeypatch.setattr(checkpoints.store, "list", listed)
    assert checkpoints.newest(tmp_path / "back") == newer


def test_a_run_that_has_its_model_leaves_the_checkpoint_of_one_on_its_way(gcs, tmp_path):
    run = "0" * 16
    checkpoints, ended = (Checkpoints(f"{gcs.uri}/{run}", limits=SMALL) for _ in range(2))
    save(checkpoints, 3, tmp_path / "local")
    for step in (4, 5):
        save(ended, step, tmp_path / "local")
    checkpoints.store.write_bytes("0000000004-cutoff/state.json", b"half of it")
    remove_checkpoints({"run": run, "epochs": 5, "settings": {"checkpoints": gcs.uri}})
    assert checkpoints.newest(tmp_path / "back") == 3
    assert len(checkpoints.store.directories()) == 1


def test_a_step_saved_again_does_not_touch_the_one_before(gcs, tmp_path):
    """A re-driven step saves the same epoch again, and is killed in the middle."""
    checkpoints = Checkpoints(gcs.uri, limits=SMALL)
    save(checkpoints, 5, tmp_path / "local")
    code = (
        "import sys; from components.core.artifacts.checkpoints import Checkpoints\n"
        "from tests.servers.small import SMALL\n"
        "Checkpoints(sys.argv[1], limits=SMALL).save(sys.argv[2], 5)"
    )
    gcs.proxy.fail("hold", path="partNumber")
    process = subprocess.Popen(
        [sys.executable, "-c", code, gcs.uri, str(tmp_path / "local")],
        cwd=ROOT,
        env={**os.environ, **gcs.environment},
    )
    try:
        assert gcs.proxy.held.wait(30)
    finally:
        process.kill()
        process.wait()
    gcs.proxy.faults.clear()
    assert checkpoints.newest(tmp_path / "back") == 5
    save(checkpoints, 6, tmp_path / "local")
    assert checkpoints.newest(tmp_path / "again") == 6


def test_a_store_that_is_down_never_reads_as_no_checkpoint(bucket, tmp_path):
    limits = Limits(**{**vars(SMALL), "deadline_s": 0.5})
    save(Checkpoints(bucket.uri, limits=limits), 1, tmp_path / "local")
    bucket.proxy.fail("status:503", times=1000)
    with pytest.raises(Unreachable):
        Checkpoints(bucket.uri, limits=limits).newest(tmp_path / "back")


def test_a_growing_directory_is_kept_alike(place, tmp_path):
    logs = tmp_path / "logs"
    (logs / "train").mkdir(parents=True)
    sync = DirectorySync(logs, place.uri, limits=SMALL)
    events = logs / "train" / "events.1"
    for length in (10, 1000, SMALL.part + 1, 3 * SMALL.part):
        events.write_bytes(b"e" * length)
        sync.once()
        assert (there := sync.store.stat("train/events.1")).size == length
        sync.once()
        assert sync.store.stat("train/events.1") == there, "what has not changed is not uploaded again"
    (logs / "validation").mkdir()
    (logs / "validation" / "events.2").write_bytes(b"more")
    sync.once()
    assert [stored.key for stored in sync.store.list()] == ["train/events.1", "validation/events.2"]


def test_the_last_bytes_arrive_for_sure(place, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    with pytest.raises(ValueError, match="training broke"), DirectorySync(logs, place.uri, 3600, SMALL) as sync:
        (logs / "events").write_bytes(b"the end")
        raise ValueError("training broke")
    assert sync.store.read_bytes("events") == b"the end"


def test_an_upload_happens_soon_when_asked(gcs, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    with DirectorySync(logs, gcs.uri, 3600, SMALL) as sync:
        (logs / "events").write_bytes(b"epoch 1")
        arrived = threading.Event()
        once = sync.once
        sync.once = lambda: (once(), arrived.set())
        sync.soon()
        assert arrived.wait(20)
        assert sync.store.read_bytes("events") == b"epoch 1"


def test_a_store_that_fails_meanwhile_does_not_stop_training(gcs, tmp_path, capsys):
    logs = tmp_path / "logs"
    logs.mkdir()
    limits = Limits(**{**vars(SMALL), "deadline_s": 0.2})
    with DirectorySync(logs, gcs.uri, 3600, limits) as sync:
        (logs / "events").write_bytes(b"epoch 1")
        fault = gcs.proxy.fail("status:503", times=100_000)
        tried = threading.Event()
        once = sync.once

        def attempt() -> int:
            try:
                return once()
            finally:
                tried.set()

        sync.once = attempt
        sync.soon()
        assert tried.wait(20)
        fault.times = 0
    assert sync.store.read_bytes("events") == b"epoch 1"
    assert "is uploaded at the next turn" in capsys.readouterr().out


def test_a_store_that_fails_to_the_end_is_told_and_costs_no_model(gcs, tmp_path, capsys):
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "events").write_bytes(b"epoch 1")
    gcs.proxy.fail("refuse:AccessDenied", times=1000)
    with DirectorySync(logs, gcs.uri, 3600, SMALL):
        pass
    assert "were not uploaded: " in capsys.readouterr().out
