"""Several sources are one data set, and those that are called as splits are those splits."""

import json

import pytest

from components.core.artifacts.raw import read_raw
from components.download.look import look
from components.download.settings import DownloadSettings
from tests.components.preprocess.sources import CSV, FLAT, archive, class_folders, counts, png, quarantine, refused
from tests.trees import fill, tree


def test_several_sources_are_one_data_set(bucket, made, tmp_path):
    """A folder, an archive and a prefix; classes may be missing in some, and names may repeat."""
    members = class_folders({"cat": 20, "dog": 20})
    names = list(members)
    whole = made(tree(tmp_path / "whole", members))
    folder = tree(tmp_path / "some", {name: members[name] for name in names[:10]})
    packed = archive(tmp_path / "more.zip", {f"more/{name}": members[name] for name in names[10:25]})
    fill(f"{bucket.uri}/rest", {f"dog/{number:04d}.png": members[name] for number, name in enumerate(names[25:])})
    info = made(folder, packed, f"{bucket.uri}/rest")
    assert counts(info) == counts(whole) == {"cat": 20, "dog": 20}
    assert info.hashes_sha256 == whole.hashes_sha256, "the same pictures in the same splits"
    assert info.fingerprint == whole.fingerprint
    assert info.source_uri == f"{folder}, {packed}, {bucket.uri}/rest"
    assert {file.name for file in read_raw(tmp_path / "raw").files} == {
        "pictures-1.tar", "pictures-2.zip", "objects-3.jsonl",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "inside", "tested"),
    [
        (["train.tar", "test.zip"], "", True),
        (["pets-train", "pets-test.tar.gz"], "photos/", True),
        (["pets.train.zip", "pets.test.zip"], "", True),
        (["train/images", "test/images"], "", True),
        (["train-1.zip", "train-2.zip", "testing"], "", True),
        (["train", "more-tests.zip"], "", False),
        (["train-1.zip", "train-2.zip"], "", False),
    ],
)
def test_sources_that_are_called_as_splits_are_those(made, tmp_path, capsys, names, inside, tested):
    """What train.zip and test.zip hold was one heap, of which a part was tested on."""
    sources = []
    for number, name in enumerate(names):
        count = 4 if name == names[-1] else 12
        members = class_folders({f"{inside}cat": count, f"{inside}dog": count}, start=100 * number)
        (tmp_path / str(number)).mkdir()
        path = tmp_path / str(number) / name
        sources.append(archive(path, members) if path.suffix else tree(path, members))
    info = made(*sources)
    assert ("splits are by the sources' names" in capsys.readouterr().out) == tested
    if tested:
        assert info.splits["test"].per_class == [4, 4]
    assert counts(info) == {"cat": 12 * len(names) - 8, "dog": 12 * len(names) - 8}


@pytest.mark.parametrize("own", [True, False])
def test_sources_with_tables_that_are_called_as_splits_are_those(made, tmp_path, own):
    lines = {
        name: f"{name},{'cat' if number % 2 else 'dog'}" for number, name in enumerate(f"{n}.png" for n in range(24))
    }
    tables = {"train": list(lines)[:16], "test": list(lines)[16:]}
    for split, names in tables.items():
        table = "\n".join(lines[name] for name in names)
        members = {name: png(int(name.removesuffix(".png"))) for name in names}
        tree(tmp_path / split, members | ({"labels.csv": table} if own else {}))
    named = {} if own else {"labels": tree(tmp_path, {"all.csv": "\n".join(lines.values())}) / "all.csv"}
    assert made(tmp_path / "train", tmp_path / "test", **named).splits["test"].per_class == [4, 4]
    if own:  # what a table says itself counts more
        said = "\n".join(
            f"{lines[name]},{'val' if number < 6 else 'train'}" for number, name in enumerate(tables["train"])
        )
        tree(tmp_path / "train", {"labels.csv": said})
        splits = made(tmp_path / "train", tmp_path / "test").splits
        assert [splits[name].per_class for name in ("train", "validation", "test")] == [[5, 5], [3, 3], [4, 4]]


