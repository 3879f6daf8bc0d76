"""Pictures that lie in a store are read there: real servers, reached through a proxy that can fail."""

import shutil

import pytest
from PIL import Image

from components.core.artifacts.dataset import read_info
from components.core.artifacts.raw import iter_listing
from components.core.errors import PipelineError
from components.core.storage import open_store, parallel
from components.preprocess import targets
from components.preprocess.sources import payloads
from tests.components.preprocess.sources import archive, class_folders, encoded, noise, png
from tests.trees import fill

PICTURES = class_folders({"cat": 5, "dog": 5}) | {"cat/ä b#1?&.png": png(98), "dog/deep/er/ü.png": png(99)}


def test_a_prefix_gives_the_data_set_that_the_folder_and_its_archives_give(bucket, made, tmp_path):
    odd = {".hidden.png": b"", "cat/notes.txt": b"text", "dog": b"", "cat/broken.bin": b"\0"}
    fill(f"{bucket.uri}/photos", PICTURES | odd)
    found = made(f"{bucket.uri}/photos")
    assert not any((tmp_path / "raw").glob("pictures*")), "nothing was copied"
    fill(str(tmp_path / "local" / "photos"), PICTURES)
    mirrored = made(f"{bucket.uri}/photos", mirror=str(tmp_path / "mirror"))
    backwards = dict(reversed(PICTURES.items()))
    same = [
        made(tmp_path / "local" / "photos"),
        made(archive(tmp_path / "photos.zip", {f"mine/{name}": data for name, data in backwards.items()})),
        mirrored,
    ]
    assert {info.fingerprint for info in same} == {found.fingerprint}
    assert {info.called for info in (found, *same)} == {"photos"}
    assert "<title>photos – Data report</title>" in (tmp_path / "report.html").read_text()
    assert {info.hashes_sha256 for info in same} == {found.hashes_sha256}
    assert found.source_uri == mirrored.source_uri == f"{bucket.uri}/photos"
    assert found.splits["train"].count + found.splits["validation"].count + found.splits["test"].count == 12


def test_processes_read_for_themselves(bucket, made):
    fill(f"{bucket.uri}/photos", PICTURES)
    one = made(f"{bucket.uri}/photos")
    assert made(workers=2) == one


@pytest.mark.parametrize(("deed", "received"), [("changed", "another one"), ("gone", "none")])
def test_what_is_not_as_it_was_listed_is_refused_by_name(bucket, made, tmp_path, monkeypatch, deed, received):
    monkeypatch.setattr(bucket.server, "careless", True, raising=False)
    fill(f"{bucket.uri}/photos", PICTURES)
    made(f"{bucket.uri}/photos")
    shutil.rmtree(tmp_path / "dataset")
    store, key = open_store(bucket.uri), "photos/dog/0003.png"
    if deed == "gone":
        store.delete(key)
    else:
        # Of the same size, which tells nothing.
        store.write_bytes(key, PICTURES["dog/0003.png"][:-1] + b"\0")
    with pytest.raises(PipelineError) as refused:
        made(workers=2 if bucket.scheme == "gs" else 1)
    assert f"'{bucket.uri}/{key}' as it was when download listed it, received {received}" in str(refused.value)
    assert not (tmp_path / "dataset").exists()


def test_what_came_after_the_listing_is_not_read(gcs, made):
    """A cached download hands on the listing that it made then."""
    fill(f"{gcs.uri}/photos", PICTURES)
    before = made(f"{gcs.uri}/photos")
    fill(f"{gcs.uri}/photos", {"cat/later.png": png(500), "bird/1.png": png(501)})
    assert made() == before
    assert made(f"{gcs.uri}/photos", source_version="2").fingerprint != before.fingerprint


def test_a_bad_network_gives_the_same_data_set(bucket, made):
    fill(f"{bucket.uri}/photos", PICTURES)
    before = made(f"{bucket.uri}/photos")
    faults = [
        bucket.proxy.fail(deed, times=2, method="GET", path=f"cat/000{number}.png")
        for number, deed in enumerate(["reset", "truncate", "corrupt", "status:503"])
    ]
    assert made() == before
    assert [fault.seen for fault in faults] == [2] * 4


def test_a_store_that_refuses_is_one_line(bucket, made):
    fill(f"{bucket.uri}/photos", PICTURES)
    made(f"{bucket.uri}/photos")
    bucket.proxy.fail("status:403", times=10_000)
    with pytest.raises(PipelineError, match="no permission for"):
        made()


def test_damaged_pictures_are_left_out_by_name(gcs, made, tmp_path):
    pictures = class_folders({"cat": 101, "dog": 101}) | {"dog/bad.png": b"no picture"}
    fill(f"{gcs.uri}/photos", pictures)
    info = made(f"{gcs.uri}/photos")
    assert info.quarantined == 1
    assert "dog/bad.png" in (tmp_path / "dataset" / "quarantine.json").read_text()
    assert read_info(tmp_path / "dataset") == info


def test_photographs_are_not_fetched_whole_to_learn_their_size(gcs, made, tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "START_BYTES", 2000)
    monkeypatch.setattr(parallel, "AHEAD_BYTES", 12_000)
    pictures = {
        f"{name}/{number}.jpg": encoded(Image.fromarray(noise(number, 64, 64)), "JPEG", quality=95)
        for name, first in (("cat", 0), ("dog", 10))
        for number in range(first, first + 10)
    }
    assert min(map(len, pictures.values())) > 4000
    fill(f"{gcs.uri}/photos", pictures)
    gcs.proxy.requests.clear()
    info = made(f"{gcs.uri}/photos")
    assert info.image_shape == (64, 64, 3)
    reads = [request for request in gcs.proxy.requests if "alt=media" in request]
    assert len([read for read in reads if "bytes=0-1999" in read]) == 20
    assert len(reads) == 40
    gcs.proxy.requests.clear()
    lines = list(iter_listing(tmp_path / "raw" / "objects.jsonl"))
    store = payloads.InStore(tmp_path / "raw" / "objects.jsonl", f"{gcs.uri}/photos")
    read = store.read([offset for offset, _ in lines], [stored.size for _, stored in lines])
    assert next(read) == pictures[lines[0][1].key]
    assert len(gcs.proxy.requests) <= 3, "no more than AHEAD_BYTES are fetched ahead"
    read.close()
    assert made(archive(tmp_path / "photos.tar", pictures)).fingerprint == info.fingerprint
