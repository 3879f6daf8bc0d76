"""The whole step on small sources: what it writes, that it writes the same again, and what it refuses."""

import hashlib
import json
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from components.core.artifacts import tfrecord
from components.core.artifacts.dataset import SPLITS, DatasetInfo, fingerprint_of, read_info
from components.core.errors import PipelineError
from components.preprocess import run as build
from components.preprocess.run import preprocess
from components.preprocess.settings import PreprocessSettings
from tests.components.preprocess.sources import (
    archive,
    cifar_archive,
    class_folders,
    encoded,
    idx_file,
    noise,
    png,
)
from tests.datasets import load_split


@pytest.fixture
def run(tmp_path):
    """Runs the step; returns what it returns."""

    def run(raw: str, place: str = "dataset", workers: int | None = None, **settings) -> DatasetInfo:
        report = tmp_path / f"{place}.html"
        return preprocess(PreprocessSettings.checked(**settings), raw, str(tmp_path / place), str(report), workers)

    return run


def files(directory: pathlib.Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def left_behind(tmp_path: pathlib.Path) -> set[str]:
    """What lies there beside the sources."""
    return {path.name for path in tmp_path.iterdir()} - {"raw", "a.tar", "a.tar.gz", "a.zip"}


def by_pixels(dataset: pathlib.Path, info: DatasetInfo) -> dict[bytes, tuple[str, str]]:
    """Every picture of a dataset artifact -> its split and class."""
    found = {}
    for split in SPLITS:
        images, labels = load_split(dataset, info, split)
        for image, label in zip(images, labels, strict=True):
            found[image.tobytes()] = (split, info.class_names[label])
    return found


def test_a_picture_folder_from_end_to_end(tmp_path, raw_artifact, run, capsys):
    members = class_folders({"train/cat": 20, "train/dog": 30, "test/cat": 3, "test/dog": 4})
    info = run(raw_artifact(archive(tmp_path / "a.tar.gz", members)))
    dataset = tmp_path / "dataset"
    assert info == read_info(dataset)
    for split in SPLITS:
        assert len(load_split(dataset, info, split)[1]) == info.splits[split].count
    assert info.image_shape == (8, 8, 3)
    assert info.class_names == ["cat", "dog"]
    per_class = np.array([info.splits[split].per_class for split in SPLITS])
    assert per_class.sum(axis=0).tolist() == [23, 34]
    assert per_class[2].tolist() == [3, 4]
    assert (per_class > 0).all()
    assert (info.dataset, info.seed, info.quarantined) == ("image_folder", 0, 0)
    assert info.source_uri == "file:///somewhere/pictures"
    assert info.fingerprint == fingerprint_of(info.image_shape, info.class_names, info.splits)
    assert info.fingerprint != fingerprint_of(info.image_shape, ["cat", "cow"], info.splits)
    found = by_pixels(dataset, info)
    assert len(found) == 57
    for number, name in enumerate(members):
        given, of_class, _ = name.split("/")
        split, called = found[noise(number).tobytes()]
        assert called == of_class
        assert (split == "test") == (given == "test")
    assert left_behind(tmp_path) == {"dataset", "dataset.html"}
    assert sorted(files(dataset)) == [
        "dataset.json",
        "hashes.npy",
        "quarantine.json",
        "test-00000-of-00001.tfrecord",
        "train-00000-of-00001.tfrecord",
        "validation-00000-of-00001.tfrecord",
    ]
    assert "<html" in (tmp_path / "dataset.html").read_text(encoding="utf-8")
    said = capsys.readouterr().out
    train, validation, _ = per_class.sum(axis=1)
    assert said.startswith(f"{train} train, {validation} validation, 7 test pictures of 2 classes, 8x8x3, in ")
    assert "\n  classes: cat, dog\n" in said  # a folder that is no class is seen before hours of training
    assert said.isascii()


def test_mean_and_std_are_those_of_the_training_pictures(tmp_path, raw_artifact, run):
    info = run(raw_artifact(archive(tmp_path / "a.tar", class_folders({"cat": 20, "dog": 20}))))
    images, _ = load_split(tmp_path / "dataset", info, "train")
    scaled = images.reshape(-1, 3) / 255
    np.testing.assert_allclose(info.mean, scaled.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(info.std, scaled.std(axis=0), rtol=1e-12)


def test_the_same_bytes_every_time_whatever_the_number_of_processes(tmp_path, raw_artifact, run, monkeypatch):
    """With several chunks, shards and blocks, and with pictures that can't be read among them."""
    monkeypatch.setattr("components.preprocess.decoding.CHUNK_PICTURES", 7)
    monkeypatch.setattr("components.preprocess.shards.SHARD_BYTES", 4000)
    members = class_folders({"cat": 60, "dog": 60})
    members["cat/0007.png"] = b"rubbish"
    members["dog/0003.png"] = members["dog/0003.png"][:90]
    raw = raw_artifact(archive(tmp_path / "a.zip", members))
    results = []
    for place, workers, block in (("first", 1, 4 << 20), ("again", 1, 600), ("two", 2, 192)):
        monkeypatch.setattr("components.preprocess.shards.BLOCK_BYTES", block)
        info = run(raw, place, workers, max_unreadable=0.05, seed=7)
        results.append((info, files(tmp_path / place)))
    assert all(result == results[0] for result in results)
    assert len(results[0][0].splits["train"].shards) > 2
    assert results[0][0].quarantined == 2
    other = run(raw, "other", 1, max_unreadable=0.05, seed=8)
    assert other.fingerprint != results[0][0].fingerprint


def test_the_order_is_random_but_not_the_assignment_of_labels(tmp_path, raw_artifact, run):
    info = run(raw_artifact(archive(tmp_path / "a.tar", class_folders({"cat": 50, "dog": 50}))))
    _, labels = load_split(tmp_path / "dataset", info, "train")
    assert sorted(labels.tolist()) != labels.tolist()
    assert 20 < np.abs(np.diff(labels)).sum() < 45


def test_odd_pictures_are_brought_to_one_shape(tmp_path, raw_artifact, run, capsys):
    members = class_folders({"cat": 20, "dog": 20}, height=16, width=12)
    members["cat/grey.png"] = encoded(Image.fromarray(noise(1, 16, 12, 1)))
    members["dog/large.jpg"] = encoded(Image.fromarray(noise(2, 64, 64)), "JPEG")
    info = run(raw_artifact(archive(tmp_path / "a.tar", members)))
    assert info.image_shape == (16, 12, 3)
    said = capsys.readouterr().out
    assert "  1 greyscale to RGB\n" in said
    assert "  1 resized and cropped\n" in said


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"image_size": "4x6"}, (4, 6, 3)),
        ({"image_size": "20", "color": "grayscale"}, (20, 20, 1)),
        ({"color": "grayscale", "resize": "resize"}, (8, 8, 1)),
    ],
)
def test_the_shape_that_was_asked_for(tmp_path, raw_artifact, run, settings, shape):
    raw = raw_artifact(archive(tmp_path / "a.tar", class_folders({"cat": 9, "dog": 9})))
    info = run(raw, **settings)
    assert (info.image_shape, info.resize) == (shape, settings.get("resize", "crop"))


