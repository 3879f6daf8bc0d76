"""What folders mean: classes, splits, and folders that are neither."""

import shutil
import subprocess
import tarfile

import numpy as np
import pytest

from components.core.errors import PipelineError
from components.download.packing import pack
from components.preprocess.sources.folders import read_folders
from components.preprocess.sources.layout import read_layout
from components.preprocess.sources.source import TEST, TRAIN, VALIDATION
from tests.components.preprocess.sources import archive, class_folders, png


def layout(*folders: str):
    """One picture in each folder."""
    pictures = {tuple(part for part in folder.split("/") if part): 1 for folder in folders}
    return read_layout(pictures)


@pytest.mark.parametrize(
    ("folders", "places"),
    [
        (["cat", "dog"], {"cat": (0, TRAIN), "dog": (1, TRAIN)}),
        (["photos/dog", "photos/cat"], {"photos/cat": (0, TRAIN), "photos/dog": (1, TRAIN)}),
        (["a/b/dog", "a/b/cat"], {"a/b/cat": (0, TRAIN), "a/b/dog": (1, TRAIN)}),
        (
            ["train/cat", "train/dog", "test/cat", "test/dog"],
            {"train/cat": (0, TRAIN), "train/dog": (1, TRAIN), "test/cat": (0, TEST), "test/dog": (1, TEST)},
        ),
        (
            ["top/Train/cat", "top/Train/dog", "top/valid/cat", "top/valid/dog"],
            {
                "top/Train/cat": (0, TRAIN),
                "top/Train/dog": (1, TRAIN),
                "top/valid/cat": (0, VALIDATION),
                "top/valid/dog": (1, VALIDATION),
            },
        ),
        (["train/cat", "train/dog"], {"train/cat": (0, TRAIN), "train/dog": (1, TRAIN)}),
        (
            ["train/cat", "train/dog", "val/cat", "val/dog", "test"],  # unlabelled test pictures
            {
                "train/cat": (0, TRAIN),
                "train/dog": (1, TRAIN),
                "val/cat": (0, VALIDATION),
                "val/dog": (1, VALIDATION),
            },
        ),
        (
            ["cat", "cat/indoors", "dog", "dog/a/b"],  # folders inside a class folder
            {"cat": (0, TRAIN), "cat/indoors": (0, TRAIN), "dog": (1, TRAIN), "dog/a/b": (1, TRAIN)},
        ),
        (["train", "plane", "car"], {"train": (2, TRAIN), "plane": (1, TRAIN), "car": (0, TRAIN)}),  # a vehicle
        (["photos", "photos/cat", "photos/dog"], {"photos/cat": (0, TRAIN), "photos/dog": (1, TRAIN)}),
        (["", "cat", "dog"], {"cat": (0, TRAIN), "dog": (1, TRAIN)}),  # a stray picture on top
        (["cat/in", "cat/out", "dog/in", "dog/out"], {"cat/in": 0, "cat/out": 0, "dog/in": 1, "dog/out": 1}),
        (
            ["Training/cat", "Training/dog", "Testing/cat", "Testing/dog"],
            {"Training/cat": 0, "Training/dog": 1, "Testing/cat": (0, TEST), "Testing/dog": (1, TEST)},
        ),
        (
            ["TRAIN/a", "TRAIN/b", "Eval/a", "Eval/b", "dev/a", "dev/b"],
            {
                **{"TRAIN/a": 0, "TRAIN/b": 1, "Eval/a": (0, TEST), "Eval/b": (1, TEST)},
                **{"dev/a": (0, VALIDATION), "dev/b": (1, VALIDATION)},
            },
        ),
        (
            ["train_images/a", "train_images/b", "Test Set/a", "Test Set/b"],
            {"train_images/a": 0, "train_images/b": 1, "Test Set/a": (0, TEST), "Test Set/b": (1, TEST)},
        ),
        (  # as Intel's pictures of scenes are packed: each split once more inside itself
            ["seg_train/seg_train/a", "seg_train/seg_train/b", "seg_test/seg_test/a", "seg_test/seg_test/b"],
            {
                **{"seg_train/seg_train/a": 0, "seg_train/seg_train/b": 1},
                **{"seg_test/seg_test/a": (0, TEST), "seg_test/seg_test/b": (1, TEST)},
            },
        ),
        (["photos/photos/a", "photos/photos/b"], {"photos/photos/a": 0, "photos/photos/b": 1}),
        (
            ["Training/Training/a", "Training/Training/b", "Training/Testing/a", "Training/Testing/b"],
            {
                **{"Training/Training/a": 0, "Training/Training/b": 1},
                **{"Training/Testing/a": (0, TEST), "Training/Testing/b": (1, TEST)},
            },
        ),
        (  # splits inside the classes
            ["cat/train", "cat/test", "dog/train", "dog/test"],
            {"cat/train": 0, "cat/test": (0, TEST), "dog/train": 1, "dog/test": (1, TEST)},
        ),
        (["test_data/a", "test_data/b"], {"test_data/a": 0, "test_data/b": 1}),  # a name for all of it
        (["express train", "steam train"], {"express train": 0, "steam train": 1}),
        (
            ["express train/red", "express train/blue", "steam train/red", "steam train/blue"],
            {"express train/red": 0, "express train/blue": 0, "steam train/red": 1, "steam train/blue": 1},
        ),
    ],
)
def test_folders_are_understood(folders, places):
    understood = layout(*folders)
    wanted = {folder: (place, TRAIN) if isinstance(place, int) else place for folder, place in places.items()}
    assert understood.places == {tuple(folder.split("/")): place for folder, place in wanted.items()}
    assert understood.class_names == sorted(understood.class_names)


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["cat"], "expected at least two classes, received one: cat"),
        (["photos/cat"], "expected at least two classes, received one: cat"),
        (["train/cat", "test/cat"], "expected at least two classes, received one: cat"),
        ([""], "expected one folder of pictures a class, received pictures outside of any folder"),
        (["test/cat", "test/dog"], "expected a train folder, received only test"),
        (["train", "test"], "expected class folders inside test, train, received pictures directly in there"),
        (["train/cat", "train/dog", "extras"], "received both: extras, train"),
        (["train/cat", "train/dog", "test/cat"], "same classes in train and test, received only in train: dog"),
        (["train/a", "train/b", "val/a", "val/c"], "only in train: b; only in validation: c"),
        (["train/a", "train/b", "Training/a", "Training/b"], "received Training, train, which all mean train; rename"),
        (["train/a", "train/b", "test/a", "test/b", "eval/a", "eval/b"], "received eval, test, which all mean test"),
        (
            ["cat", "dog", "photos/cat", "photos/dog"],
            "received cat, dog, photos, of which photos holds the others once",
        ),
        (["train/a", "train/b", "all/train/a", "all/train/b"], "received both: all, train; move what is no split"),
        (["Testing/a", "Testing/b"], "expected a train folder, received only test"),
    ],
)
def test_folders_that_make_no_sense_are_refused_in_one_line(folders, said):
    with pytest.raises(PipelineError) as refused:
        layout(*folders)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("members", [["dog/"], ["dog/", "dog/notes.txt"], ["dog/Thumbs.db"]])
