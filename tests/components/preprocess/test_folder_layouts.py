"""What folders mean: classes, splits, and folders that are neither."""

import itertools
import re

import pytest

from components.core.artifacts.dataset import SPLITS
from components.core.errors import PipelineError
from components.preprocess.sources.layout import read_layout
from components.preprocess.sources.source import TEST, TRAIN, VALIDATION
from tests.components.preprocess.sources import archive, class_folders, png, read_folders


def layout(*folders: str):
    """One picture in each folder."""
    pictures = {tuple(part for part in folder.split("/") if part): 1 for folder in folders}
    return read_layout(pictures, {})


@pytest.mark.parametrize(
    ("folders", "places"),
    [
        (["cat", "dog"], [0, 1]),
        (["photos/dog", "photos/cat"], [1, 0]),
        (["a/b/dog", "a/b/cat"], [1, 0]),
        (["train/cat", "train/dog", "test/cat", "test/dog"], [0, 1, (0, TEST), (1, TEST)]),
        (
            ["top/Train/cat", "top/Train/dog", "top/valid/cat", "top/valid/dog"],
            [0, 1, (0, VALIDATION), (1, VALIDATION)],
        ),
        (["train/cat", "train/dog"], [0, 1]),
        (
            ["train/cat", "train/dog", "val/cat", "val/dog", "test"],  # unlabelled test pictures
            [0, 1, (0, VALIDATION), (1, VALIDATION), None],
        ),
        (["cat", "cat/indoors", "dog", "dog/a/b"], [0, 0, 1, 1]),  # folders inside a class folder
        (["train", "plane", "car"], [2, 1, 0]),  # a vehicle
        (["photos", "photos/cat", "photos/dog"], [None, 0, 1]),
        (["", "cat", "dog"], [None, 0, 1]),  # a stray picture on top
        (["cat/in", "cat/out", "dog/in", "dog/out"], [0, 0, 1, 1]),
        (["Training/cat", "Training/dog", "Testing/cat", "Testing/dog"], [0, 1, (0, TEST), (1, TEST)]),
        (
            ["TRAIN/a", "TRAIN/b", "Eval/a", "Eval/b", "dev/a", "dev/b"],
            [0, 1, (0, TEST), (1, TEST), (0, VALIDATION), (1, VALIDATION)],
        ),
        (["train_images/a", "train_images/b", "Test Set/a", "Test Set/b"], [0, 1, (0, TEST), (1, TEST)]),
        (["trainset/a", "trainset/b", "TestData/a", "TestData/b"], [0, 1, (0, TEST), (1, TEST)]),
        (  # as Intel's pictures of scenes are packed: each split once more inside itself
            ["seg_train/seg_train/a", "seg_train/seg_train/b", "seg_test/seg_test/a", "seg_test/seg_test/b"],
            [0, 1, (0, TEST), (1, TEST)],
        ),
        (["photos/photos/a", "photos/photos/b"], [0, 1]),
        (
            ["Training/Training/a", "Training/Training/b", "Training/Testing/a", "Training/Testing/b"],
            [0, 1, (0, TEST), (1, TEST)],
        ),
        (["cat/train", "cat/test", "dog/train", "dog/test"], [0, (0, TEST), 1, (1, TEST)]),  # splits inside the classes
        (["test_data/a", "test_data/b"], [0, 1]),  # a name for all of it
        (["express train", "steam train"], [0, 1]),
        (["valid/a", "valid/b", "invalid/c"], [1, 1, 0]),  # judged pictures
        (["express train/red", "express train/blue", "steam train/red", "steam train/blue"], [0, 0, 1, 1]),
    ],
)
def test_folders_are_understood(folders, places):
    """Each folder's class and split; a class alone is one to train with, None a folder whose pictures are left out."""
    understood = layout(*folders)
    wanted = [(place, TRAIN) if isinstance(place, int) else place for place in places]
    assert [understood.places.get(tuple(filter(None, folder.split("/")))) for folder in folders] == wanted
    assert len(understood.places) == len(folders) - places.count(None)
    assert understood.class_names == sorted(understood.class_names)


