"""What folders mean: classes, splits, and folders that are neither."""

import pytest

from components.core.errors import PipelineError
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
    ],
)
def test_folders_are_understood(folders, places):
    understood = layout(*folders)
    assert understood.places == {tuple(folder.split("/")): place for folder, place in places.items()}
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
    with pytest.raises(PipelineError, match="expected pictures in every class folder, received none in dog; "):
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
    assert source.ignored == {"hidden": 4, "not a picture by its extension": 2, "not inside a class folder": 1}


def test_endings_in_any_case_and_dots_in_names(tmp_path):
    members = {"cat/a.b.JPG": png(1), "cat/c.Jpeg": png(2), "dog.v2/x.TIFF": png(3), "./dog.v2/y.webp": png(4)}
    source = read_folders(archive(tmp_path / "a.tar", members), tmp_path)
    assert source.class_names == ["cat", "dog.v2"]
    assert len(source) == 4


def test_an_archive_without_pictures(tmp_path):
    packed = archive(tmp_path / "a.tar", {"cat/a.txt": b"x", "dog/b.doc": b"x"})
    with pytest.raises(PipelineError, match=r"expected pictures \(.*\.jpg.*\) in a\.tar, received 2 other files"):
        read_folders(packed, tmp_path)


def test_names_that_are_no_text_can_be_told(tmp_path):
    members = {"k\udce4tze/1.png": png(1), "hund\n/2.png": png(2), "v\u00f6gel/3.png": png(3)}
    source = read_folders(archive(tmp_path / "a.tar", members), tmp_path)
    assert sorted(source.class_names) == ["hund\\n", "k\\udce4tze", "v\u00f6gel"]
    assert source.name(0) == "k\\udce4tze/1.png"
    "".join(source.class_names).encode("utf-8")