def test_grey_where_all_pictures_are(tmp_path, raw_artifact, run):
    grey = {f"{name}/{i}.png": encoded(Image.fromarray(noise(i, channels=1))) for name in "ab" for i in range(9)}
    assert run(raw_artifact(archive(tmp_path / "a.tar", grey))).image_shape == (8, 8, 1)
    grey["a/colour.png"] = png(1)
    assert run(raw_artifact(archive(tmp_path / "a.tar", grey))).image_shape == (8, 8, 3)


def test_sizes_that_differ_too_much_for_auto(tmp_path, raw_artifact, run):
    members = {f"{name}/{side}.png": png(1, side, side + 2) for name in "ab" for side in range(60, 90)}
    raw = raw_artifact(archive(tmp_path / "a.tar", members))
    with pytest.raises(PipelineError) as refused:
        run(raw)
    assert str(refused.value) == (
        "expected most pictures to have one size of at most 512 pixels a side, as image_size=auto needs, received "
        "30 sizes from 60x62 to 89x91 (height x width); choose one, for instance image_size=64"
    )
    assert run(raw, image_size="64").image_shape == (64, 64, 3)


def test_a_cameras_size_is_none_to_train_on(tmp_path, raw_artifact, run):
    members = {f"{name}/{number}.png": png(number, 513, 2) for name in "ab" for number in range(9)}
    raw = raw_artifact(archive(tmp_path / "a.tar", members))
    with pytest.raises(PipelineError, match="at most 512 pixels .* 1 size from 513x2 to 513x2 .*image_size=32$"):
        run(raw)
    assert run(raw, image_size="513x2").image_shape == (513, 2, 3)


