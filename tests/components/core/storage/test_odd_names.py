"""Names at the edges: as long as a file system allows, or such as unfinished files have."""

import os

import pytest

from components.core.storage import StorageError, open_store
from tests.servers.small import SMALL


@pytest.mark.parametrize("length", [241, 247, 255])
@pytest.mark.parametrize("size", [10, 3 * SMALL.chunk])
def test_names_up_to_the_longest_go_there_and_back(place, tmp_path, length, size):
    store, name = open_store(place.uri, SMALL), "n" * (length - 4) + ".bin"
    (tmp_path / name).write_bytes(data := os.urandom(size))
    store.upload_file(tmp_path / name, f"dir/{name}")
    (back,) = store.download_directory("dir", tmp_path / "back")
    assert back.key == f"dir/{name}"
    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == {name: data}


@pytest.mark.parametrize("key", ["dir/" + "n" * 256, "n" * 256 + "/file"])
def test_a_name_that_no_file_can_have_is_one_line(bucket, tmp_path, key):
    store = open_store(bucket.uri, SMALL)
    store.write_bytes(key, b"x")
    (tmp_path / "back" / "dir").mkdir(parents=True)  # as an earlier try leaves it
    with pytest.raises(StorageError, match="can't write .*File name too long"):
        store.download_directory("", tmp_path / "back")


def test_partial_inside_a_name_is_a_name_like_any_other(place, tmp_path, capsys):
    store, names = open_store(place.uri, SMALL), ["a.partial", "my.partial.csv", ".hidden.partial.csv", ".partially"]
    for name in names:
        (tmp_path / "there" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "there" / name).write_text(name)
    store.upload_directory(tmp_path / "there", "dir")
    assert sorted(stored.key for stored in store.list("dir")) == sorted(f"dir/{name}" for name in names)
    store.download_directory("dir", tmp_path / "back")
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == sorted(names)
    assert capsys.readouterr().out == ""


def test_unfinished_files_are_left_out_and_told(place, tmp_path, capsys):
    """Those of downloads and of whole_file: left out, and not silently."""
    store = open_store(place.uri, SMALL)
    for name in ("whole", ".big.partial", ".big.partial.done", ".x.0123456789ab.partial"):
        (tmp_path / name).write_text(name)
    store.upload_directory(tmp_path, "dir", "send")
    assert [stored.key for stored in store.list("dir")] == ["dir/whole"]
    assert capsys.readouterr().out.startswith("send: 3 unfinished files are left out, for instance ")


def test_a_directory_hides_only_its_own_unfinished_objects(tmp_path):
    store = open_store(str(tmp_path))
    store.write_bytes(".a.partial.txt", b"x")
    store.write_bytes(".a.partial", b"x")
    (tmp_path / f".{'0' * 32}.partial").write_text("on its way")
    assert [stored.key for stored in store.list()] == [".a.partial", ".a.partial.txt"]
    assert [stored.key for stored in store.files()] == [".a.partial", ".a.partial.txt"]
    with pytest.raises(StorageError, match="expected another name"):
        store.write_bytes(f".{'1' * 32}.partial", b"x")
