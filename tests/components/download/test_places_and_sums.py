"""Which of several places a file comes from, how often it is fetched, and which sums and sizes prove it."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import threading

import pytest

from components.core.errors import PipelineError
from tests.components.download.conftest import fetched, nothing_but_the_cache
from tests.components.download.faulty_server import DATA, HALF, Answer, original


def test_mirrors_are_tried_in_turn(server, second_server, fetch_known, tmp_path, capsys):
    second_server.files["/good"] = DATA
    server.answers = [Answer(status=404, body=b""), Answer(body=DATA[::-1])]
    info = fetch_known(original(DATA, server.url("/gone"), server.url("/wrong"), second_server.url("/good")))
    assert fetched(tmp_path) == DATA
    assert info.uri == server.url("/gone"), "the artifact must not depend on which mirror was up"
    assert f"no small.tar.gz from {server.url('/gone')}: HTTP 404" in capsys.readouterr().out


def test_another_mirror_continues_what_one_began(server, second_server, fetch_known, tmp_path):
    second_server.files["/small"] = DATA
    server.answers = [Answer(body=DATA, stop_after=HALF)] + [Answer(status=500, body=b"")] * 99
    fetch_known(original(DATA, server.url("/small"), second_server.url("/small")))
    assert fetched(tmp_path) == DATA
    assert [seen.range for seen in second_server.seen] == [f"bytes={HALF}-"]
    assert second_server.seen[0].sent == len(DATA) - HALF
    assert "if-range" not in second_server.seen[0].headers, "its validators are its own"


def test_a_mirrors_wrong_beginning_is_not_held_against_the_next(server, second_server, fetch_known, tmp_path):
    second_server.files["/small"] = DATA
    wrong = bytes(len(DATA))
    server.answers = [Answer(body=wrong, stop_after=HALF)] + [Answer(status=500, body=b"")] * 99
    fetch_known(original(DATA, server.url("/small"), second_server.url("/small")))
    assert fetched(tmp_path) == DATA
    assert [seen.range for seen in second_server.seen] == [f"bytes={HALF}-", None]


def test_all_mirrors_failing_is_one_line_that_names_each(server, fetch_known, tmp_path):
    with pytest.raises(PipelineError) as failed:
        fetch_known(original(DATA, server.url("/a"), server.url("/b")))
    assert server.url("/a") + ": HTTP 404" in str(failed.value)
    assert server.url("/b") + ": HTTP 404" in str(failed.value)
    assert nothing_but_the_cache(tmp_path)


def test_an_original_is_fetched_once_and_proven_each_time(server, place, fetch_known, tmp_path, cache):
    wanted = original(DATA, place)
    first = fetch_known(wanted)
    assert fetch_known(wanted, raw="again") == first
    assert len(server.seen) == 1
    assert (tmp_path / "again/small.tar.gz").read_bytes() == DATA
    assert (tmp_path / "again/source.json").read_bytes() == (tmp_path / "raw/source.json").read_bytes()
    kept = next(cache.glob("md5-*small.tar.gz"))
    kept.unlink()
    kept.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    assert fetch_known(wanted, raw="third") == first
    assert len(server.seen) == 2


def test_runs_at_once_fetch_an_original_once(server, place, fetch_known, tmp_path):
    wanted = original(DATA, place)
    runs = [threading.Thread(target=fetch_known, args=(wanted,), kwargs={"raw": f"raw{i}"}) for i in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(server.seen) == 1
    assert [(tmp_path / f"raw{i}/small.tar.gz").read_bytes() for i in range(4)] == [DATA] * 4


def test_a_file_system_without_locks_is_fetched_to_all_the_same(place, fetch_known, tmp_path, monkeypatch):
    """As Lustre is mounted in many places: it knows no flock."""

    def refused(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refused)
    fetch_known(original(DATA, place))
    assert fetched(tmp_path) == DATA


def test_a_users_own_sum_stands_in_for_the_published_one(place, fetch_known, tmp_path):
    others = original(b"the published data", "http://127.0.0.1:9/never")
    with pytest.raises(PipelineError) as refused:
        fetch_known(others, source=place)
    digest = hashlib.sha256(DATA).hexdigest()
    assert others.md5 in str(refused.value)
    assert f"give source_sha256={digest}" in str(refused.value)
    assert fetch_known(others, source=place, source_sha256=digest.upper()).sha256 == digest
    with pytest.raises(PipelineError, match=f"sha256 {'0' * 64}, received sha256 {digest}"):
        fetch_known(others, source=place, source_sha256="0" * 64)
    assert fetched(tmp_path) == DATA, "what was there stays when a new fetch fails"


def test_a_published_size_bounds_a_body_that_announces_none(server, fetch_known, cache):
    """600 MB of a wanted 1 MB were once taken; here it is 30 MB of 300 kB."""
    server.answers = [Answer(body=DATA + bytes(30 << 20), length=None)]
    with pytest.raises(PipelineError, match=f"more than the {len(DATA):,} bytes that it was published with"):
        fetch_known(original(DATA, server.url("/small.tar.gz")))
    assert sum(file.stat().st_size for file in cache.rglob("*")) < 2 * len(DATA) + (1 << 20)
    assert list(cache.rglob("*.part")) == []


def test_the_four_idx_files_come_from_a_base_uri(server, fetch_known, tmp_path, cache):
    names = [f"{a}-{b}-ubyte.gz" for a in ("train", "t10k") for b in ("images-idx3", "labels-idx1")]
    files = {name: name.encode() for name in names}
    server.files = {f"/mnist/{name}": data for name, data in files.items()}
    originals = [original(data, name=name) for name, data in files.items()]
    info = fetch_known(*originals, source=server.url("/mnist/?a=1"))
    assert info.uri == server.url("/mnist/")
    assert {name: (tmp_path / "raw" / name).read_bytes() for name in files} == files
    listing = sorted(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    assert info.sha256 == hashlib.sha256("".join(listing).encode()).hexdigest()
    assert json.loads((tmp_path / "raw/source.json").read_text())["bytes"] == sum(map(len, files.values()))
    shutil.rmtree(cache)
    server.files["/mnist/t10k-labels-idx1-ubyte.gz"] = b"other"
    with pytest.raises(PipelineError, match="expected t10k-labels-idx1-ubyte.gz with md5"):
        fetch_known(*originals, source=server.url("/mnist"))
    with pytest.raises(PipelineError, match=f"expected sha256 {info.sha256}, received"):
        fetch_known(*originals, source=server.url("/mnist"), source_sha256=info.sha256)
