"""Sources and the team's mirror in object stores: real servers, reached through a proxy that can fail."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import threading

import pytest

from components.core.artifacts.raw import LISTING_FILE, iter_listing
from components.core.catalog import Original
from components.core.errors import PipelineError
from components.core.storage import Limits, open_store
from components.download.cache import Cache, url_digest
from components.download.file_to_fetch import FileToFetch
from components.download.look import look
from components.download.mirror import Mirror
from components.download.transport import folder_at
from pipeline import ROOT
from tests.components.download.faulty_server import Server, original, tar_gz
from tests.components.preprocess.sources import archive
from tests.trees import fill, tree

PICTURES = {"cat/1.png": b"first cat", "cat/2.png": b"second cat", "dog/a b#1?.png": b"odd name"}


@pytest.fixture
def packed(tmp_path) -> bytes:
    """A small tar of class folders."""
    return archive(tmp_path / "packed.tar", PICTURES).read_bytes()


def names_in(tar: pathlib.Path) -> dict[str, bytes]:
    with tarfile.open(tar) as opened:
        return {member.name: opened.extractfile(member).read() for member in opened if member.isfile()}


def listed_in(raw: pathlib.Path) -> dict[str, int]:
    """The names and sizes in an artifact's listing."""
    return {listed.key: listed.size for _, listed in iter_listing(raw / LISTING_FILE)}


def test_an_archive_in_a_bucket_is_fetched_byte_for_byte(bucket, fetch_pictures, packed, tmp_path):
    open_store(bucket.uri).write_bytes("photos.tar", packed)
    info = fetch_pictures(f"{bucket.uri}/photos.tar")
    assert (tmp_path / "raw" / "pictures.tar").read_bytes() == packed
    assert info.uri == f"{bucket.uri}/photos.tar"
    assert info.sha256 == hashlib.sha256(packed).hexdigest()


def test_a_prefix_of_class_folders_is_packed_as_a_local_folder_is(bucket, fetch_pictures, tmp_path):
    fill(f"{bucket.uri}/photos", PICTURES)
    info = fetch_pictures(f"{bucket.uri}/photos", mirror=f"{bucket.uri}/mirror")
    assert names_in(tmp_path / "raw" / "pictures.tar") == PICTURES
    local = fetch_pictures(tree(tmp_path / "local", PICTURES)).sha256
    assert info.sha256 == local
    pinned = fetch_pictures(f"{bucket.uri}/photos", source_sha256=local)
    assert pinned.files[0].name == "pictures.tar", "that sum is of a copy, which then has to be made"


def test_without_a_mirror_a_prefix_is_listed_and_stays_where_it_is(bucket, fetch_pictures, tmp_path):
    store = open_store(fill(bucket.uri, {f"photos/{name}": data for name, data in PICTURES.items()}))
    bucket.proxy.requests.clear()
    info = fetch_pictures(f"{bucket.uri}/photos")
    assert listed_in(tmp_path / "raw") == {name: len(data) for name, data in PICTURES.items()}
    listing = info.files[0].listing
    assert (listing.uri, listing.objects) == (f"{bucket.uri}/photos", len(PICTURES))
    assert info.bytes == listing.bytes == sum(map(len, PICTURES.values()))
    assert len(bucket.proxy.requests) <= 4, "is it an object, is there a bucket, is there anything, the listing"
    assert fetch_pictures(f"{bucket.uri}/photos/").sha256 == info.sha256, "the same objects, the same listing"
    assert fetch_pictures(f"{bucket.uri}/photos", source_sha256=info.sha256).files[0].listing == listing
    store.write_bytes("photos/cat/1.png", b"other cat")
    assert fetch_pictures(f"{bucket.uri}/photos").sha256 != info.sha256


def test_a_key_that_is_no_path_is_refused_by_name(bucket, fetch_pictures, tmp_path):
    open_store(bucket.uri).write_bytes("photos/cat/1.png", b"cat")
    whole = bucket.uri.split("/", 3)
    open_store("/".join(whole[:3])).write_bytes(f"{whole[3]}/photos//2.png", b"nowhere")
    with pytest.raises(PipelineError, match="expected a key that can be a local file, received '/2.png'; rename"):
        fetch_pictures(f"{bucket.uri}/photos")
    assert not (tmp_path / "raw").exists()


def test_the_icon_of_a_folder_on_a_mac_refuses_nothing(bucket, fetch_pictures):
    """`aws s3 sync` sends it along, with the control character in its name."""
    if bucket.scheme != "s3":
        pytest.skip("one server is enough")
    open_store(bucket.uri).write_bytes("photos/cat/1.png", b"cat")
    name, _, prefix = bucket.uri.removeprefix("s3://").partition("/")
    bucket.server.client.put_object(Bucket=name, Key=f"{prefix}/photos/cat/Icon\r", Body=b"")
    assert fetch_pictures(f"{bucket.uri}/photos").files[0].listing.objects == 1


