"""A folder of pictures becomes one tar: the same bytes for the same contents, nothing from outside, nothing lost."""

import os
import pathlib
import tarfile

import pytest

from components.core.errors import PipelineError
from components.core.pictures.archives import iter_members
from components.download.packing import _add, pack
from tests.trees import tree

FILES = {
    "train/cat/b.jpg": b"b" * 700,
    "train/cat/a.jpg": b"",
    "train/dog/1.jpg": bytes(512),
    "train.txt": b"notes",
    f"train/dog/{'long' * 60}.jpg": b"long name",
    "train/dog/Käse.jpg": b"other alphabet",
    "train/dog/K\udce4se.jpg": b"of an older disk",
}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return write(tmp_path / "pictures", FILES)


def write(folder: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
    (folder / "train/empty").mkdir(parents=True)
    return tree(folder, files)


def packed(folder: pathlib.Path) -> bytes:
    target = folder.parent / "out.tar"
    pack(folder, target)
    return target.read_bytes()


def test_all_is_there_sorted_and_an_empty_folder_is_seen(folder):
    packed(folder)
    found = {name: file.read() for name, _, file in iter_members(folder.parent / "out.tar", files_only=False)}
    assert {name: data for name, data in found.items() if not name.endswith("/")} == FILES
    assert "train/empty/" in found
    in_train = [name for name in found if name.startswith("train/") and name.count("/") == 2]
    assert in_train == sorted(in_train)


def test_the_same_contents_give_the_same_bytes(folder, tmp_path):
    first = packed(folder)
    os.utime(folder / "train.txt", (1, 1))
    (folder / "train.txt").chmod(0o600)
    assert packed(folder) == first
    (tmp_path / "elsewhere").mkdir()
    again = write(tmp_path / "elsewhere/other name", dict(reversed(FILES.items())))
    assert packed(again) == first
    (folder / "train.txt").write_bytes(b"other")
    assert packed(folder) != first


def test_any_tar_program_reads_it_and_finds_no_owner_and_no_time(folder):
    packed(folder)
    with tarfile.open(folder.parent / "out.tar") as tar:
        members = tar.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert {m.name for m in members if m.isfile()} == set(FILES)
    assert (folder.parent / "out.tar").stat().st_size % tarfile.RECORDSIZE == 0


def test_a_link_to_a_file_inside_becomes_the_file(folder):
    (folder / "train/cat/c.jpg").symlink_to("../dog/1.jpg")
    packed(folder)
    found = {name: file.read() for name, _, file in iter_members(folder.parent / "out.tar")}
    assert found["train/cat/c.jpg"] == FILES["train/dog/1.jpg"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../outside.jpg", "../dog", "nowhere", "/"])
def test_other_links_are_refused(folder, target):
    (folder.parent / "outside.jpg").write_bytes(b"secret")
    (folder / "train/cat/c.jpg").symlink_to(target)
    with pytest.raises(PipelineError, match="received 'train/cat/c.jpg', a link to a folder, to outside or to nothing"):
        packed(folder)


def test_a_hidden_link_to_nowhere_refuses_nothing(folder):
    """As Emacs leaves one beside a file that is being edited."""
    (folder / "train/cat/.#notes.txt").symlink_to("user@host.1234:1700000000")
    (folder / "train/.cache").symlink_to("/elsewhere")
    packed(folder)
    assert {name for name, _, _ in iter_members(folder.parent / "out.tar")} == set(FILES)


def test_what_is_hidden_or_left_by_programs_stays_behind_whatever_it_is(folder, capsys):
    first = packed(folder)
    left = (".git/objects/1.jpg", ".venv/bin/1", "train/cat/.DS_Store", "lost+found/1.jpg", "train/@eaDir/1.jpg")
    tree(folder, dict.fromkeys(left, b"nobody's picture"))
    (folder / ".venv/bin/python").symlink_to("/usr/bin/python3")
    os.mkfifo(folder / ".git/fsmonitor--daemon.ipc")
    assert packed(folder) == first
    assert capsys.readouterr().out == "left behind, as hidden or left by programs: 5\n"


def test_a_file_that_goes_meanwhile_is_refused(folder):
    with tarfile.open(folder / "a.tar", "w") as tar, pytest.raises(PipelineError, match="received a change of /no"):
        _add(tar, "1.jpg", "/no/such/file")


def test_a_pipe_is_refused(folder):
    os.mkfifo(folder / "train/pipe")
    with pytest.raises(PipelineError, match="neither of them"):
        packed(folder)


def test_a_folder_without_files(tmp_path):
    (tmp_path / "empty/cat").mkdir(parents=True)
    with pytest.raises(PipelineError, match="without any file"):
        packed(tmp_path / "empty")


def test_a_folder_that_holds_the_results_is_refused(folder):
    with pytest.raises(PipelineError, match="where the results go too; move one"):
        pack(folder, folder / "out.tar")


def test_a_folder_as_source(folder, fetch_pictures, tmp_path):
    info = fetch_pictures(folder)
    assert [file.name for file in info.files] == ["pictures.tar"]
    assert info.uri == str(folder)
    assert (tmp_path / "raw/pictures.tar").read_bytes() == packed(folder)
    assert fetch_pictures(f"file://{folder}", source_sha256=info.sha256) == info
    with pytest.raises(PipelineError, match=f"expected sha256 {'0' * 64}, received {info.sha256}"):
        fetch_pictures(folder, source_sha256="0" * 64)
