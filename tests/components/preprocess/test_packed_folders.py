"""Folders as tar and zip pack them: links, names in any spelling, members of one name."""

import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

import numpy as np
import pytest

from components.core.errors import PipelineError
from components.download.packing import pack
from pipeline import ROOT
from tests.components.preprocess.sources import archive, class_folders, png, read_folders
from tests.trees import tree


def linked(path, kind: bytes, members: dict[str, str]):
    """Adds links, name -> target, to a tar."""
    with tarfile.open(path, "a") as tar:
        for name, target in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    return path


def payloads(source) -> dict[str, bytes]:
    """The bytes of each picture by its name."""
    found = source.payloads.read(source.offsets.tolist(), source.sizes.tolist())
    return {source.name(picture): data for picture, data in enumerate(found)}


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE])
def test_links_in_a_tar_are_the_pictures_that_they_lead_to(tmp_path, kind):
    """GNU tar packs the second of two hard links as a link."""
    members = class_folders({"cat": 2, "dog": 2})
    above = "" if kind == tarfile.LNKTYPE else "../"
    packed = linked(
        archive(tmp_path / "a.tar", members),
        kind,
        {
            "dog/again.png": f"{above}cat/0001.png",
            "dog/thrice.png": "dog/again.png" if kind == tarfile.LNKTYPE else "again.png",
            "dog/nowhere.png": f"{above}cat/9999.png",
            "dog/notes.txt": f"{above}cat/0001.png",
        },
    )
    source = read_folders(packed, tmp_path)
    same = {"dog/again.png": members["cat/0001.png"], "dog/thrice.png": members["cat/0001.png"]}
    assert payloads(source) == members | same
    assert source.labels.tolist() == [0, 0, 1, 1, 1, 1]
    assert source.ignored == {"a link to no picture of the archive": 1, "not a picture by its extension: .txt": 1}


def test_a_folder_s_tar_made_by_gnu_tar_gives_what_the_folder_gives(tmp_path):
    folder = tree(tmp_path / "photos", class_folders({"cat": 3, "dog": 3}))
    (folder / "dog" / "link.png").hardlink_to(folder / "cat" / "0002.png")
    subprocess.run(["tar", "-C", str(tmp_path), "-cf", str(tmp_path / "gnu.tar"), "photos"], check=True)
    pack(folder, tmp_path / "ours.tar")
    found = []
    for name in ("gnu.tar", "ours.tar"):
        scratch = tmp_path / f"scratch-{name}"
        scratch.mkdir()
        source = read_folders(tmp_path / name, scratch)
        assert source.ignored == {}
        found.append({name.removeprefix("photos/"): data for name, data in payloads(source).items()})
    assert found[0] == found[1]
    assert len(found[0]) == 7


@pytest.mark.parametrize(
    ("name", "target"),
    [("test", "train"), ("train/bird", "cat"), ("train/bird", "cat/more"), ("labels.csv", "labels_v3.csv")],
)
def test_a_link_to_a_folder_or_a_table_is_refused(tmp_path, name, target):
    what = "table of labels" if name == "labels.csv" else "folder"
    members = class_folders({"train/cat": 2, "train/cat/more": 2, "train/dog": 2})
    packed = linked(archive(tmp_path / "a.tar", members), tarfile.SYMTYPE, {name: target})
    with pytest.raises(PipelineError, match=f"received '{name}', a link to a {what}; put a copy in its place"):
        read_folders(packed, tmp_path)


def test_links_to_other_folders_or_hidden_ones_refuse_nothing(tmp_path):
    members = class_folders({"cat": 2, "dog": 2}) | {"cat/notes/1.txt": b"text"}
    links = {".latest": "cat", "texts": "cat/notes", "c": "ca"}
    source = read_folders(linked(archive(tmp_path / "a.tar", members), tarfile.SYMTYPE, links), tmp_path)
    assert len(source) == 4


def test_links_that_lead_round_in_a_circle_lead_nowhere(tmp_path):
    packed = linked(
        archive(tmp_path / "a.tar", class_folders({"cat": 2, "dog": 2})),
        tarfile.SYMTYPE,
        {"dog/a.png": "b.png", "dog/b.png": "a.png", "dog/c.png": "c.png"},
    )
    source = read_folders(packed, tmp_path)
    assert len(source) == 4
    assert source.ignored == {"a link to no picture of the archive": 3}


