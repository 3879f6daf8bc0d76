"""Weights of classes: what they are, and that they act as many copies of a class's pictures would."""

import json

import numpy as np
import pytest

from components.core.artifacts.dataset import DatasetInfo, Shard, SplitInfo
from components.core.errors import PipelineError
from components.train.class_weight import class_weights, parse_class_weight
from components.train.settings import TrainSettings


def info_of(names: list[str], train: list[int]) -> DatasetInfo:
    split = SplitInfo(count=sum(train), per_class=train, shards=[Shard(name="a", count=sum(train), sha256="0")])
    return DatasetInfo(
        dataset="birds", image_shape=(8, 8, 1), class_names=names, splits={"train": split}, mean=[0.5], std=[0.2],
        seed=0, hashes_sha256="0", quarantined=0, source_uri="file:///birds", source_sha256="0", fingerprint="1",
    )  # fmt: skip


def test_balanced_is_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    counts = [900, 90, 10]
    labels = np.repeat(np.arange(3), counts)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    found = class_weights("balanced", info_of(["a", "b", "c"], counts))
    assert found == pytest.approx(expected, rel=1e-6)
    assert np.mean(found[labels]) == pytest.approx(1)
    # A class without training pictures is none of the k, and its weight is never asked for.
    assert class_weights("balanced", info_of(["a", "b", "c"], [30, 0, 10])).tolist() == pytest.approx([2 / 3, 0, 2])


def test_a_table_is_by_name_in_any_order() -> None:
    info = info_of(["0", "crow", "rare bird"], [5, 5, 5])
    for text in ('{"rare bird": 8, "crow": 1, "0": 0.5}', "{rare bird: 8, crow: 1.0, 0: 0.5}"):
        assert class_weights(text, info).tolist() == [0.5, 1, 8]
    assert class_weights("", info) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"cat": 1e-3, "dog": 2E2}', {"cat": 0.001, "dog": 200}),
        ("{cat: 1e-3, dog: .5e+1}", {"cat": 0.001, "dog": 5}),
        (json.dumps({"\N{CAT FACE}": 1, "K\u00e4se": 2}), {"\N{CAT FACE}": 1, "K\u00e4se": 2}),
        ("{no: 1, yes: 2}", {"no": 1, "yes": 2}),
        ("{007: 1, 2026-01-01: 2, 1e3: 3, ~: 4}", {"007": 1, "2026-01-01": 2, "1e3": 3, "~": 4}),
    ],
)
def test_numbers_and_names_are_those_that_were_written(text: str, expected: dict[str, float]) -> None:
    assert parse_class_weight(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("uneven", 'class_weight: expected balanced or a table such as {"cat": 1'),
        ("[1, 2]", "class_weight: expected balanced or a table"),
        ("{cat: [", "class_weight: expected balanced or a table"),
        ("{}", "class_weight: expected balanced or a table"),
        ("{cat: -1}", "^class_weight: expected a number above 0 for cat, received -1$"),  # it is said once
        ("{cat: 0}", "above 0 for cat, received 0"),
        ("{cat: yes}", "above 0 for cat, received"),
        ("{cat: .nan}", "above 0 for cat, received"),
    ],
)
def test_what_is_no_weight_is_refused_before_anything_runs(text: str, said: str) -> None:
    with pytest.raises(PipelineError, match=said):
        TrainSettings.checked(class_weight=text)


def test_a_table_of_other_classes_is_refused_by_name() -> None:
    info = info_of(["cat", "dog", "cow"], [5, 5, 5])
    with pytest.raises(PipelineError, match="class_weight: unknown class 'catt'; .*cat"):
        class_weights("{catt: 1, dog: 1, cow: 1}", info)
    with pytest.raises(PipelineError, match="expected a weight for every class, received none for dog and 1 more"):
        class_weights("{cat: 1}", info)