@pytest.mark.parametrize("at_once", [1, 512])
def test_unreadable_pictures_are_listed_up_to_the_share_allowed(tmp_path, raw_artifact, run, monkeypatch, at_once):
    monkeypatch.setattr("components.preprocess.decoding.CHUNK_PICTURES", at_once)
    members = class_folders({"cat": 49, "dog": 49}) | {"cat/x.jpg": b"<html>", "dog/y.png": png(1)[:70]}
    raw = raw_artifact(archive(tmp_path / "a.tar", members))
    info = run(raw, max_unreadable=0.02)
    assert info.quarantined == 2
    assert sum(split.count for split in info.splits.values()) == 98
    listing = json.loads((tmp_path / "dataset" / "quarantine.json").read_text(encoding="utf-8"))
    assert listing["total"] == 2
    assert [picture["name"] for picture in listing["listed"]] == ["cat/x.jpg", "dog/y.png"]
    assert listing["listed"][0]["reason"] == "not a picture of a known format, or damaged from its start"
    with pytest.raises(PipelineError) as refused:
        run(raw, "other", max_unreadable=0.019)
    said = str(refused.value)
    assert said.startswith("expected at most 1.9 % of 100 pictures to be unreadable (max_unreadable), received 2 in")
    assert left_behind(tmp_path) == {"dataset", "dataset.html"}


def test_just_as_many_unreadable_pictures_as_allowed_are_allowed(tmp_path, raw_artifact, run):
    """By floats, 0.29 times 100 is less than 29."""
    members = class_folders({"cat": 35, "dog": 36}) | {f"cat/x{number}.jpg": b"<html>" for number in range(29)}
    assert run(raw_artifact(archive(tmp_path / "a.tar", members)), max_unreadable=0.29).quarantined == 29


def test_the_quarantine_list_is_capped(tmp_path, raw_artifact, run, monkeypatch):
    monkeypatch.setattr("components.preprocess.report.tally.LISTED", 5)
    members = class_folders({"cat": 10, "dog": 10}) | {f"cat/x{i}.jpg": b"" for i in range(9)}
    assert run(raw_artifact(archive(tmp_path / "a.tar", members)), max_unreadable=0.9).quarantined == 9
    listing = json.loads((tmp_path / "dataset" / "quarantine.json").read_text(encoding="utf-8"))
    assert (listing["total"], len(listing["listed"])) == (9, 5)


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ("cat", "training pictures of every class, received none of cat among 20 pictures of 2 classes, 10 of them"),
        ("", "expected pictures, received 20 files of which none can be read, for instance cat/0000.png (not a"),
    ],
)
def test_a_class_of_which_nothing_can_be_read(tmp_path, raw_artifact, run, spoilt, said):
    members = class_folders({"cat": 10, "dog": 10})
    members = {name: b"rubbish" if name.startswith(spoilt) else data for name, data in members.items()}
    with pytest.raises(PipelineError, match=re.escape(said)):
        run(raw_artifact(archive(tmp_path / "a.tar", members)), max_unreadable=1)
    assert left_behind(tmp_path) == set()