def test_a_place_with_any_characters_is_told_as_it_is(gcs, fetch_pictures):
    open_store(gcs.uri).write_bytes("a@b?c#d/cat/1.png", b"cat")
    info = fetch_pictures(f"{gcs.uri}/a@b?c#d")
    assert info.uri == info.files[0].listing.uri == f"{gcs.uri}/a@b?c#d"


@pytest.mark.parametrize("marker", ["photos", "photos/cat", "photos/dog"])
def test_the_empty_objects_that_consoles_leave_for_directories_are_no_files(bucket, fetch_pictures, tmp_path, marker):
    fill(f"{bucket.uri}/photos", PICTURES)
    fill(bucket.uri, {marker: b""})
    for place in (f"{bucket.uri}/photos", f"{bucket.uri}/photos/"):
        fetch_pictures(place)
        assert listed_in(tmp_path / "raw").keys() == PICTURES.keys()
        fetch_pictures(place, mirror=f"{bucket.uri}/mirror")
        assert names_in(tmp_path / "raw" / "pictures.tar") == PICTURES


def test_an_empty_object_is_a_marker_only_if_something_lies_below_it(gcs, fetch_pictures, tmp_path):
    names = {"a", "a!", "a!!/x.png", "a-b/1.png", "a/1.png", "b", "b-c", "b.png", "c", "c/d", "c/d/1.png"}
    fill(f"{gcs.uri}/photos", {name: b"x" if name.endswith("1.png") else b"" for name in names})
    fetch_pictures(f"{gcs.uri}/photos")
    assert listed_in(tmp_path / "raw").keys() == names - {"a", "c", "c/d"}


def test_an_empty_object_is_an_empty_file(bucket, fetch_pictures):
    open_store(bucket.uri).write_bytes("photos.tar", b"")
    with pytest.raises(PipelineError, match="received the empty file"):
        fetch_pictures(f"{bucket.uri}/photos.tar")


def test_nothing_of_a_folder_stays_in_the_cache(gcs, fetch_pictures, cache):
    open_store(gcs.uri).write_bytes("photos/cat/1.png", b"x")
    fetch_pictures(f"{gcs.uri}/photos/", mirror=f"{gcs.uri}/mirror")
    assert list(cache.rglob("*.png")) == []


def test_what_is_not_there_is_one_line(bucket, fetch_pictures, tmp_path):
    with pytest.raises(PipelineError, match=re.escape(f"{bucket.uri}/nothing.tar")):
        fetch_pictures(f"{bucket.uri}/nothing.tar")
    assert not (tmp_path / "raw").exists()


def test_an_own_sum_is_compared(gcs, fetch_pictures, packed):
    open_store(gcs.uri).write_bytes("photos.tar", packed)
    with pytest.raises(PipelineError, match="expected pictures with sha256 0000"):
        fetch_pictures(f"{gcs.uri}/photos.tar", source_sha256="0" * 64)


@pytest.mark.parametrize("deed", ["reset", "truncate", "corrupt"])
def test_a_bad_network_gives_the_right_bytes_or_a_line(bucket, fetch_pictures, packed, tmp_path, deed):
    open_store(bucket.uri).write_bytes("photos.tar", packed)
    bucket.proxy.fail(deed, times=1, method="GET", path="photos.tar")
    fetch_pictures(f"{bucket.uri}/photos.tar")
    assert (tmp_path / "raw" / "pictures.tar").read_bytes() == packed


def test_a_source_looks_otherwise_if_its_objects_changed(bucket):
    store = open_store(bucket.uri)
    store.write_bytes("photos/cat/1.png", b"one")
    folder, file = f"{bucket.uri}/photos", f"{bucket.uri}/photos/cat/1.png"
    before = look(folder), look(file)
    assert before == (look(folder), look(file))
    fill(folder, dict.fromkeys((".DS_Store", "cat/@eaDir/1.png", ".git/HEAD"), b"no picture"))
    assert (look(folder), look(file)) == before, "nobody's pictures train nothing anew"
    store.write_bytes("photos/cat/1.png", b"two")
    changed = look(folder)
    assert changed != before[0]
    assert look(file) != before[1]
    store.copy("photos/cat/1.png", "photos/dog/1.png")  # of another class: on S3 of the same ETag
    store.delete("photos/cat/1.png")
    assert look(folder) != changed


def served(server: Server, data: bytes) -> Original:
    """An original that the server has."""
    server.files["/small.tar.gz"] = data
    return original(data, server.url("/small.tar.gz"))