def test_a_class_folder_without_pictures_is_named(tmp_path, ending, members):
    packed = archive(
        tmp_path / f"a.{ending}",
        class_folders({"pets/cat": 2, "pets/fish": 2}) | {f"pets/{name}": b"" for name in members},
    )
    with pytest.raises(
        PipelineError, match="expected pictures in every class folder, received none in dog( but 1 .[a-z]+)?; "
    ):
        read_folders(packed, tmp_path)


def test_a_class_without_test_pictures_is_named(tmp_path):
    members = class_folders({"train/cat": 1, "train/dog": 1, "test/cat": 1}) | {"test/dog/": b""}
    with pytest.raises(PipelineError, match="received none in test/dog"):
        read_folders(archive(tmp_path / "a.tar", members), tmp_path)


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "zip"])
def test_pictures_are_found_again_by_place_and_name(tmp_path, ending):
    members = class_folders({"train/cat": 3, "train/dog": 2, "test/dog": 2, "test/cat": 1})
    source = read_folders(archive(tmp_path / f"a.{ending}", members), tmp_path)
    assert source.class_names == ["cat", "dog"]
    assert [source.name(i) for i in range(len(source))] == list(members)
    assert source.labels.tolist() == [0, 0, 0, 1, 1, 1, 1, 0]
    assert source.given.tolist() == [TRAIN] * 5 + [TEST] * 3
    packed = source.path.read_bytes()
    for (name, data), offset, size in zip(members.items(), source.offsets, source.sizes, strict=True):
        assert packed[offset : offset + size] == data, name


