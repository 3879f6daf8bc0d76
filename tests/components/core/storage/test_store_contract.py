"""What every store promises, shown on a local directory, a GCS server and an S3 server alike."""

import collections
import concurrent.futures
import os
import shutil
import time

import pytest
from botocore.utils import parse_timestamp

from components.core.errors import PipelineError
from components.core.files import lock
from components.core.storage import NotFound, PreconditionFailed, StorageError, Stored, open_store
from components.core.storage.s3_client import moment
from tests.servers.small import SMALL

ODD_KEYS = [
    "a b.txt",
    "a#b?c=d&e%20f.txt",
    "täglich/Größe 漢字 🙂.txt",
    "plus+plus/semi;colon,comma",
    "dots...and~tilde'\"quotes",
]


@pytest.fixture
def store(place):
    return open_store(place.uri, SMALL)


def test_any_key_goes_there_and_back(store, tmp_path):
    for key in ODD_KEYS:
        stored = store.write_bytes(key, key.encode())
        assert (stored.key, stored.size) == (key, len(key.encode()))
        assert store.read_bytes(key) == key.encode()
        assert [found.key for found in store.list()] == [key]
        store.copy(key, f"copied/{key}")
        store.download_file(f"copied/{key}", tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == key.encode()
        store.delete(f"copied/{key}")
        store.delete(key)
        assert not store.exists(key)


def test_files_of_every_size_go_there_and_back(store, tmp_path):
    for size in (0, 1, SMALL.chunk, SMALL.chunk + 1, SMALL.part, SMALL.part + 1, 5 * SMALL.part + 17):
        data = os.urandom(size)
        (tmp_path / "there").write_bytes(data)
        stored = store.upload_file(tmp_path / "there", f"deep/down/{size}.bin")
        assert (stored.key, stored.size) == (f"deep/down/{size}.bin", size)
        back = tmp_path / "back" / f"{size}.bin"
        store.download_file(f"deep/down/{size}.bin", back)
        assert back.read_bytes() == data
        assert [path.name for path in back.parent.iterdir()] == [back.name]
        back.unlink()


def test_files_of_one_request_hold_no_more_memory_than_reads_do(tmp_path):
    """32 of 8 MiB took 256 MB."""
    store = open_store(str(tmp_path / "store"), SMALL)
    files = [(tmp_path / str(number), str(number)) for number in range(2 * SMALL.workers)]
    for path, _ in files:
        path.write_bytes(bytes(SMALL.part))
    held, most, really_put = collections.Counter(), [], store.backend.put

    def put(key: str, data: bytes, over: str | None) -> Stored:
        held[key] = len(data)
        time.sleep(0.05)  # all who may begin have begun
        most.append(held.total())
        del held[key]
        return really_put(key, data, over)

    store.backend.put = put
    store.upload_files(files)
    assert max(most) <= SMALL.workers * SMALL.chunk


def test_an_object_is_replaced_whole(store, tmp_path):
    for size in (5 * SMALL.part, 3, 2 * SMALL.part):
        (tmp_path / "there").write_bytes(data := os.urandom(size))
        store.upload_file(tmp_path / "there", "file")
        store.download_file("file", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == data


def test_directories_go_there_and_back(store, tmp_path):
    files = {"a.txt": b"a", "sub/b.bin": os.urandom(3 * SMALL.part), "sub/sub/c": b"", "z": os.urandom(SMALL.chunk)}
    for name, data in files.items():
        (tmp_path / "there" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "there" / name).write_bytes(data)
    store.write_bytes("beside", b"not part of it")
    store.write_bytes("dir2/neither", b"nor this")
    sent = store.upload_directory(tmp_path / "there", "dir")
    assert [stored.key for stored in sent] == [f"dir/{name}" for name in sorted(files)]
    got = store.download_directory("dir", tmp_path / "back")
    assert sorted(stored.key for stored in got) == sorted(f"dir/{name}" for name in files)
    back = tmp_path / "back"
    assert {path.relative_to(back).as_posix(): path.read_bytes() for path in back.rglob("*") if path.is_file()} == files


def test_listing(store):
    for key in ("m/1/x", "m/2/y", "m/2/z", "m/top", "n"):
        store.write_bytes(key, key.encode())
    assert [stored.key for stored in store.list()] == ["m/1/x", "m/2/y", "m/2/z", "m/top", "n"]
    assert [(stored.key, stored.size) for stored in store.list("m/2")] == [("m/2/y", 5), ("m/2/z", 5)]
    assert store.directories("m") == ["1", "2"]
    assert store.directories() == ["m"]
    assert [stored.key for stored in store.files("m")] == ["m/top"]
    assert list(store.list("nothing")) == [] and store.directories("nothing") == []
    assert next(store.list("m/2")).updated > 1_600_000_000


def test_listing_in_pages(store, place, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    if place.scheme == "gs":
        monkeypatch.setattr(place.server.state, "page", 3)
    keys = [f"{number:02d}/x" for number in range(10)]
    for key in keys:
        store.write_bytes(key, b"")
    assert [stored.key for stored in store.list()] == keys
    assert store.directories() == [key[:2] for key in keys]


def test_a_condition_that_fails_changes_nothing(store):
    first = store.write_bytes("pointer", b"one", if_absent=True)
    with pytest.raises(PreconditionFailed):
        store.write_bytes("pointer", b"two", if_absent=True)
    second = store.write_bytes("pointer", b"two", if_generation=first.generation)
    assert second.generation != first.generation
    with pytest.raises(PreconditionFailed):
        store.write_bytes("pointer", b"three", if_generation=first.generation)
    with pytest.raises(PreconditionFailed):
        store.write_bytes("elsewhere", b"three", if_generation=first.generation)
    with pytest.raises(PreconditionFailed):
        store.read_as_listed(first)
    data, stored = store.read("pointer")
    assert (data, stored.generation) == (b"two", second.generation)
    assert not store.exists("elsewhere")


def test_of_many_who_create_one_wins(store):
    def create(number: int) -> bool:
        try:
            store.write_bytes("claim", str(number).encode(), if_absent=True)
        except PreconditionFailed:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        won = [number for number, done in enumerate(pool.map(create, range(24))) if done]
    assert len(won) == 1
    assert store.read_bytes("claim") == str(won[0]).encode()


def test_compare_and_set_loses_no_update(store):
    store.write_bytes("count", b"0")

    def add(times: int) -> None:
        while times:
            data, stored = store.read("count")
            try:
                store.write_bytes("count", str(int(data) + 1).encode(), if_generation=stored.generation)
            except PreconditionFailed:
                continue
            times -= 1

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(add, [5] * 4))
    assert store.read_bytes("count") == b"20"


def test_a_directory_is_changed_by_one_at_a_time(tmp_path):
    """Of two that saw the same state one fails, however long both wait for who holds the lock."""
    store = open_store(str(tmp_path))
    seen, held = store.write_bytes("count", b"0").generation, lock(tmp_path)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(store.write_bytes, "count", b"1", if_generation=seen) for _ in range(2)]
        concurrent.futures.wait(writing, timeout=0.2)
        assert store.read_bytes("count") == b"0"
        os.close(held)
    assert sum(isinstance(each.exception(), PreconditionFailed) for each in writing) == 1


def test_what_is_missing_is_named(store, tmp_path):
    for look in (store.stat, store.read_bytes, lambda key: store.download_file(key, tmp_path / "x")):
        with pytest.raises(NotFound, match="expected an object .*no/such.bin, received none"):
            look("no/such.bin")
    with pytest.raises(NotFound, match="expected objects below .*nothing/, received none"):
        store.download_directory("nothing", tmp_path / "x")
    store.delete("no/such.bin")
    assert not (tmp_path / "x").exists()


def test_deleting_leaves_no_directory(store):
    store.write_bytes("model/7/saved_model.pb", b"x")
    store.write_bytes("model/champion.json", b"x")
    store.delete("model/7/saved_model.pb")
    assert store.directories("model") == []


IMPOSSIBLE_KEYS = {
    "": "empty",
    "k" * 1025: "1025 bytes",
    "ü" * 513: "1026 bytes",
    "a\nb": "control",
    "a\x00b": "control",
}


def test_impossible_keys_are_refused(gcs):
    store = open_store(gcs.uri.removesuffix("/some/prefix"), SMALL)
    for key, said in IMPOSSIBLE_KEYS.items():
        with pytest.raises(StorageError, match=said):
            store.write_bytes(key, b"")
    assert gcs.proxy.requests == []


def test_keys_that_lead_out_of_the_directory_are_refused(gcs, tmp_path):
    store = open_store(gcs.uri, SMALL)
    for number, key in enumerate(["../out", "/abs", "a//b", "a/./b", "a/../../b"]):
        store.write_bytes(f"evil{number}/{key}", b"x")
        with pytest.raises(StorageError, match="can be a local file"):
            store.download_directory(f"evil{number}", tmp_path / "in")
        with pytest.raises(StorageError, match="can be a local file"):
            open_store(str(tmp_path / "in")).write_bytes(key, b"x")
    assert not (tmp_path / "out").exists()


def test_markers_of_directories_are_not_files(bucket, tmp_path):
    store = open_store(bucket.uri, SMALL)
    store.write_bytes("photos/", b"")
    store.write_bytes("photos/cat/", b"")
    store.write_bytes("photos/cat/1.jpg", b"x")
    assert [stored.key for stored in store.list()] == ["photos/cat/1.jpg"]
    store.download_directory("photos", tmp_path / "photos")
    assert (tmp_path / "photos" / "cat" / "1.jpg").read_bytes() == b"x"


@pytest.mark.parametrize("said", ["2026-11-26T18:00:00.000Z", "2026-11-26T18:00:00Z", "Thu, 26 Nov 2026 18:00:00 GMT"])
def test_a_date_of_s3_is_what_botocore_takes_it_for(said):
    assert moment(said) == parse_timestamp(said)


def test_a_copy_is_of_the_generation_that_was_read(store):
    """A registry's deletion replaces the manifest that a promotion has read."""
    read = store.write_bytes("staged", b"old").generation
    store.write_bytes("staged", b"new")
    with pytest.raises(PreconditionFailed):
        store.copy("staged", "served", if_generation=read)
    assert not store.exists("served")
    store.copy("staged", "served", if_generation=store.stat("staged").generation)
    assert store.read_bytes("served") == b"new"


@pytest.mark.parametrize("after", ["deleted", "replaced"])
def test_a_copy_in_a_directory_never_shows_what_has_gone_meanwhile(tmp_path, monkeypatch, after):
    """A registry's deletion replaces the manifest that a promotion is copying: the version came back."""
    store, really_copy = open_store(str(tmp_path)), shutil.copyfile
    store.write_bytes("staged", b"old")

    def overtaken(source, beside):
        really_copy(source, beside)
        store.delete("staged") if after == "deleted" else store.write_bytes("staged", b"new")

    monkeypatch.setattr(shutil, "copyfile", overtaken)
    with pytest.raises((NotFound, PreconditionFailed)):
        store.copy("staged", "served")
    assert not store.exists("served")


def test_what_is_too_large_for_the_disk_is_not_begun(store, tiny_disk):
    store.write_bytes("large", bytes(2 << 20))
    with pytest.raises(PipelineError, match=r"expected 2\.1 MB free in .*tiny/new, received 1\.0 MB; make room"):
        store.download_directory("", tiny_disk / "new")
    assert not list(tiny_disk.iterdir())


def test_a_file_in_a_directory_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """After a loss of power a champion of no bytes would be the champion."""
    store, really_sync, synced = open_store(str(tmp_path)), os.fsync, []

    def watched(descriptor: int) -> None:
        really_sync(descriptor)
        synced.append((os.fstat(descriptor).st_size, store.exists("champion.json")))

    monkeypatch.setattr(os, "fsync", watched)
    store.write_bytes("champion.json", b"{}")
    assert synced == [(2, False)]
