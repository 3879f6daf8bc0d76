"""Labels from a table: beside the pictures or named, as people write them and labelling tools export them."""

import dataclasses
import gzip
import itertools
import json
import tracemalloc
from unicodedata import normalize

import pytest

from components.core.artifacts.raw import read_raw
from components.core.storage import open_store
from components.download.look import look
from components.download.settings import DownloadSettings
from components.preprocess.sources.label_table import LabelTable
from tests.components.preprocess.sources import (
    CSV,
    FLAT,
    LABELS,
    archive,
    class_folders,
    counts,
    png,
    quarantine,
    refused,
)
from tests.trees import fill, tree


def test_a_table_beside_the_pictures_gives_what_class_folders_give(bucket, made, tmp_path):
    sorted_into_folders = {f"{LABELS[name]}/{name[7:]}": data for name, data in FLAT.items()}
    wanted = made(tree(tmp_path / "folders", sorted_into_folders)).fingerprint
    members = FLAT | {"labels.csv": CSV.encode(), "images/notes.txt": b""}
    fill(f"{bucket.uri}/pets", members)
    packed = [(f"mine/{name}", data) for name, data in reversed(members.items())]
    packed.insert(0, ("mine/images/003.png", b"replaced by a later member"))
    for source in (tree(tmp_path / "pets", members), archive(tmp_path / "a.tar", packed), f"{bucket.uri}/pets"):
        info = made(source)
        assert (info.fingerprint, counts(info), info.quarantined) == (wanted, {"cat": 12, "dog": 12}, 0)
    page = (tmp_path / "report.html").read_text()
    assert "picture from image, label from label" in page
    assert "not a picture by its extension: .csv" not in page


def test_a_named_table_is_fetched_looked_at_and_counts_more_than_folders(bucket, made, tmp_path):
    store, uri = open_store(bucket.uri), f"{bucket.uri}/labels.jsonl"
    folder = tree(tmp_path / "pets", class_folders({"a": 12, "Ka\u0308": 12}) | {"labels.csv": "not,this\n"})
    names = [normalize("NFC", path.relative_to(folder).as_posix()) for path in sorted(folder.rglob("*.png"))]
    labels = itertools.cycle(["Ka\u0308", "K\xe4", 1])  # accents put together or apart
    lines = [{"source-ref": f"s3://x/pets/{name}", "label": next(labels)} for name in names]
    store.write_bytes("labels.jsonl", "\n".join(map(json.dumps, lines)).encode())
    before = look(str(folder), "", uri)
    info = made(folder, labels=uri)
    assert counts(info) == {"1": 8, "K\xe4": 16}
    assert info.source_uri == f"{folder}, labels from {uri}"
    assert read_raw(tmp_path / "raw").labels == uri
    assert look(str(folder), "", uri) == before
    store.write_bytes("labels.jsonl", b"{}")
    assert look(str(folder), "", uri) != before
    assert info.source_sha256 != made(folder, labels=tree(tmp_path, {"l.csv": "".join(
        f"{name},{number % 3}\n" for number, name in enumerate(names))}) / "l.csv").source_sha256  # fmt: skip


PET = "gs://team/pets/a.jpg"
VERTEX_COLUMNS = (
    "classificationAnnotation.displayName, split from dataItemResourceLabels.aiplatform.googleapis.com/ml_use"
)
VERTEX = {
    "imageGcsUri": PET,
    "classificationAnnotation": {"displayName": "cat"},
    "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "test"},
}
GROUND_TRUTH = {"source-ref": "s3://t/a.jpg", "pet": 0, "pet-metadata": {"class-name": "cat", "confidence": 0.9}}


