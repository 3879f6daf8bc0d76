"""Which pictures train, validate and test."""

import pathlib

import numpy as np
import pytest

from components.core.errors import PipelineError
from components.preprocess.settings import PreprocessSettings
from components.preprocess.shards import MAX_SHARDS, SHARD_BYTES, plan_shards
from components.preprocess.sources.source import TEST, TRAIN, VALIDATION, Source
from components.preprocess.splits import assign_splits, last, shuffled, stratified


def source(labels: list[int], given: list[int] | None = None) -> Source:
    count = len(labels)
    return Source(
        class_names=[f"c{label}" for label in range(max(labels) + 1)],
        labels=np.array(labels, np.int32),
        given=np.array(given or [TRAIN] * count, np.int8),
        path=pathlib.Path("nowhere"),
        offsets=np.arange(count),
        sizes=np.ones(count, np.int64),
        shape=(1, 1, 1),
        name=str,
    )


def settings(**values) -> PreprocessSettings:
    return PreprocessSettings.checked(**values)


@pytest.mark.parametrize(
    ("size", "share", "taken"),
    [(1000, 0.2, 200), (10, 0.25, 3), (10, 0.24, 2), (7, 0.5, 4), (5, 0.99, 4), (3, 0.01, 1), (2, 0.9, 1), (1, 0.9, 0)],
)
def test_a_stratified_share_of_a_class(size, share, taken):
    labels = np.array([0] * size + [1] * 4)
    chosen = stratified(labels, share, 0, VALIDATION)
    assert np.count_nonzero(chosen < size) == taken
    assert chosen.tolist() == sorted(set(chosen.tolist()))


def test_stratified_is_random_by_seed_and_the_same_again():
    labels = np.repeat([0, 1, 2], 100)
    first = stratified(labels, 0.2, 1, VALIDATION)
    assert first.tolist() == stratified(labels, 0.2, 1, VALIDATION).tolist()
    assert first.tolist() != stratified(labels, 0.2, 2, VALIDATION).tolist()
    assert first.tolist() != list(range(20))
    assert np.bincount(labels[first]).tolist() == [20, 20, 20]


@pytest.mark.parametrize("given_test", [True, False])
@pytest.mark.parametrize("given_validation", [True, False])
@pytest.mark.parametrize("rule", ["stratified", "last"])
def test_splits_that_are_given_stay_and_the_others_are_made(given_test, given_validation, rule):
    labels, given = [0, 1] * 50, [TRAIN] * 100
    if given_validation:
        given[60:80] = [VALIDATION] * 20
    if given_test:
        given[80:] = [TEST] * 20
    splits, words = assign_splits(source(labels, given), settings(validation_split=0.25, test_split=0.1), rule)
    counts = np.bincount(splits, minlength=3).tolist()
    training = 100 - 20 * given_test - 20 * given_validation
    test = 20 if given_test else training // 10
    training -= 0 if given_test else test
    validation = 20 if given_validation else {80: 20, 90: 22 if rule == "stratified" else 23}[training]
    assert counts == [100 - test - validation, validation, test]
    for split, was_given in ((VALIDATION, given_validation), (TEST, given_test)):
        if was_given:
            assert np.flatnonzero(splits == split).tolist() == [i for i, at in enumerate(given) if at == split]
        assert (words[split] == "as the source gives it") == was_given
    if rule == "last" and not given_validation:
        training = np.flatnonzero(splits != TEST)
        assert np.flatnonzero(splits == VALIDATION).tolist() == training[-validation:].tolist()
        assert words[VALIDATION] == "the last 25 % of the training pictures, as Keras does it"


@pytest.mark.parametrize(
    ("labels", "given", "rule", "said"),
    [
        ([0, 1], None, "stratified", "too few to split: 2 pictures of 2 classes"),
        ([0, 1, 0, 1], [TRAIN, TRAIN, TEST, TEST], "stratified", "expected some validation pictures"),
        ([0] * 10 + [1] * 10, [TRAIN] * 19 + [TEST], "last", ""),
        ([0] * 15 + [1] * 5 + [0, 1], [TRAIN] * 20 + [TEST] * 2, "last", "received none of c1; add some, or use"),
        ([0, 0, 2, 2] * 5, None, "stratified", "received none of c1"),
    ],
)
def test_splits_that_leave_someone_out(labels, given, rule, said):
    if not said:
        assign_splits(source(labels, given), settings(validation_split=0.2), rule)
        return
    with pytest.raises(PipelineError) as refused:
        assign_splits(source(labels, given), settings(validation_split=0.25), rule)
    assert said in str(refused.value)


