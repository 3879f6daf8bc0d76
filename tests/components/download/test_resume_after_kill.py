"""A download killed without warning, at any moment, and run again: the same result, and only the rest is fetched."""

import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import time

from components.download.cache import Cache, Origin, Partial, url_digest
from components.download.file_to_fetch import FileToFetch
from tests.components.download.faulty_server import Answer, original, tar_gz

DATA, NEW = tar_gz(2_000_000), tar_gz(1_000_000)
PROGRAM = """
import sys
from components.core.catalog import KnownDataset, Original
from components.download.run import download
from components.download.settings import DownloadSettings

name, url, md5, size, raw = sys.argv[1:]
known = KnownDataset("cifar_binary", (Original(name, (url,), md5, int(size)),))
download(DownloadSettings.checked(dataset="cifar10"), raw, known)
"""


def test_killed_midway_and_run_again(server, cache, fetch_known, tmp_path):
    server.files["/small"] = DATA
    half = len(DATA) // 2
    server.answers = [Answer(stop_after=half, how="stall")]
    known = original(DATA, server.url("/small"))
    raw = tmp_path / "raw"
    arguments = [known.name, known.mirrors[0], known.md5, str(known.bytes), str(raw)]
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], env=os.environ | {"PYTHONPATH": "."})
    try:
        assert server.stalled.wait(60)
        partial = cache / f"md5-{known.md5}-{known.name}.part"
        # What has arrived is on disk at once, but for what is still under way or in a buffer.
        while not partial.exists() or partial.stat().st_size < half // 2:
            assert child.poll() is None
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    already = partial.stat().st_size
    assert not raw.exists()

    fetch_known(known)
    assert (raw / known.name).read_bytes() == DATA
    assert [seen.range for seen in server.seen] == [None, f"bytes={already}-"]
    assert server.seen[1].sent == len(DATA) - already
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "raw"]


def test_killed_when_all_had_come(server, cache, fetch_known, tmp_path):
    known = original(DATA, server.url("/small"))
    partial = begun(cache, known.md5, known.name, Origin("any", '"1"', len(DATA)))
    partial.path.write_bytes(DATA)
    fetch_known(known)
    assert (tmp_path / "raw" / known.name).read_bytes() == DATA
    assert server.seen == []


def test_killed_when_all_had_come_of_a_file_that_nothing_proves(server, cache, fetch_pictures, tmp_path):
    """Or the disk of the artifact was full. The server is asked whether it has changed since: the old one was taken."""
    place = server.url("/pets")
    for now, sent in ((DATA, 1), (NEW, len(NEW))):
        server.files["/pets"] = now
        partial = Partial(Cache(cache).original(FileToFetch("pictures"), place))
        cache.mkdir(exist_ok=True)
        partial.begin(Origin(url_digest(place), f'"{hashlib.md5(DATA).hexdigest()}"', len(DATA)))
        partial.path.write_bytes(DATA)
        fetch_pictures(place)
        assert (tmp_path / "raw" / "pictures.tar.gz").read_bytes() == now
        assert server.seen.pop().sent == sent


def test_killed_between_two_files_of_the_cache(server, cache, fetch_known, tmp_path):
    """Bytes whose origin is unknown, unreadable, or shorter than they are, are never used."""
    server.files["/small"] = DATA
    known = original(DATA, server.url("/small"))
    for spoil in (
        lambda partial: partial.origin_path.unlink(),
        lambda partial: partial.origin_path.write_text('{"url": "any"'),
        lambda partial: partial.origin_path.write_text("{}"),
        lambda partial: partial.path.write_bytes(DATA + b"more"),
    ):
        server.seen.clear()
        partial = begun(cache, known.md5, known.name, Origin("any", '"1"', len(DATA)))
        partial.path.write_bytes(b"other bytes")
        spoil(partial)
        fetch_known(known)
        assert (tmp_path / "raw" / known.name).read_bytes() == DATA
        assert [seen.range for seen in server.seen] == [None]


def begun(cache: pathlib.Path, md5: str, name: str, origin: Origin) -> Partial:
    for old in cache.glob("*"):
        old.unlink()
    partial = Partial(cache / f"md5-{md5}-{name}")
    partial.begin(origin)
    return partial
