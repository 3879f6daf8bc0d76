"""Data from a path or a file:// URI: copied byte for byte, or refused with one line that says why."""

import gzip
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from components.core.artifacts.raw import read_raw
from components.core.catalog import KnownDataset
from components.core.errors import PipelineError
from components.core.pictures import packed
from components.core.pictures.archives import iter_members
from components.download.file_to_fetch import FileToFetch, Sums, check_sums
from components.download.run import download
from components.download.settings import DownloadSettings
from tests.components.download.faulty_server import DATA, original, tar_gz

SHARED = pathlib.Path(__file__).parents[4] / "shared" / "data" / "cifar10-jpeg.tar.gz"


@pytest.fixture
def archive(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "my pictures.tgz"
    path.write_bytes(DATA)
    return path


def test_a_path_is_copied_and_made_absolute(archive, fetch_pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    info = fetch_pictures("my pictures.tgz")
    copied = tmp_path / "raw/pictures.tar.gz"
    assert copied.read_bytes() == DATA
    assert info.uri == str(archive)
    assert copied.stat().st_ino != archive.stat().st_ino
    assert read_raw(tmp_path / "raw") == info
    assert not (tmp_path / "cache").exists(), "a local source needs no cache"


@pytest.mark.parametrize("prefix", ["file://", "file://localhost", "file:"])
def test_a_file_uri(archive, fetch_pictures, prefix):
    info = fetch_pictures(prefix + str(archive).replace(" ", "%20"))
    assert info.files[0].sha256 == hashlib.sha256(DATA).hexdigest()


def test_the_same_source_gives_the_same_artifact(archive, fetch_pictures, tmp_path):
    fetch_pictures(archive)
    first = (tmp_path / "raw/source.json").read_bytes()
    os.utime(archive, (1, 1))
    fetch_pictures(archive)
    assert (tmp_path / "raw/source.json").read_bytes() == first


def test_class_folders_may_be_a_data_set_of_the_catalog(archive, cache, tmp_path):
    """It is known by the name it is published under, whatever the artifact calls it."""
    known, settings = KnownDataset("pictures", (original(DATA),)), DownloadSettings.checked(source=str(archive))
    assert download(settings, str(tmp_path / "raw"), known).title == settings.dataset
    archive.write_bytes(tar_gz(1000))
    with pytest.raises(PipelineError, match="received md5"):
        download(settings, str(tmp_path / "raw"), known)


def test_an_archive_bomb_is_not_unpacked_to_its_end(archive, fetch_pictures, monkeypatch):
    monkeypatch.setattr(packed, "ALWAYS_ALLOWED_BYTES", 2 << 20)
    monkeypatch.setattr(packed, "MAX_EXPANSION", 0)
    archive.write_bytes(gzip.compress(gzip.decompress(DATA) + bytes(5 << 20)))
    with pytest.raises(PipelineError, match=f"{archive}, received more; it looks like an archive bomb"):
        fetch_pictures(archive)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "received the empty file"),
        (b"<html>", "which is a web page"),
        (b"just text", "which is no archive at all"),
        (gzip.compress(b"just text" * 99, mtime=0), "gzip of something that is not a tar"),
        (DATA[: len(DATA) // 2], "truncated or damaged"),
        (DATA[:-1], "truncated or damaged"),
        (gzip.decompress(DATA)[:200_000], "truncated or damaged"),
        (DATA[:5000] + b"\0" * 100 + DATA[5100:], "truncated or damaged"),
        (bytes(10240), "without any member"),
        (b"PK\x05\x06" + bytes(18), "without any member"),
        (b"PK\x03\x04" + bytes(99), "truncated or damaged"),
    ],
)
def test_what_is_no_archive_is_refused_and_leaves_nothing(archive, fetch_pictures, tmp_path, content, said):
    archive.write_bytes(content)
    with pytest.raises(PipelineError, match=said) as refused:
        fetch_pictures(archive)
    assert str(archive) in str(refused.value)
    assert "partial" not in str(refused.value), "the person never saw the temporary folder"
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("/no/such/place.tar", "expected the file /no/such/place.tar, received nothing there"),
        ("/dev/zero", "received no regular file there"),
        ("file://elsewhere/x.tar", "expected file:///an/absolute/path, received 'file://elsewhere/x.tar'"),
        ("file:", "expected file://, received 'file:'"),
        ("gs://", "expected gs://bucket/prefix"),
        ("s3://me:hush@bucket/x.tar?hush", "received one with credentials in it"),
        ("htp://host/x.tar", "unknown scheme 'htp' in htp://host/x.tar; did you mean 'http'"),
    ],
)
def test_sources_that_can_not_be(fetch_pictures, tmp_path, source, said):
    with pytest.raises(PipelineError, match=said):
        fetch_pictures(source)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_sum_of_ones_own_is_refused_with_both(archive, fetch_pictures):
    digest = hashlib.sha256(DATA).hexdigest()
    with pytest.raises(PipelineError, match=f"sha256 {'0' * 64}, received sha256 {digest}"):
        fetch_pictures(archive, source_sha256="0" * 64)
    assert fetch_pictures(archive, source_sha256=digest).sha256 == digest