@pytest.mark.parametrize("above", ["", "train/", "train/train/"])
def test_classes_that_hold_the_same_folders_are_noticed(above):
    """As folds, cameras, original and augmented pictures, or pictures and masks do: their folders look like classes."""
    folders = [f"{above}fold1/cat", f"{above}fold1/dog", f"{above}fold2/cat", f"{above}fold2/fox"]
    each_with_splits = [
        f"{fold}/{split}/{name}" for fold in ("fold1", "fold2") for split in SPLITS for name in ("cat", "dog")
    ]
    for understood, same in ((layout(*folders), "cat"), (layout(*each_with_splits), "cat, dog")):
        assert understood.notices == [
            f"the classes are fold1, fold2, and each holds folders that others hold too, such as {same}: if those are "
            "the classes, or not all of them are to be learned from, sort them otherwise"
        ]
    for others in ([f"{above}fold1"], [f"{above}fold3/ox"], [f"{above}fold3"]):
        assert layout(*folders, *others).notices == []
    assert layout("cat/train", "cat/test", "dog/train", "dog/test").notices == []


def test_a_class_that_is_called_as_a_split_is_noticed():
    """Pictures to be tested on, beside the classes, are one more class."""
    assert layout("cat", "dog", "test").notices == [
        "test is a class here: if it is a split, or has no labels, take it out"
    ]
    assert layout("train", "plane", "car").notices == layout("invalid", "valid").notices == []


def test_a_split_without_class_folders_is_noticed():
    """As ImageNet's val is packed: a share of train validated, and only a number told of it."""
    understood = layout("data/train/cat", "data/train/dog", "data/val")
    assert understood.notices == ["pictures directly in data/val are of no class, and left out"]


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["cat"], "received one: cat; sort them into one folder a class, or name their classes in a table: labels"),
        (["photos/cat"], "expected at least two classes, received one: cat"),
        (["train/cat", "test/cat"], "expected at least two classes, received one: cat"),
        ([""], "expected one folder of pictures a class, received pictures outside of any folder; sort them into"),
        (["test/cat", "test/dog"], "expected a train folder, received only test"),
        (["train", "test"], "expected class folders inside test, train, received pictures directly in there"),
        (["train/cat", "train/dog", "extras"], "received both: extras, train"),
        (["train/cat", "train/dog", "test/cat"], "same classes in train and test, received only in train: dog"),
        (["train/a", "train/b", "val/a", "val/c"], "only in train: b; only in validation: c"),
        (["train/a", "train/b", "Training/a", "Training/b"], "received Training, train, which all mean train; rename"),
        (["train/a", "train/b", "test/a", "test/b", "eval/a", "eval/b"], "received eval, test, which all mean test"),
        (
            ["cat", "dog", "photos/cat", "photos/dog"],
            "received cat, dog, photos, of which photos holds cat, dog once more",
        ),
        (["train/a", "train/b", "train/train/a", "train/train/b"], "a, b, train, of which train holds a, b once"),
        (
            ["a", "b", "2024/a", "2024/b", "2025/a", "2025/b"],
            "received 2024, 2025, a, b, of which 2024 holds a, b once",
        ),
        (["a", "b", "c", "again/a", "again/b"], "received a, again, b, c, of which again holds a, b once more"),
        (["train/a", "train/b", "all/train/a", "all/train/b"], "received both: all, train; move what is no split"),
        (["Testing/a", "Testing/b"], "expected a train folder, received only test"),
        (
            ["a/train", "a/test", "b/train", "b/test", "b"],
            "or in each with nothing beside them, received them in a, b and something else in b",
        ),
        (["a/train", "a/test", "b", "c/x"], "in a and something else in b, c/x; sort all of them alike"),
        (["a/x/train", "a/x/test", "b/y/train", "b/y/test"], "received them deeper in a, b; sort all of them alike"),
    ],
)
def test_folders_that_make_no_sense_are_refused_in_one_line(folders, said):
    with pytest.raises(PipelineError, match=re.escape(said)):
        layout(*folders)


EMPTY = [["dog/"], ["dog/", "dog/notes.txt"], ["dog/Thumbs.db"]]