def test_what_is_no_picture_is_left_out_and_counted(tmp_path):
    members = class_folders({"top/cat": 2, "top/dog": 2}) | {
        "top/.DS_Store": b"x",
        "top/cat/._0000.png": b"x",
        "__MACOSX/top/cat/._0001.png": b"x",
        "top/.git/": b"",
        "top/.git/logo.png": png(1),
        "top/README.md": b"x",
        "top/cat/labels.csv": b"x",
        "top/logo.PNG": png(2),
    }
    source = read_folders(archive(tmp_path / "a.zip", members), tmp_path)
    assert len(source) == 4
    assert source.ignored == {
        "hidden": 3,
        "in __MACOSX, which a program has left there": 1,
        "no picture by its ending: .csv": 1,
        "no picture by its ending: .md": 1,
        "not inside a class folder": 1,
    }


def test_endings_in_any_case_and_dots_in_names(tmp_path):
    members = {"cat/a.b.JPG": png(1), "cat/c.Jpeg": png(2), "dog.v2/x.TIFF": png(3), "./dog.v2/y.webp": png(4)}
    source = read_folders(archive(tmp_path / "a.tar", members), tmp_path)
    assert source.class_names == ["cat", "dog.v2"]
    assert len(source) == 4


def test_an_archive_without_pictures(tmp_path):
    packed = archive(tmp_path / "a.tar", {"cat/a.txt": b"x", "dog/b.doc": b"x"})
    with pytest.raises(
        PipelineError, match=r"expected pictures \(.*\.jpg.*\) in a\.tar, received 1 \.doc and 1 \.txt; "
    ):
        read_folders(packed, tmp_path)


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
    packed = source.path.read_bytes()
    places = zip(source.offsets.tolist(), source.sizes.tolist(), strict=True)
    return {source.name(picture): packed[at : at + size] for picture, (at, size) in enumerate(places)}


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
    assert source.ignored == {"a link to no picture of the archive": 1, "no picture by its ending: .txt": 1}


def test_a_folder_s_tar_made_by_gnu_tar_gives_what_the_folder_gives(tmp_path):
    folder = tmp_path / "photos"
    for name, data in class_folders({"cat": 3, "dog": 3}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
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


def test_zip_r_of_a_folder_with_an_umlaut(tmp_path):
    if shutil.which("zip") is None:
        pytest.skip("no zip on this machine")
    for name, data in class_folders({"Käse": 2, "Brot": 2}).items():
        (tmp_path / "food" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "food" / name).write_bytes(data)
    subprocess.run(["zip", "-qr", "../a.zip", "."], cwd=tmp_path / "food", check=True)
    assert read_folders(tmp_path / "a.zip", tmp_path).class_names == ["Brot", "Käse"]


def test_a_class_full_of_heic_is_named_with_what_it_holds(tmp_path):
    members = class_folders({"cat": 2}) | {f"dog/{i}.HEIC": b"x" for i in range(12)} | {"dog/notes.txt": b""}
    with pytest.raises(PipelineError) as refused:
        read_folders(archive(tmp_path / "a.tar", members), tmp_path)
    assert str(refused.value) == (
        "expected pictures in every class folder, received none in dog but 12 .heic and 1 .txt; fill or remove the "
        "folder, or convert the files to .jpg or .png"
    )


def test_files_left_out_are_counted_by_their_ending(tmp_path):
    members = class_folders({"cat": 2, "dog": 2}) | {f"cat/{i}.HEIC": b"x" for i in range(5)}
    members |= {"dog/a.mov": b"x", "dog/README": b"x"} | {f"dog/z.{chr(97 + i)}": b"x" for i in range(20)}
    members |= {"cat/@eaDir/0000.png/SYNOPHOTO_THUMB_M.jpg": png(1), "cat/.thumbnails/1.png": png(2)}
    source = read_folders(archive(tmp_path / "a.tar", members), tmp_path)
    assert len(source) == 4
    assert source.ignored["no picture by its ending: .heic"] == 5
    assert source.ignored["no picture by its ending: .mov"] == 1
    assert source.ignored["no picture by its ending: it has none"] == 1
    assert source.ignored["no pictures by other endings"] == 11
    assert source.ignored["in @eaDir, which a program has left there"] == 1
    assert source.ignored["hidden"] == 1


def test_names_that_are_no_text_can_be_told(tmp_path):
    members = {"k\udce4tze/1.png": png(1), "hund\n/2.png": png(2), "v\u00f6gel/3.png": png(3)}
    source = read_folders(archive(tmp_path / "a.tar", members), tmp_path)
    assert sorted(source.class_names) == ["hund\\n", "k\\udce4tze", "v\u00f6gel"]
    assert source.name(0) == "k\\udce4tze/1.png"
    "".join(source.class_names).encode("utf-8")