@pytest.mark.parametrize(
    ("text", "columns", "line"),
    [
        ("File Name;Class;Set\na.jpg;cat;valid\n", "File Name, label from Class, split from Set", ("a.jpg", "cat", 1)),
        ("\ufeffpath\tlabel\tsize\na.jpg\tcat\t1\n", "path, label from label", ("a.jpg", "cat", 0)),
        ('a.jpg,"cat, small"\n', "column 1, label from column 2", ("a.jpg", "cat, small", 0)),
        ('a.jpg, "cat"\n', "column 1, label from column 2", ("a.jpg", "cat", 0)),
        ("a.jpg,cat,TEST\n", "column 1, label from column 2, split from column 3", ("a.jpg", "cat", 2)),
        ("cat,a.jpg\n", "column 2, label from column 1", ("a.jpg", "cat", 0)),
        (f"TEST,{PET},cat\n", "column 2, label from column 3, split from column 1", (PET, "cat", 2)),
        (f"UNASSIGNED,{PET},cat\n", "column 2, label from column 3, split from column 1", (PET, "cat", 0)),
        (json.dumps(VERTEX), f"imageGcsUri, label from {VERTEX_COLUMNS}", (PET, "cat", 2)),
        (json.dumps(GROUND_TRUTH), "source-ref, label from pet-metadata.class-name", ("s3://t/a.jpg", "cat", 0)),
        (
            "path,label,is_valid\na.jpg,cat,True\n",
            "path, label from label, no split from is_valid, which says other than train and test",
            ("a.jpg", "cat", 0),
        ),
        ("image,label,status\na.jpg,cat,valid\n", "image, label from label", ("a.jpg", "cat", 0)),  # all were checked
        (
            '{"id": "a", "label": "x", "phase": "val"}\n{"id": "b", "label": "x", "phase": "train"}',
            "id, label from label, split from phase",
            ("a", "x", 1),
        ),
        ("id_code,diagnosis\na,2\n", "id_code, label from diagnosis", ("a", "2", 0)),  # as Kaggle's tables call it
        (
            "lesion_id,image_id,dx\nL1,a,nv\n",  # HAM10000: several pictures of one lesion
            "image_id, label from dx, no group from lesion_id (group_column=lesion_id keeps each in one split)",
            ("a", "nv", 0),
        ),
        ("Width,ClassId,Path\n9,1,Train/1/a.png\n", "Path, label from ClassId", ("Train/1/a.png", "1", 0)),
        ('{"img": "a.jpg", "tag": 3.0, "set": "train"}', "img, label from tag, split from set", ("a.jpg", "3", 0)),
        (
            '{"id": "a", "label": "x"}\n{"id": "b", "label": "x", "split": "test"}',  # the first line does not have all
            "id, label from label, split from split",
            ("a", "x", 0),
        ),
        (
            "id,label,Patient ID\na.jpg,cat,7\n",
            "id, label from label, no group from Patient ID (group_column=Patient ID keeps each in one split)",
            ("a.jpg", "cat", 0),
        ),
    ],
)  # fmt: skip
def test_columns_are_found_as_tools_and_people_call_them(tmp_path, text, columns, line):
    words, lines = LabelTable(tree(tmp_path, {"labels": text}) / "labels", "labels").lines()
    assert words == f"picture from {columns}"
    assert dataclasses.astuple(next(lines()))[1:4] == line