def test_pictures_in_more_than_one_split_are_counted(tmp_path, raw_artifact, run, monkeypatch):
    told = []
    monkeypatch.setattr(build, "write_data_report", lambda path, facts: told.append(facts))
    members = class_folders({"train/cat": 20, "train/dog": 20, "test/cat": 5, "test/dog": 5})
    members["test/cat/0001.png"] = members["train/cat/0003.png"]
    members["test/dog/0002.bmp"] = encoded(Image.fromarray(noise(25)), "BMP")  # train/dog/0005.png in other clothes
    members = {"train/cat/twin.png": members["train/cat/0004.png"]} | members  # twice to train with is no leak
    run(raw_artifact(archive(tmp_path / "a.tar", members)), validation_split=0)
    (facts,) = told
    assert facts.in_two_splits.count == 2
    assert [duplicate.places for duplicate in facts.in_two_splits.examples] == [
        [("train", "train/cat/0003.png"), ("test", "test/cat/0001.png")],
        [("train", "train/dog/0005.png"), ("test", "test/dog/0002.bmp")],
    ]
    np.testing.assert_array_equal(facts.in_two_splits.examples[1].picture, noise(25))


def test_a_picture_in_two_classes_and_classes_of_one_name_are_noticed(tmp_path, raw_artifact, run, capsys):
    members = class_folders({"Cat": 20, "cat": 20, "dog": 8, "3": 20, "3.0": 20})
    members["dog/copy.png"] = members["cat/0003.png"]
    members |= {f"Cat/again{place}.png": members["Cat/0004.png"] for place in range(5)}
    run(raw_artifact(archive(tmp_path / "a.tar", members)))
    said = capsys.readouterr().out
    assert "  1 in more than one class\n" in said
    assert "  note: 6 of 94 pictures are exact duplicates: check that nothing is there twice\n" in said
    for names in ("Cat, cat", "3, 3.0"):
        assert f"  note: {names} differ only in capital letters, spaces or a .0, but are 2 classes\n" in said
    assert "  warning: the test split has fewer than 5 pictures of 3.0 (2), dog (" in said
    page = (tmp_path / "dataset.html").read_text(encoding="utf-8")
    assert "1 picture is in more than one class." in page
    assert "dog/copy.png" in page
    assert "Cat, cat differ only in capital letters" in page


def test_what_the_report_is_told(tmp_path, raw_artifact, run, monkeypatch):
    told = []
    monkeypatch.setattr(build, "write_data_report", lambda path, facts: told.append(facts))
    members = class_folders({"cat": 26, "dog": 3}, height=200, width=300)
    members |= {"dog/small.png": png(1, 20, 30), "dog/notes.txt": b"", "dog/bad.png": b"x"}
    info = run(
        raw_artifact(archive(tmp_path / "a.tar", members)), image_size="400x200", max_unreadable=0.1, split_seed=5
    )
    (facts,) = told
    assert facts.info == info
    assert {name: len(pictures) for name, pictures in facts.samples.items()} == {"cat": 10, "dog": 1}
    assert {picture.shape for pictures in facts.samples.values() for picture in pictures} == {(160, 80, 3)}
    assert {picture.dtype for pictures in facts.samples.values() for picture in pictures} == {np.dtype("uint8")}
    assert facts.conversions == {"resized and cropped": 30}
    assert (info.resized, info.split_seed) == (30, 5)
    assert facts.ignored == {"not a picture by its extension: .txt": 1}
    assert (info.quarantined, [picture.name for picture in facts.quarantine]) == (1, ["dog/bad.png"])
    assert facts.heights == (20, 200, 200)
    assert facts.widths[::2] == (30, 300)
    assert facts.chosen == {
        "validation": "about 20 % of each class's training pictures, by pixel hash and split_seed 5",
        "test": "about 20 % of each class, by pixel hash and split_seed 5",
    }
    assert facts.pictures_per_second == pytest.approx(31 / facts.seconds)


def test_a_data_set_may_have_no_validation_pictures(tmp_path, raw_artifact, run, capsys):
    members = class_folders({"cat": 16, "dog": 4})
    info = run(raw_artifact(archive(tmp_path / "a.tar", members)), validation_split=0)
    assert set(info.splits) == {"train", "test"}
    assert f"{info.splits['train'].count} train, {info.splits['test'].count} test pictures" in capsys.readouterr().out