@pytest.mark.parametrize("ending", ["tar", "zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_members_of_one_name_the_last_counts(tmp_path, ending):
    members = [*class_folders({"cat": 3, "dog": 3}).items(), ("cat/0001.png", png(77)), ("dog/0000.png", png(78))]
    source = read_folders(archive(tmp_path / f"a.{ending}", [*members, ("cat/0001.png", png(79))]), tmp_path)
    found = payloads(source)
    assert (found["cat/0001.png"], found["dog/0000.png"]) == (png(79), png(78))
    assert (len(source), len(found)) == (6, 6)
    assert source.ignored == {"replaced by a later member of the same name": 3}


def test_names_in_a_zip_are_read_as_unzip_reads_them(tmp_path):
    """Info-ZIP's `zip -r` writes UTF-8 without saying so; macOS takes accents apart; Windows writes code page 437."""
    members = {
        "Käse/1.png": "Käse".encode(),
        "Käse/2.png": "Käse".encode(),
        "Müsli/3.png": "Müsli".encode("cp437"),
        "Brot/4.png": b"Brot",
    }
    path = archive(tmp_path / "a.zip", {name.rpartition("/")[2].rjust(20, "x"): png(1) for name in members})
    data = path.read_bytes()
    for name, folder in members.items():
        base = name.rpartition("/")[2]
        written = base.rjust(20, "x").encode()
        wanted = folder + b"/" + base.encode()
        data = data.replace(written, (folder + b"/").ljust(20 - len(base), b"/") + base.encode())
        assert len(wanted) <= 20
    path.write_bytes(data)
    source = read_folders(path, tmp_path)
    assert source.class_names == ["Brot", "Käse", "Müsli"]
    assert np.bincount(source.labels).tolist() == [1, 2, 1]


@pytest.mark.parametrize("second_name", [True, False])
def test_names_in_a_zip_of_another_alphabet_are_told_unless_they_stand_there_in_unicode(tmp_path, capsys, second_name):
    """As Chinese Windows packs them: GBK, by WinRAR with the name once more."""
    folders = {"猫": "aa", "狗": "bb"}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for folder, stand_in in folders.items():
            packed.writestr(member := zipfile.ZipInfo(f"{stand_in}/1.png"), png(len(packed.infolist())))
            written = f"{folder}/1.png".encode("gbk")
            again = struct.pack("<BI", 1, zlib.crc32(written)) + f"{folder}/1.png".encode()
            times = struct.pack("<HHBI", 0x5455, 5, 1, 0)
            member.extra = times + (struct.pack("<HH", 0x7075, len(again)) + again if second_name else b"")
    data = (tmp_path / "a.zip").read_bytes()
    for folder, stand_in in folders.items():
        data = data.replace(f"{stand_in}/1.png".encode(), f"{folder}/1.png".encode("gbk"))
    (tmp_path / "a.zip").write_bytes(data)
    source = read_folders(tmp_path / "a.zip", tmp_path)
    told = "does not say in which alphabet" in capsys.readouterr().out
    assert (source.class_names == ["狗", "猫"], told) == (second_name, not second_name)


def test_zip_r_of_a_folder_with_an_umlaut(tmp_path):
    if shutil.which("zip") is None:
        pytest.skip("no zip on this machine")
    food = tree(tmp_path / "food", class_folders({"Käse": 2, "Brot": 2}))
    subprocess.run(["zip", "-qr", "../a.zip", "."], cwd=food, check=True)
    assert read_folders(tmp_path / "a.zip", tmp_path).class_names == ["Brot", "Käse"]


def test_names_are_the_same_whatever_the_alphabet_of_the_machine(tmp_path):
    """With an older locale a class was called otherwise, and the data set another one."""
    with tarfile.open(tmp_path / "gnu.tar", "w", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar:
        tar.addfile(tarfile.TarInfo("Käse/1.png"))
    program = (
        "import pathlib, sys; from components.core.pictures.archives import iter_members; "
        "print(ascii([name for name, _, _ in iter_members(pathlib.Path(sys.argv[1]))]))"
    )
    older = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", program, str(tmp_path / "gnu.tar")]
    ended = subprocess.run(command, env=older, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "['K\\xe4se/1.png']\n"