def test_sources_of_which_only_some_are_called_as_splits_are_refused(made, tmp_path):
    """All were one heap, of which a part was tested on."""
    names = ("train", "test", "more")
    sources = [tree(tmp_path / name, class_folders({"a": 9, "b": 9}, start=len(name) * 50)) for name in names]
    said = refused(made, *sources)
    assert "called as splits, or none of them, received test, train and also more; pack what is in there" in said


def test_splits_inside_sources_of_such_names_count_as_before(made, tmp_path):
    """And a class may be called as a split."""
    for name in ("train", "test"):
        tree(tmp_path / "inside" / name, class_folders({f"{name}/cat": 6, f"{name}/dog": 6}, start=len(name) * 50))
        tree(tmp_path / "class" / name, class_folders({"bus": 6, "train": 6}, start=len(name) * 50))
        each = {f"{split}/{kind}": 3 for split in ("train", "test") for kind in ("cat", "dog")}
        tree(tmp_path / "both" / name, class_folders(each, start=len(name) * 50))
    for kind in ("inside", "class", "both"):
        info = made(tmp_path / kind / "train", tmp_path / kind / "test")
        assert info.class_names == (["bus", "train"] if kind == "class" else ["cat", "dog"])
        assert info.splits["test"].per_class == [6, 6]


def test_a_source_of_one_class_that_is_sorted_further_adds_to_that_class(made, tmp_path):
    """More cats, by day and by night: they were two classes more, day and night."""
    both = tree(tmp_path / "both", class_folders({"cat": 9, "dog": 9}))
    cats = class_folders({"cat/day": 6, "cat/night": 6}, start=100)
    more = tree(tmp_path / "more", {f"new/{name}": data for name, data in cats.items()})
    assert counts(made(both, more)) == {"cat": 21, "dog": 9}
    # A folder above all classes may be called as one of them.
    again = tree(
        tmp_path / "again", {f"dog/{name}": data for name, data in class_folders({"cat": 2, "dog": 2}).items()}
    )
    assert counts(made(both, again)) == {"cat": 11, "dog": 11}


def test_several_sources_with_a_table_each_or_one_for_all(made, tmp_path):
    first = tree(tmp_path / "first", FLAT | {"labels.csv": CSV})
    second = {f"{number}.png": png(900 + number) for number in range(4)}
    table = "".join(f"{name},{'cat' if number < 2 else 'fox'}\n" for number, name in enumerate(second))
    other = tree(tmp_path / "second", second | {"000.png": png(950), "labels.csv": f"{table}000.png,fox\n"})
    assert counts(made(first, other)) == {"cat": 14, "dog": 12, "fox": 3}
    both = tree(tmp_path, {"all.csv": CSV.replace("images/", "") + table}) / "all.csv"
    assert counts(made(first, other, labels=both, max_unreadable=0.1)) == {"cat": 14, "dog": 11, "fox": 2}
    assert quarantine(tmp_path) == {"all.csv, line 2": "several pictures of that name: 000.png"}


def test_a_list_of_sources_is_looked_at_as_one(tmp_path):
    places = [tree(tmp_path / name, {"a": name}) for name in ("one", "two")]
    named = json.dumps(list(map(str, places)))
    before = look(named)
    assert before not in map(look, map(str, places))
    assert look(named) == before
    (places[1] / "a").write_bytes(b"other")
    assert look(named) != before
    assert """a list is typed '["a.zip", "b/"]'""" in refused(look, named.replace('"', ""))
    assert "expected a list of places" in refused(DownloadSettings.checked, dataset="image_folder", source="[1]")
    secret = '["https://me:secret@host/a.zip", "https://me:secret@host/b.zip"]'
    said = refused(DownloadSettings.checked, dataset="mnist", source=secret)
    assert "expected one place for dataset=mnist, received 2" in said and "secret" not in said