@pytest.mark.parametrize(
    ("ending", "members"),
    [*itertools.product(["tar", "tar.gz", "zip"], EMPTY), ("zip", ["dog\\"])],  # the last as programs for Windows do it
)
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
    assert list(source.payloads.read(source.offsets.tolist(), source.sizes.tolist())) == list(members.values())


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
        "not a picture by its extension: .csv": 1,
        "not a picture by its extension: .md": 1,
        "not inside a class folder": 1,
    }
    assert source.notices == [
        "pictures directly in top are of no class, and left out",
        "classes are by folders, without a look at 1 .csv: if that names the classes, give it as labels=FILE",
    ]
    members = class_folders({"train/cat": 2, "train/dog": 2, "test/cat": 2, "test/dog": 2}) | {"pets.csv": b"x"}
    assert read_folders(archive(tmp_path / "b.zip", members), tmp_path).notices == []


def test_endings_in_any_case_and_dots_in_names(tmp_path):
    members = {"cat/a.b.JPG": png(1), "cat/c.Jpeg": png(2), "dog.v2/x.TIFF": png(3), "./dog.v2/y.webp": png(4)}
    source = read_folders(archive(tmp_path / "a.tar", members), tmp_path)
    assert source.class_names == ["cat", "dog.v2"]
    assert len(source) == 4


def test_letters_of_persian_and_hindi_emoji_and_blanks_of_japanese_stay_in_names(tmp_path):
    """They joined letters as `\\u200c`, in the model's answers too. What turns a line around is escaped."""
    names = ["می\u200cشود", "👩\u200d🚀", "秋田\u3000犬", "a\u202eb"]
    source = read_folders(archive(tmp_path / "a.zip", class_folders(dict.fromkeys(names, 1))), tmp_path)
    assert sorted(source.class_names) == sorted([*names[:3], "a\\u202eb"])


def test_an_archive_without_pictures(tmp_path):
    packed = archive(tmp_path / "a.tar", {"cat/a.txt": b"x", "dog/b.doc": b"x"})
    with pytest.raises(
        PipelineError, match=r"expected pictures \(.*\.jpg.*\) in a\.tar, received 1 \.doc and 1 \.txt; "
    ):
        read_folders(packed, tmp_path)


def test_archives_in_an_archive_are_to_be_unpacked(tmp_path):
    """As Kaggle packs them."""
    packed = archive(tmp_path / "a.zip", {"train.zip": b"PK", "test1.zip": b"PK", "sampleSubmission.csv": b"id,label"})
    with pytest.raises(PipelineError, match=r"received 2 \.zip and 1 \.csv; archives in there are not read"):
        read_folders(packed, tmp_path)


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
    assert source.ignored["not a picture by its extension: .heic"] == 5
    assert source.ignored["not a picture by its extension: .mov"] == 1
    assert source.ignored["not a picture by its extension: it has none"] == 1
    assert source.ignored["no pictures by other endings"] == 11
    assert source.ignored["in @eaDir, which a program has left there"] == 1
    assert source.ignored["hidden"] == 1


@pytest.mark.parametrize("kept", ["$Recycle.Bin", "$RECYCLE.BIN", "RECYCLER", "@Recycle", "#snapshot", "~snapshot"])
def test_what_was_thrown_away_or_is_an_older_copy_is_no_class(tmp_path, kept):
    members = class_folders({"cat": 2, "dog": 2, f"{kept}/S-1-5-21/cat": 2})
    source = read_folders(archive(tmp_path / "a.tar", members), tmp_path)
    assert source.class_names == ["cat", "dog"]
    assert source.ignored == {f"in {kept}, which a program has left there": 2}


def test_names_that_are_no_text_can_be_told(tmp_path):
    members = {"k\udce4tze/1.png": png(1), "hund\n/2.png": png(2), "v\u00f6gel/3.png": png(3)}
    source = read_folders(archive(tmp_path / "a.tar", members), tmp_path)
    assert sorted(source.class_names) == ["hund\\n", "k\\udce4tze", "v\u00f6gel"]
    assert source.name(0) == "k\\udce4tze/1.png"
    "".join(source.class_names).encode("utf-8")