def test_the_mirror_is_filled_once_and_then_asked_first(bucket, server, fetch_known, cache, tmp_path):
    data = tar_gz()
    wanted = served(server, data)
    fetch_known(wanted, mirror=bucket.uri)
    for kept in cache.glob("*"):
        kept.unlink()
    asked = len(server.seen)
    info = fetch_known(wanted, raw="again", mirror=bucket.uri)
    assert len(server.seen) == asked, "the origin was not asked a second time"
    assert (tmp_path / "again" / "small.tar.gz").read_bytes() == data
    assert info.uri == server.url("/small.tar.gz"), "the artifact does not depend on who delivered"


def test_a_copy_in_the_mirror_that_is_not_the_original_is_told_and_mended(gcs, server, fetch_known, tmp_path, capsys):
    wanted = served(server, tar_gz())
    (tmp_path / wanted.name).write_bytes(tar_gz(1000))
    Mirror(gcs.uri).keep(FileToFetch(wanted.name, f"md5-{wanted.md5}"), tmp_path / wanted.name)
    for said in ("fetching the original instead", "from the mirror"):
        fetch_known(wanted, mirror=gcs.uri)
        assert (tmp_path / "raw" / wanted.name).read_bytes() == tar_gz()
        assert said in capsys.readouterr().out
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)


def test_what_no_checksum_proves_is_fetched_anew_in_spite_of_a_mirror(gcs, server, fetch_pictures):
    for data in (tar_gz(), tar_gz(1000)):
        server.files["/mine.tar.gz"] = data
        assert fetch_pictures(server.url("/mine.tar.gz"), mirror=gcs.uri).sha256 == hashlib.sha256(data).hexdigest()


def test_a_mirror_that_does_not_answer_costs_nothing_but_a_line(gcs, server, fetch_known, capsys):
    gcs.proxy.fail("status:403", times=10_000)
    fetch_known(served(server, tar_gz()), mirror=gcs.uri)
    assert "mirror" in capsys.readouterr().out


KILLED = """
import os, sys
from components.core.storage import download
from components.download.cache import Cache
from components.download.transport import folder_at
from pipeline import ROOT

unhurt = download.Landing._chunk
def killed_at_the_third(self, number, counter):
    if number == 3:
        while len(self.done) < 3:
            pass
        os.kill(os.getpid(), 9)
    unhurt(self, number, counter)
download.Landing._chunk = killed_at_the_third
with folder_at(sys.argv[1], Cache(sys.argv[2])):
    pass
"""


def test_a_killed_download_of_a_folder_goes_on_where_it_was(bucket, tmp_path, monkeypatch):
    """What has come of a large file, whose partial file is none of the store's, costs nothing that is there."""
    place, chunk = f"{bucket.uri}/shards", Limits().chunk
    store = open_store(place)
    large = os.urandom(4 * chunk)
    (tmp_path / "large").write_bytes(large)
    store.upload_file(tmp_path / "large", "0.tar")
    cache = tmp_path / "cache"
    killed = [sys.executable, "-c", KILLED, place, str(cache)]
    ended = subprocess.run(killed, cwd=ROOT, env=os.environ | bucket.environment, check=False)
    assert ended.returncode == -9
    bucket.proxy.requests.clear()
    disk = shutil.disk_usage(tmp_path)  # with room for what is left, and not for all of it once more
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk._replace(free=2 * chunk))
    with folder_at(place, Cache(cache)) as folder:
        assert (folder / "0.tar").read_bytes() == large
    assert sum("bytes=" in request for request in bucket.proxy.requests) == 1
    # And what the store has no more is not packed.
    subprocess.run(killed, cwd=ROOT, env=os.environ | bucket.environment, check=False)
    store.delete("0.tar")
    store.write_bytes("1.tar", b"another")
    with folder_at(place, Cache(cache)) as folder:
        assert [path.name for path in folder.iterdir()] == ["1.tar"]


def test_a_disk_that_takes_two_names_for_one_is_refused(gcs, fetch_pictures, cache):
    """As macOS's does; a link does the same here. One of the two pictures was lost without a word."""
    place = fill(f"{gcs.uri}/photos", {"cat/1.png": b"one", "Cat/1.png": b"two"})
    folder = cache / f"objects-{url_digest(place)}"
    (folder / "cat").mkdir(parents=True)
    (folder / "Cat").symlink_to("cat")
    with pytest.raises(PipelineError, match="expected 2 files in .*, received 1: its disk takes names in .* for one"):
        fetch_pictures(place, mirror=f"{gcs.uri}/mirror")


def test_another_run_does_not_take_the_folder_away(gcs, tmp_path):
    """Two runs at once with one cache: the second waits until the first has packed the pictures."""
    place, seen = fill(f"{gcs.uri}/photos", PICTURES), []

    def use() -> None:
        with folder_at(place, Cache(tmp_path)) as folder:
            seen.append({path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()})

    with folder_at(place, Cache(tmp_path)) as folder:
        other = threading.Thread(target=use)
        other.start()
        other.join(1)
        assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {*PICTURES}
    other.join()
    assert seen == [{*PICTURES}]