@pytest.mark.parametrize("begin", [b"", b"{", b"image,label\n"])
def test_a_line_without_an_end_is_not_held(tmp_path, begin):
    """A megabyte of archive may hold one of a gigabyte."""
    with (tmp_path / "labels").open("wb") as file:
        file.write(begin + b"x" * 1024)
        file.truncate(1 << 30)  # zeros
    tracemalloc.start()
    said = refused(lambda: list(LabelTable(tmp_path / "labels", "labels.csv").lines()[1]()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said.startswith("expected lines of at most 1,048,576 characters in labels.csv, received a longer one")
    assert peak < 32 << 20


def test_a_label_that_is_no_number_in_json_is_none(tmp_path):
    """json.dumps writes what a table lacks, float("nan") in pandas, as NaN."""
    text = "".join(json.dumps({"path": f"{label}.jpg", "label": label}) + "\n" for label in ("cat", float("nan"), None))
    _, lines = LabelTable(tree(tmp_path, {"labels": text}) / "labels", "labels").lines()
    assert [(line.label, line.odd) for line in lines()] == [
        ("cat", ""),
        ("", "no label for nan.jpg"),
        ("", "no label for None.jpg"),
    ]


def test_odd_lines_are_quarantined_with_their_numbers(made, tmp_path):
    odd = ["images/999.png,cat", "images/003.png,", ",cat", "images/001.png,dog", "images/005.png,cat,later"]
    odd += ["images/007.png,cat,test", ""]
    odd += ["images/009.png,a,cat,train"]  # a comma in a label that no quotation marks hold together
    text = CSV.replace("label\n", "label,split\n") + "\n".join(odd) + "\nimages/001.png,cat\n"
    source = tree(tmp_path / "pets", FLAT | {"labels.csv": text})
    info = made(source, max_unreadable=0.5)
    assert quarantine(tmp_path) == {
        "labels.csv, line 26": "no picture of that name: images/999.png",
        "labels.csv, line 27": "no label for images/003.png",
        "labels.csv, line 28": "no path",
        "labels.csv, line 29": "images/001.png is dog (train), and not so in line 3",
        "labels.csv, line 30": "the split 'later', which is none of train, validation and test, for images/005.png",
        "labels.csv, line 31": "images/007.png is cat (test), and not so in line 9",
        "labels.csv, line 33": "a cell more than the first line has: train",
    }
    assert info.quarantined == 7
    assert counts(info) == {"cat": 10, "dog": 12}, "a picture of two labels or splits has none"
    page = (tmp_path / "report.html").read_text()
    assert "labels.csv, line 29" in page
    assert "expected at most 1 % of 32 lines of labels to be odd" in refused(made, source)


def test_a_split_column_gives_the_splits(made, tmp_path):
    words = ["train", "validation", "TEST", "", "training", "val"]
    text = "path,label,ml_use\n" + "".join(
        f"{name},{label},{words[number // 2 % 6]}\n" for number, (name, label) in enumerate(LABELS.items())
    )
    no_line = {"images/000b.png": png(30)}
    for header in ("ml_use", "data set"):  # as Kaggle calls it
        info = made(tree(tmp_path / "pets", FLAT | no_line | {"labels.csv": text.replace("ml_use", header)}))
        assert {name: split.count for name, split in info.splits.items()} == {"train": 12, "validation": 8, "test": 4}


def test_pictures_in_split_folders_are_of_those_splits_if_the_table_names_none(made, tmp_path, capsys):
    """They were one heap, of which a part was tested on."""
    members = {
        f"all/{'train' if number < 16 else 'test'}/{name[7:]}": data for number, (name, data) in enumerate(FLAT.items())
    }
    text = "image,label\n" + "".join(
        f"{name},{'cat' if number % 2 else 'dog'}\n" for number, name in enumerate(members)
    )
    unlabelled = {"all/val/1.png": png(30), "2.png": png(31)}
    assert made(tree(tmp_path / "pets", members | unlabelled | {"labels.csv": text})).splits["test"].per_class == [4, 4]
    assert "splits are by the folders of pets: test, train" in capsys.readouterr().out
    tree(tmp_path / "pets", {"labels.csv": f"{text}all/val/1.png,cat\n2.png,dog\n"})
    assert "received some in test, train, val and also in no folder; add a split" in refused(made, tmp_path / "pets")
    lines = text.splitlines()
    said = "\n".join(
        [f"{lines[0]},split", *(f"{line},{'test' if number < 4 else ''}" for number, line in enumerate(lines[1:]))]
    )
    assert made(tree(tmp_path / "pets", {"labels.csv": said})).splits["test"].per_class == [2, 2]


def test_ids_in_place_of_paths(made, tmp_path):
    text = "id_code,Class\n" + "".join(f"{name[7:-4]},{label}\n" for name, label in LABELS.items())
    assert counts(made(tree(tmp_path / "pets", FLAT | {"labels.csv": text}))) == {"cat": 12, "dog": 12}


def test_a_name_without_its_folder_is_told_where_it_is(made, tmp_path):
    """As Kaggle packs them: train.csv says an id, of pictures in train/, beside test/."""
    pets = tree(tmp_path / "pets", {"a/0.png": png(0), "train/1.png": png(1), "train/2.png": png(2)})
    table = tree(tmp_path / "tables", {"train.csv": "id,label\n1,cat\n2,dog\n"}) / "train.csv"
    said = refused(made, pets, labels=table)
    assert "instance 1 (train.csv, line 2); the pictures are called as train/1; take train as the source, or a" in said


def test_pictures_that_no_line_names_are_left_out_and_counted(made, tmp_path, capsys):
    text = "".join(CSV.splitlines(keepends=True)[:21])
    assert sum(counts(made(tree(tmp_path / "pets", FLAT | {"labels.csv": text}))).values()) == 20
    assert "4 left out: not in the table of labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("images/001.png\nimages/002.png\n", "received one column: images/001.png; add labels, behind commas"),
        ("a,b\n1,2\n", "labels.csv, received a, b; name them path and label in a first line"),
        (
            CSV.replace("images/003", '"images/003'),
            "received a quotation mark in line 5 that is not closed there; close",
        ),
        ("path,label\nx/1.png,cat\nx/2.png,dog\n", "that is there, for instance x/1.png (labels.csv, line 2);"),
        (
            "path,label,set\nimages/001.png,cat,A\n",
            "received none that is there, for instance the split 'A', which is none",
        ),
        ("path,label\n", "received none that is there, no lines of them; the pictures are called as 000"),
        ("images/001.png,cat\nimages/003.png,cat\n", "expected at least two classes, received cat"),
        (" \n", "received an empty file"),
        ("\ufeff,,\n,,\n", "received an empty file"),  # a sheet whose cells were emptied
        (
            f"path,label\n{'x' * 140_000},cat\n",
            "labels.csv, received field larger than field limit",
        ),
        ("\ufeff{}\n", "expected columns of path and label in labels.csv, received ;"),
        (
            "cat,images/001.png,train\ndog,images/002.png,test\n",
            "labels.csv, received cat, images/001.png, train; name them path and label in a first line",
        ),
        (
            CSV.replace("cat", "K\xe4se").encode("cp1252"),
            r"expected UTF-8 in labels.csv, received the label K\udce4se in other bytes (labels.csv, line 3); save",
        ),
    ],
)
def test_a_table_that_labels_nothing_or_says_what_nobody_meant_is_one_line(made, tmp_path, text, said):
    assert said in refused(made, tree(tmp_path / "pets", FLAT | {"labels.csv": text}), max_unreadable=1)


