"""Shards of WebDataset: a label file beside each picture, in tars that may be of a split by their names."""

import json
from collections.abc import Callable

import pytest

from components.core.storage import open_store
from components.preprocess.sources.beside import LabelsBeside
from components.preprocess.sources.source import TEST, TRAIN
from tests.components.preprocess.sources import archive, class_folders, png
from tests.components.preprocess.test_label_tables import counts, quarantine, refused
from tests.trees import tree

NAMED = ["cat", "dog"]


def shard(
    first: int, count: int, label: Callable[[int], str] = lambda number: str(number % 2), ending: str = "cls"
) -> dict:
    members = {}
    for number in range(first, first + count):
        members[f"{number:06d}.png"] = png(number)
        members[f"{number:06d}.{ending}"] = label(number).encode()
    return members


def test_shards_are_what_class_folders_are_and_their_names_say_the_split(made, tmp_path):
    folders = {f"train/{NAMED[number % 2]}/{number}.png": png(number) for number in range(20)}
    folders |= {f"test/{NAMED[number % 2]}/{number}.png": png(number) for number in range(20, 26)}
    wanted = made(archive(tmp_path / "folders.tar", folders))

    def named(number: int) -> str:
        return f"{NAMED[number % 2]}\n"

    parts = ("pets-train-000.tar", shard(0, 12, named)), ("pets-train-001.tar.gz", shard(12, 8, named))
    tars = [archive(tmp_path / name, members) for name, members in (*parts, ("pets-test-000.tar", shard(20, 6, named)))]
    found = made(*tars)
    assert (found.fingerprint, found.hashes_sha256) == (wanted.fingerprint, wanted.hashes_sha256)

    def facts(number: int) -> str:
        return json.dumps({"label": NAMED[number % 2], "width": 8})

    tars = [
        archive(tmp_path / name, shard(first, count, facts, "json"))
        for name, first, count in (("training_0.tar", 0, 20), ("eval_0.tar", 20, 6))
    ]
    assert made(*tars).fingerprint == wanted.fingerprint
    page = (tmp_path / "report.html").read_text()
    assert page.count("labels are from") == 1, "a line for all of them, as there may be a thousand"
    assert "labels are from training_0.tar, eval_0.tar: of each picture from the .json beside it" in page
    assert "not a picture by its extension" not in page


def test_classes_may_be_numbers_and_a_folder_may_hold_what_a_shard_does(made, tmp_path):
    assert counts(made(archive(tmp_path / "a.tar", {f"some/{name}": data for name, data in shard(0, 40).items()}))) == {
        "0": 20,
        "1": 20,
    }
    assert counts(made(tree(tmp_path / "folder", shard(0, 40)))) == {"0": 20, "1": 20}


@pytest.mark.parametrize("ending", ["cls", "json"])
def test_a_prefix_of_what_a_shard_holds_is_the_same_data_set(bucket, made, tmp_path, ending):
    members = {
        f"{number % 2 if ending == 'cls' else 0}/{name}": data
        for number in range(40)
        for name, data in shard(number, 1, lambda number: json.dumps({"label": NAMED[number % 3 % 2]}), ending).items()
    }
    members["other/labels.csv"] = b"not,of these\n"
    wanted = made(archive(tmp_path / "a.tar", members))
    for name, data in members.items():
        open_store(bucket.uri).write_bytes(f"tested/on/{name}", data)
    found = made(f"{bucket.uri}/tested/on")
    assert (found.fingerprint, counts(found)) == (wanted.fingerprint, counts(wanted))
    table = [f"{name},{number // 2 % 2}\n" for number, name in enumerate(members) if name.endswith(".png")]
    (tmp_path / "named.csv").write_text(f"image,label\n{''.join(table)}")
    bucket.proxy.requests.clear()
    made(f"{bucket.uri}/tested/on", labels=tmp_path / "named.csv")
    assert not [request for request in bucket.proxy.requests if f".{ending}" in request], "each costs a request"


@pytest.mark.parametrize(("name", "split"), [("a-test.tar", TEST), ("gs://b/my-test", TEST), ("gs://my-test", TRAIN)])
def test_a_bucket_is_called_as_it_has_to_be(name, split):
    """It may say of what environment it is: all pictures were for tests, and the run refused."""
    assert LabelsBeside(name, lambda: iter(())).split == split


def test_odd_members_are_left_out_by_name(made, tmp_path, capsys):
    members = shard(0, 40) | {
        "000001.cls": b"",
        "000002.cls": b"a\nb",
        "000003.cls": b"x" * 70_000,
        "alone.cls": b"1",
        "unlabelled.png": png(77),
        "000004.seg.png": png(78),
    }
    found = made(archive(tmp_path / "train.tar", members), max_unreadable=0.5)
    assert counts(found) == {"0": 19, "1": 18}
    assert "6 unreadable or odd, listed in the data report" in capsys.readouterr().out
    assert quarantine(tmp_path) == {
        **{f"train.tar: 00000{number}.png": "no class in the .cls beside it" for number in (1, 2, 3)},
        "train.tar: alone.cls": "no picture beside it",
        "train.tar: unlabelled.png": "no .cls beside it",
        "train.tar: 000004.seg.png": "no .cls beside it",
    }
    assert "max_unreadable" in refused(made, archive(tmp_path / "train.tar", members))


def test_facts_beside_pictures_in_class_folders_are_no_labels(made, tmp_path):
    folders = class_folders({"cat": 10, "dog": 10})
    sidecars = {f"{name[:-4]}.json": b'{"label": "pet"}' for name in folders}
    found = made(archive(tmp_path / "a.tar", folders | sidecars))
    assert counts(found) == {"cat": 10, "dog": 10}
    assert found.fingerprint == made(archive(tmp_path / "b.tar", folders)).fingerprint
    assert "expected one folder of pictures a class" in refused(
        made, archive(tmp_path / "c.tar", {"a.png": png(1), "a.json": b"{}", "b.png": png(2), "b.json": b"["})
    )