def test_the_order_is_one_permutation_of_the_whole_split():
    splits = np.array([TRAIN, TEST] * 500, np.int8)
    order = shuffled(splits, TRAIN, 3)
    assert sorted(order.tolist()) == list(range(0, 1000, 2))
    assert order.tolist() != sorted(order.tolist())
    assert order.tolist() == shuffled(splits, TRAIN, 3).tolist()
    assert order.tolist() != shuffled(splits, TRAIN, 4).tolist()


@pytest.mark.parametrize(
    ("counts", "record", "shards"),
    [
        ([1, 1, 1], 100, [1, 1, 1]),
        ([40_000, 10_000, 10_000], 3126, [2, 1, 1]),
        ([1_000_000, 1, 1], 150_000, None),
        ([21, 21, 21], SHARD_BYTES, None),
        ([61, 1, 1], SHARD_BYTES, [60, 1, 1]),
        ([5, 5, 5], 50 * SHARD_BYTES, None),
    ],
)
def test_shards_are_large_and_few(counts, record, shards):
    orders = [np.arange(count) + sum(counts[:i]) for i, count in enumerate(counts)]
    planned = plan_shards(orders, record)
    found = [sum(shard.split == split for shard in planned) for split in range(3)]
    assert found == (shards or found)
    assert len(planned) <= MAX_SHARDS
    assert all(len(shard.pictures) for shard in planned)
    for split in range(3):
        parts = [shard for shard in planned if shard.split == split]
        assert np.concatenate([part.pictures for part in parts]).tolist() == orders[split].tolist()
        assert parts[-1].name.endswith(f"-{len(parts) - 1:05d}-of-{len(parts):05d}.tfrecord")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("validation_split", 1.0, "validation_split: input should be less than 1; received 1.0"),
        ("validation_split", -0.1, "validation_split: input should be greater than or equal to 0; received -0.1"),
        ("validation_split", float("nan"), "validation_split: input should be"),
        ("validation_split", "a fifth", "validation_split: input should be a valid number"),
        ("test_split", 1, "test_split: input should be less than 1"),
        ("max_unreadable", 1.5, "max_unreadable: input should be less than or equal to 1"),
        ("max_unreadable", float("inf"), "max_unreadable: input should be"),
        ("seed", -1, "seed: input should be greater than or equal to 0"),
        ("validation", "first", "validation: input should be 'auto', 'stratified' or 'last'"),
        ("resize", "pad", "resize: input should be 'resize' or 'crop'"),
        ("color", "grey", "color: input should be 'auto', 'rgb' or 'grayscale'"),
        ("image_size", "0", "image_size: expected auto, a size such as 64"),
        ("image_size", "32x", "image_size: expected auto, a size such as 64"),
        ("image_size", "32x48x3", "image_size: expected auto, a size such as 64"),
        ("image_size", "5000", "image_size: expected auto, a size such as 64"),
        ("image_size", "-32", "image_size: expected auto, a size such as 64"),
        ("image_size", True, "image_size: expected auto, a size such as 64"),
        ("image_size", "", "image_size: expected auto, a size such as 64"),
        ("image_sise", "32", "unknown parameter 'image_sise'; did you mean 'image_size'?"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(name, value, said):
    with pytest.raises(PipelineError) as refused:
        settings(**{name: value})
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "kept"), [("auto", "auto"), ("AUTO", "auto"), ("32", "32"), (64, "64"), ("32X48", "32x48")]
)
def test_image_sizes(value, kept):
    assert settings(image_size=value).image_size == kept


def test_every_setting_says_what_it_is():
    assert all(field.description for field in PreprocessSettings.model_fields.values())


def test_last_is_a_slice_to_the_end():
    assert last(10, 0.2) == slice(8, 10)


def test_no_validation_pictures_where_none_are_asked_for() -> None:
    splits, words = assign_splits(source([0, 1] * 50, [TRAIN] * 100), settings(validation_split=0.0), "stratified")
    assert np.bincount(splits, minlength=3).tolist() == [80, 0, 20]
    assert words[VALIDATION] == "none, as asked for: all training pictures are trained on"
