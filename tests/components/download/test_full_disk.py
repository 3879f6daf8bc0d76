"""A disk that fills up: seen beforehand where the size is known, one clear line where it is not."""

import os
import subprocess
import sys

import pytest

from components.core.errors import PipelineError, one_line_errors
from tests.components.download.faulty_server import Answer, original, tar_gz

DATA = tar_gz(3_000_000)


@pytest.fixture
def tiny_cache(tiny_disk, cache, monkeypatch):
    monkeypatch.setenv("CONV2D_DOWNLOAD_CACHE", str(tiny_disk))
    return tiny_disk


def test_a_file_too_large_for_the_disk_is_not_begun(server, tiny_cache, fetch_known, tmp_path):
    server.files["/small"] = DATA
    with pytest.raises(PipelineError, match=r"expected 3\.0 MB free in .*, received 1\.0 MB"):
        fetch_known(original(DATA, server.url("/small")))
    assert list(tiny_cache.glob("*.part")) == []
    assert not (tmp_path / "raw").exists()


def test_a_result_too_large_for_its_disk_is_not_begun(server, tiny_disk, fetch_known):
    server.files["/small"] = DATA
    with pytest.raises(PipelineError, match=r"expected 3\.0 MB free"):
        fetch_known(original(DATA, server.url("/small")), raw="tiny/raw")
    assert server.seen == []
    assert list(tiny_disk.iterdir()) == []


def test_a_local_source_too_large_for_the_disk(tiny_disk, fetch_known, tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(DATA)
    with pytest.raises(PipelineError, match=r"expected 3\.0 MB free"):
        fetch_known(original(DATA), raw="tiny/raw", source=str(tmp_path / "a.tar.gz"))
    assert list(tiny_disk.iterdir()) == []


def test_the_disk_fills_up_meanwhile(server, tiny_cache, fetch_known, tmp_path, capsys):
    """The server does not say how much there is. What came stays for the next run, on a larger disk or a freed one."""
    server.files["/small"] = DATA
    server.answers = [Answer(chunked=True)]
    with pytest.raises(SystemExit), one_line_errors():
        fetch_known(original(DATA, server.url("/small")))
    (said,) = capsys.readouterr().err.splitlines()
    assert "but the disk is full; free some space" in said
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("tiny", "cache")] == []
    assert {path.name.partition("small.tar.gz")[2] for path in tiny_cache.iterdir()} == {".part", ".part.json", ".lock"}


def test_the_largest_file_allowed_is_too_small(tmp_path):
    """The same without the right to mount: a limit on the size of files, as a quota would set it."""
    source = tmp_path / "a.tar.gz"
    source.write_bytes(DATA)
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "from components.core.errors import one_line_errors\n"
        "from components.download.run import download\n"
        "from components.download.settings import DownloadSettings\n"
        "with one_line_errors():\n"
        "    download(DownloadSettings.checked(dataset='image_folder', source=sys.argv[1]), sys.argv[2])\n"
    )
    command = [sys.executable, "-c", program, str(source), str(tmp_path / "raw")]
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": "."}, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: expected to read and write files")
    assert "the file grew too large" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_disk_that_may_not_be_written(tiny_disk, fetch_known, tmp_path, capsys):
    (tmp_path / "a.tar.gz").write_bytes(DATA)
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(SystemExit), one_line_errors():
        fetch_known(original(DATA), raw="tiny/raw", source=str(tmp_path / "a.tar.gz"))
    assert "it is read-only; check its owner and rights" in capsys.readouterr().err