def test_cifar_validates_with_the_last_training_pictures_as_the_article_does(tmp_path, raw_artifact, run):
    pictures = np.stack([noise(i, 32, 32) for i in range(40)])
    labels = np.arange(40) % 3
    batches = {
        "test_batch.bin": (pictures[30:], labels[30:]),
        "data_batch_2.bin": (pictures[15:30], labels[15:30]),
        "data_batch_1.bin": (pictures[:15], labels[:15]),
    }
    raw = raw_artifact(cifar_archive(tmp_path / "a.tar.gz", batches), format="cifar_binary", dataset="cifar10")
    info = run(raw)
    found = by_pixels(tmp_path / "dataset", info)
    wanted = ["train"] * 24 + ["validation"] * 6 + ["test"] * 10
    assert [found[picture.tobytes()][0] for picture in pictures] == wanted
    assert [found[picture.tobytes()][1] for picture in pictures] == [("cat", "dog", "bird")[label] for label in labels]
    assert all(run(raw, "other", validation="stratified").splits["validation"].per_class)


def test_idx_and_its_shape(tmp_path, raw_artifact, run):
    files = []
    for prefix, count in (("train", 40), ("t10k", 10)):
        values = np.stack([noise(count + i, 28, 28, 1) for i in range(count)])
        files.append(idx_file(tmp_path / f"{prefix}-images-idx3-ubyte.gz", values))
        files.append(idx_file(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", np.arange(count) % 10))
    info = run(raw_artifact(*files, format="idx", dataset="fashion_mnist"))
    assert info.image_shape == (28, 28, 1)
    assert info.class_names[9] == "Ankle boot"
    assert info.splits["test"].count == 10
    assert all(info.splits["validation"].per_class)
    (tmp_path / "raw" / files[3].name).unlink()
    with pytest.raises(PipelineError, match="received none; run download again"):
        run(str(tmp_path / "raw"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: data[: len(data) // 2], "bytes, received"),
        (lambda data: data[:600] + bytes([data[600] ^ 1]) + data[601:], "with sha256 "),
    ],
)
def test_a_raw_artifact_that_is_not_what_it_says(tmp_path, raw_artifact, run, spoil, said):
    raw = raw_artifact(archive(tmp_path / "a.tar", class_folders({"cat": 5, "dog": 5})))
    file = tmp_path / "raw" / "a.tar"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(PipelineError) as refused:
        run(raw)
    assert said in str(refused.value)
    assert str(refused.value).endswith("run download again (CACHE=0)")
    assert left_behind(tmp_path) == set()


@pytest.mark.parametrize(
    ("ending", "spoil"),
    [
        ("tar.gz", lambda data: data[:-300]),
        ("tar.gz", lambda data: data[:2000] + b"\0" * 50 + data[2050:]),
        ("tar", lambda data: data[:3000]),
        ("zip", lambda data: data[:-10]),
        ("tar", lambda data: b""),
        ("tar", lambda data: b"<html>"),
    ],
)
def test_damaged_archives_leave_nothing(tmp_path, raw_artifact, run, ending, spoil):
    packed = archive(tmp_path / f"a.{ending}", class_folders({"cat": 30, "dog": 30}))
    packed.write_bytes(spoil(packed.read_bytes()))
    with pytest.raises(PipelineError):
        run(raw_artifact(packed))
    assert left_behind(tmp_path) == set()


def test_an_older_result_stays_until_a_new_one_is_whole(tmp_path, raw_artifact, run):
    raw = raw_artifact(archive(tmp_path / "a.tar", class_folders({"cat": 9, "dog": 9})))
    first = run(raw)
    with pytest.raises(PipelineError):
        run(raw_artifact(archive(tmp_path / "a.tar", class_folders({"cat": 9}))))
    assert read_info(tmp_path / "dataset") == first


def test_records_are_sliced_where_the_reader_expects_them():
    """One picture's record, byte by byte."""
    data = tfrecord.example(b"\x01\x02\x03", 300)
    assert data == (
        b"\x0a\x24"
        b"\x0a\x10\x0a\x05image\x12\x07\x0a\x05\x0a\x03\x01\x02\x03"
        b"\x0a\x10\x0a\x05label\x12\x07\x1a\x05\x0a\x03\xac\x82\x00"
    )
    assert tfrecord.record(b"\x01\x02\x03", 300)[12:-4] == data