@pytest.mark.parametrize(
    ("data", "received"),
    [
        (gzip.compress(b"image,label", mtime=0), "gzip; unpack it"),
        (b"PK\x03\x04...", "a spreadsheet or a zip; save it as CSV UTF-8"),
        (b"PAR1...PAR1", "Parquet; write it as CSV"),
        (b'[{"image": "a.jpg", "label": "cat"}]', "a JSON list; write one object a line"),
        ("image,label".encode("utf-16"), "UTF-16; save it as CSV UTF-8"),
    ],
)
def test_a_table_of_another_kind_is_called_by_that(tmp_path, data, received):
    (tmp_path / "labels").write_bytes(data)
    said = refused(LabelTable(tmp_path / "labels", "labels.csv").lines)
    assert said == f"expected CSV or JSON lines in UTF-8 in labels.csv, received {received}"


def test_two_tables_or_some_are_refused(made, tmp_path):
    two = tree(tmp_path / "two", FLAT | {"labels.csv": CSV, "images/labels.jsonl": "{}"})
    assert "expected one table of labels in pictures.tar, received" in refused(made, two).replace("two", "pictures.tar")
    one = tree(tmp_path / "one", FLAT | {"labels.csv": CSV})
    other = tree(tmp_path / "other", class_folders({"cat": 2, "dog": 2}))
    assert "in each source or in none, received none in other" in refused(made, one, other)
    loose = tree(tmp_path / "loose", {"1.png": png(1)})
    assert "expected pictures of a class in each source, received none in loose" in refused(made, other, loose)
    said = refused(DownloadSettings.checked, dataset="digits", labels="https://me:secret@host/labels.csv")
    assert "labels: expected none for dataset=digits" in said and "secret" not in said
