"""Pictures that belong together lie in one split: real handwritten digits, as if forty people had written ten each."""

import pathlib
import types

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from components.check.settings import Parameters
from components.core.artifacts.dataset import SPLITS, DatasetInfo, read_info
from components.core.artifacts.picture_hashes import HASHES_FILE, learned_hashes, learned_in_test, split_hashes
from components.core.errors import PipelineError
from components.preprocess.groups import groups_of
from components.preprocess.settings import PreprocessSettings
from tests.components.preprocess.sources import archive, class_folders, encoded
from tests.trees import fill, tree

DIGITS = load_digits()
PICTURES = {
    f"{number:03d}.png": encoded(Image.fromarray((pixels * 15).astype(np.uint8)))
    for number, pixels in enumerate(DIGITS.images[:400])
}
WRITERS = {name: f"w{number // 10}" for number, name in enumerate(PICTURES)}


def members(writers: dict[str, str], columns: str = "Writer Name") -> dict[str, bytes]:
    """Pictures and their table. 000b.png is a copy of 000.png."""
    labels = (f"{name},{'odd' if DIGITS.target[int(name[:3])] % 2 else 'even'}" for name in writers)
    lines = [f"image,label,{columns}", *map(",".join, zip(labels, writers.values(), strict=True))]
    return {name: PICTURES[f"{name[:3]}.png"] for name in writers} | {"labels.csv": "\n".join(lines).encode()}


def sides(directory: pathlib.Path, info: DatasetInfo) -> list[set[int]]:
    """The groups in each split, by their numbers."""
    ends = np.cumsum([info.splits[split].count for split in SPLITS])
    return [set(part.tolist()) for part in np.split(np.load(directory / HASHES_FILE)[1], ends[:-1])]


def test_groups_that_share_pictures_are_one():
    """A picture without a group is one of its own, and joins those of its copies. What could not be read joins none."""
    groups = np.array([7, 7, 5, 5, 9, 9, 0, 3, 0, 20, 21, 20, 21], np.uint64)
    hashes = np.array([10, 11, 11, 12, 12, 13, 13, 14, 15, 16, 17, 0, 0], np.uint64)
    found = groups_of(types.SimpleNamespace(groups=groups), hashes, hashes > 0)
    assert found[hashes > 0].tolist() == [5, 5, 5, 5, 5, 5, 5, 3, 15, 20, 21]


def test_a_group_is_in_one_split_wherever_it_lies_and_whatever_comes(bucket, made, tmp_path, capsys):
    every = members(WRITERS)
    fill(f"{bucket.uri}/digits", every)
    places = [tree(tmp_path / "digits", every), archive(tmp_path / "digits.zip", reversed(every.items()))]
    infos = [made(place, group_column="writer_name") for place in (*places, f"{bucket.uri}/digits")]
    assert len({(info.fingerprint, info.hashes_sha256) for info in infos}) == 1
    train, validation, test = sides(tmp_path / "dataset", infos[0])
    assert len(train | validation | test) == len(train) + len(validation) + len(test) == 40
    assert "group from Writer Name" in (said := capsys.readouterr().out)
    assert "pictures stay together by writer_name: 40 groups, the largest of 2.5 % of all" in said
    damaged = members(dict(list(WRITERS.items())[:200])) | dict.fromkeys(list(WRITERS)[:200:10], b"no picture")
    fewer = made(tree(tmp_path / "fewer", damaged), group_column="writer_name", max_unreadable=0.1)
    assert all(map(set.issubset, sides(tmp_path / "dataset", fewer), (train, validation, test)))
    assert made(places[0]).fingerprint != infos[0].fingerprint


def test_who_has_learned_from_one_of_a_group_knows_them_all(made, tmp_path):
    digits, every = tree(tmp_path / "digits", members(WRITERS)), []
    for group_column, known_of_one in (("writer_name", 10), ("", 1)):
        made(digits, group_column=group_column)
        info = read_info(tmp_path / "dataset")
        hashes = [split_hashes(tmp_path / "dataset", info, split) for split in SPLITS]
        known = learned_in_test(tmp_path / "dataset", info, hashes[-1][:1])
        assert known.sum() == known_of_one and known[0]
        groups = [split_hashes(tmp_path / "dataset", info, split, of_groups=True) for split in SPLITS]
        learned = learned_hashes(tmp_path / "dataset", info)
        assert learned.tolist() == np.unique(np.concatenate([*hashes[:2], *groups[:2]])).tolist()
        every.append(np.sort(np.concatenate(hashes)).tolist())
    assert every[0] == every[1]  # a picture's hash is its own, in a group too


@pytest.mark.parametrize(
    ("writers", "said"),
    [
        ({"009.png": "w1", "019.png": ""}, "1 picture of no group, each on its own"),
        ({"009.png": "W0", "019.png": "w1.0", "029.png": "\uff572"}, "by Writer Name: 40 groups, the largest of 2.5 %"),
        ({"000b.png": "w39"}, "1 group joined with others that hold the same picture"),
        (dict.fromkeys(list(WRITERS)[:300], "W0"), "in place of 20 %: groups are few or large, and another split_seed"),
        ({"000.png": "w0,test", "100.png": "w10,test"}, "2 groups in more than one split, as the source gives it"),
    ],
)
def test_what_became_of_groups_is_told(made, tmp_path, capsys, writers, said):
    made(tree(tmp_path / "digits", members(WRITERS | writers, "Writer Name,split")), group_column="Writer Name")
    assert said in capsys.readouterr().out


def test_a_picture_of_two_groups_is_left_out(made, tmp_path):
    digits = members(WRITERS)
    digits["labels.csv"] += b"\n000.png,even,w1"
    info = made(tree(tmp_path / "digits", digits), group_column="Writer Name")
    assert (info.quarantined, sum(split.count for split in info.splits.values())) == (1, 399)


def test_groups_where_there_are_none_are_refused(made, tmp_path):
    digits = tree(tmp_path / "digits", members(WRITERS))
    with pytest.raises(PipelineError, match="expected the column patient in labels.csv .* received image, label, Writ"):
        made(digits, group_column="patient")
    with pytest.raises(PipelineError, match="received too few to split: 400 pictures of 2 classes in 1 group; add pic"):
        made(tree(tmp_path / "one", members(dict.fromkeys(WRITERS, "w0"))), group_column="Writer Name")
    black = {f"000{number}.png": f"w{number}" for number in range(40)}
    with pytest.raises(PipelineError, match="440 pictures of 2 classes in 1 group, joined of 40 that share pictures"):
        made(tree(tmp_path / "videos", members(WRITERS | black)), group_column="Writer Name")
    with pytest.raises(PipelineError, match="expected a table of labels that says in the column patient which pictu"):
        made(tree(tmp_path / "folders", class_folders({"cat": 9, "dog": 9})), group_column="patient")
    with pytest.raises(PipelineError, match="group_column: the last pictures may be a part of a group: choose valid"):
        PreprocessSettings.checked(group_column="patient", validation="last")
    with pytest.raises(
        PipelineError, match="group_column: expected none for dataset=cifar100, which has no table of l"
    ):
        Parameters.checked(dataset="cifar100", group_column="patient")  # it was fetched first, an hour long