def test_published_data_from_a_path_must_be_the_published(archive, fetch_known):
    with pytest.raises(PipelineError) as refused:
        fetch_known(original(b"the published data"), source=str(archive))
    assert hashlib.md5(b"the published data").hexdigest() in str(refused.value)
    assert hashlib.md5(DATA).hexdigest() in str(refused.value)
    digest = hashlib.sha256(DATA).hexdigest()
    assert fetch_known(original(b"the published data"), source=str(archive), source_sha256=digest).sha256 == digest
    published = fetch_known(original(DATA), source=str(archive))
    assert (published.sha256, published.title) == (digest, published.dataset)


def test_idx_files_from_a_folder(fetch_known, tmp_path):
    files = {"train-images-idx3-ubyte.gz": b"pictures", "train-labels-idx1-ubyte.gz": b"labels"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    originals = [original(data, name=name) for name, data in files.items()]
    info = fetch_known(*originals, source=str(tmp_path))
    assert info.uri == str(tmp_path)
    assert [file.name for file in info.files] == list(files)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(PipelineError, match="train-labels-idx1-ubyte.gz, received nothing there"):
        fetch_known(*originals, source=str(tmp_path))


def test_the_sum_that_is_advised_for_other_idx_files_is_taken(fetch_known, tmp_path):
    names = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
    originals = [original(b"the published data", name=name) for name in names]
    for each in originals:
        (tmp_path / each.name).write_bytes(b"my own")
    with pytest.raises(
        PipelineError, match="expected train-images-idx3-ubyte.gz with md5 .* if these data are"
    ) as told:
        fetch_known(*originals, source=str(tmp_path))
    advised = re.search("give source_sha256=([0-9a-f]{64})$", str(told.value))[1]
    own = fetch_known(*originals, source=str(tmp_path), source_sha256=advised)
    # Named for where they are from: the card had said the published data's name, and their licence.
    assert (own.sha256, own.title) == (advised, tmp_path.name)
    with pytest.raises(PipelineError, match=f"expected sha256 {'0' * 64}, received {advised}"):
        fetch_known(*originals, source=str(tmp_path), source_sha256="0" * 64)


def test_own_pictures_where_a_known_data_set_belongs_are_told_what_they_take(archive, fetch_known, tmp_path):
    """Of a folder the path was to be checked, and of an archive a sum to be given, which ended in another refusal."""
    archive.write_bytes(tar_gz())
    for source in (archive, tmp_path):
        with pytest.raises(PipelineError, match="pictures of your own take dataset=image_folder$"):
            fetch_known(original(b"published"), source=str(source))


def test_the_advice_for_the_published_python_version_is_the_binary_one():
    to_fetch = FileToFetch("cifar-10-binary.tar.gz", "md5-c32a1d4ab5d03f1284b67883e8d87530")
    with pytest.raises(
        PipelineError, match="; that is the python version, .* give the binary one, cifar-10-binary.tar.gz"
    ):
        check_sums(Sums(1, "c58f30108f718f92721af3b95e74349a", "0" * 64), to_fetch, "somewhere")


def test_digits_come_with_scikit_learn_and_without_importing_it(tmp_path):
    program = (
        "import sys\n"
        "from components.download.run import download\n"
        "from components.download.settings import DownloadSettings\n"
        "download(DownloadSettings.checked(), sys.argv[1])\n"
        "print([name for name in ('sklearn', 'numpy', 'tensorflow', 'requests', 'kfp') if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "raw")]
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": "."}, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"
    info = read_raw(tmp_path / "raw")
    assert info.format == "digits"
    with gzip.open(tmp_path / "raw/digits.csv.gz", "rt") as lines:
        rows = [line.split(",") for line in lines]
    assert (len(rows), {len(row) for row in rows}) == (1797, {65})
    assert (
        json.loads((tmp_path / "raw/source.json").read_text())["uri"] == "package:sklearn/datasets/data/digits.csv.gz"
    )


@pytest.mark.skipif(not SHARED.exists(), reason="the photographs are not here")
def test_sixty_thousand_photographs(fetch_pictures, tmp_path):
    info = fetch_pictures(SHARED)
    assert info.sha256 == "00a78acaf3d7c27307ba029958650e48cba76f3704c03e4cd1dd6bf77963ed47"
    assert sum(1 for _ in iter_members(tmp_path / "raw" / info.files[0].name)) == 60_000
