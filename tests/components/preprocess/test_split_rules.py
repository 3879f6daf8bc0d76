"""Which pictures train, validate and test."""

import dataclasses
import hashlib
import pathlib

import numpy as np
import pytest

from components.core.artifacts.dataset import SPLITS
from components.core.errors import PipelineError
from components.preprocess.settings import PreprocessSettings
from components.preprocess.shards import MAX_SHARDS, SHARD_BYTES, shard_counts
from components.preprocess.sources.payloads import InFile
from components.preprocess.sources.source import TEST, TRAIN, VALIDATION, Source
from components.preprocess.splits import UNREADABLE, assign_splits, last, shuffled, uniform_numbers


def source(labels: list[int], given: list[int] | None = None) -> Source:
    count = len(labels)
    return Source(
        class_names=[f"c{label}" for label in range(max(labels) + 1)],
        labels=np.array(labels, np.int32),
        given=np.array(given or [TRAIN] * count, np.int8),
        payloads=InFile(pathlib.Path("nowhere")),
        offsets=np.arange(count),
        sizes=np.ones(count, np.int64),
        shape=(1, 1, 1),
        name=str,
        name_sums=np.zeros(count, np.uint32),
    )


def settings(**values) -> PreprocessSettings:
    return PreprocessSettings.checked(**values)


def hashes(count: int, first: int = 0) -> np.ndarray:
    """As of different pictures."""
    digests = (hashlib.sha256(str(number).encode()).digest()[:8] for number in range(first, first + count))
    return np.frombuffer(b"".join(digests), "<u8")


def assigned(labels, given=None, picture_hashes=None, unreadable=(), rule="stratified", **values):
    readable = np.ones(len(labels), bool)
    readable[list(unreadable)] = False
    picture_hashes = hashes(len(labels)) if picture_hashes is None else picture_hashes
    return assign_splits(source(labels, given), picture_hashes, readable, settings(**values), rule)


def test_others_that_come_go_or_are_renamed_move_no_picture():
    before, _ = assigned([0, 1] * 300)
    more, _ = assigned([0, 1] * 500)
    assert (more[:600] == before).all()
    fewer, _ = assigned([0, 1] * 200, picture_hashes=hashes(400, first=200))
    assert (fewer == before[200:]).all()
    order = np.random.default_rng(0).permutation(600)
    renamed, _ = assigned((np.arange(600) % 2)[order].tolist(), picture_hashes=hashes(600)[order])
    assert (renamed == before[order]).all()
    relabelled, _ = assigned([0, 1, 2] * 200)
    assert (relabelled == before).all()
    with_damage, _ = assigned([0, 1] * 300, unreadable=range(0, 600, 7))
    assert (with_damage[np.arange(600) % 7 > 0] == before[np.arange(600) % 7 > 0]).all()
    assert (with_damage[::7] == UNREADABLE).all()


@pytest.mark.parametrize("given", [None, VALIDATION, TEST])
def test_copies_of_a_picture_are_on_one_side_also_in_another_class(given):
    copies = np.tile(hashes(200), 3)
    labels = ([0, 1] * 100) * 2 + ([1, 0] * 100)
    splits, _ = assigned(labels, picture_hashes=copies)
    assert (splits[:200] == splits[200:400]).all()
    assert (splits[:200] == splits[400:]).all()
    if given is not None:
        # Copies of what the source itself has put somewhere stay with what trains.
        copies = np.concatenate([copies, hashes(100, first=200)])
        splits, _ = assigned(labels + [0, 1] * 50, [given] * 200 + [TRAIN] * 500, copies)
        assert set(splits[:200].tolist()) == {given}
        assert set(splits[200:600].tolist()) == {TRAIN}


def test_a_share_is_hit_about_and_the_seed_is_its_own():
    labels = [0, 1, 2, 3] * 2500
    splits, words = assigned(labels, test_split=0.2, validation_split=0.25)
    shares = np.bincount(splits, minlength=3) / 10_000
    # Within four standard deviations: 0.6, 0.2, 0.2.
    assert np.abs(shares - (0.6, 0.2, 0.2)).max() < 4 * (0.24 / 10_000) ** 0.5
    assert words["test"] == "about 20 % of each class, by pixel hash and split_seed 0"
    assert (assigned(labels, seed=1, validation_split=0.25)[0] == splits).all()
    other, _ = assigned(labels, split_seed=1, validation_split=0.25)
    # Two seeds agree on a test picture as often as chance has it.
    assert abs((other[splits == TEST] == TEST).mean() - 0.2) < 0.04
    # Whether a picture would validate says nothing of whether it tests.
    first, second = (uniform_numbers(hashes(10_000), 0, split) for split in (TEST, VALIDATION))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.04
    assert np.abs(np.histogram(first, 10, (0, 1))[0] - 1000).max() < 120


@pytest.mark.parametrize(("size", "tested"), [(1, 0), (2, 1), (3, None), (5, None), (30, None)])
@pytest.mark.parametrize("seed", range(20))
def test_a_small_class_has_something_of_everything_it_can_have(size, tested, seed):
    labels = [0] * size + [1] * 50 + [2] * size
    splits, _ = assigned(labels, split_seed=seed)
    for label in (0, 1, 2):
        counts = np.bincount(splits[np.array(labels) == label], minlength=3)
        assert counts[TRAIN] >= 1
        assert counts[TEST] >= (1 if label == 1 or size > 1 else 0)
        if tested is not None and label != 1:
            assert counts.tolist() == [1, 0, tested] or (size == 2 and counts.tolist() == [1, 0, 1])


def test_copies_count_as_one_picture_in_a_small_class():
    picture_hashes = np.concatenate([hashes(1).repeat(9), hashes(60, first=1)])
    splits, _ = assigned([0] * 9 + [1] * 60, picture_hashes=picture_hashes)
    assert set(splits[:9].tolist()) == {TRAIN}


@pytest.mark.parametrize("alone", [0, 1])
@pytest.mark.parametrize("seed", range(12))
def test_a_picture_in_two_classes_is_no_classs_last_to_train_on(alone, seed):
    """One class has that picture alone, the other one more; whichever comes first."""
    picture_hashes = np.concatenate([hashes(1), hashes(52)])
    splits, _ = assigned([alone, 1 - alone, 1 - alone] + [2] * 50, picture_hashes=picture_hashes, split_seed=seed)
    assert splits[:2].tolist() == [TRAIN, TRAIN]


@pytest.mark.parametrize("given_test", [True, False])
@pytest.mark.parametrize("given_validation", [True, False])
@pytest.mark.parametrize("rule", ["stratified", "last"])
def test_splits_that_are_given_stay_and_the_others_are_made(given_test, given_validation, rule):
    labels, given = [0, 1] * 50, [TRAIN] * 100
    if given_validation:
        given[60:80] = [VALIDATION] * 20
    if given_test:
        given[80:] = [TEST] * 20
    splits, words = assigned(labels, given, rule=rule, validation_split=0.25, test_split=0.1)
    assert all(np.bincount(splits, minlength=3))
    for split, was_given in ((VALIDATION, given_validation), (TEST, given_test)):
        if was_given:
            assert np.flatnonzero(splits == split).tolist() == [i for i, at in enumerate(given) if at == split]
        assert (words[SPLITS[split]] == "as the source gives it") == was_given
    if rule == "last" and not given_validation:
        training = np.flatnonzero(splits != TEST)
        validation = training[last(len(training), 0.25)]
        assert np.flatnonzero(splits == VALIDATION).tolist() == validation.tolist()
        assert words["validation"] == "the last 25 % of the training pictures, as Keras does it"


def test_the_last_of_picture_files_are_the_same_in_whatever_order_they_are_packed():
    """And are not one class, as in a folder, whose classes lie one after another."""
    names = np.arange(200, dtype=np.uint32)
    found, packed = hashes(200), dataclasses.replace(source([0] * 100 + [1] * 100), shape=None, name_sums=names)
    validating = []
    for order in (np.arange(200), np.random.default_rng(0).permutation(200)):
        shuffled_source = dataclasses.replace(packed, labels=packed.labels[order])
        readable = np.ones(200, bool)
        splits, _ = assign_splits(shuffled_source, found[order], readable, settings(test_split=0.1), "last")
        validating.append(sorted(found[order][splits == VALIDATION].tolist()))
        assert np.bincount(shuffled_source.labels[splits == TRAIN]).min() > 50
    assert validating[0] == validating[1]


def test_the_article_s_counts_are_exact():
    """CIFAR-10 with validation=last, whatever the pictures and the split seed."""
    for seed in (0, 1):
        given = [TRAIN] * 50_000 + [TEST] * 10_000
        labels = [number % 10 for number in range(60_000)]
        splits, _ = assigned(labels, given, rule="last", split_seed=seed)
        assert np.bincount(splits).tolist() == [40_000, 10_000, 10_000]


@pytest.mark.parametrize(
    ("labels", "given", "rule", "said"),
    [
        ([0, 1], None, "stratified", "too few to split: 2 pictures of 2 classes"),
        ([0, 1, 0, 1], [TRAIN, TRAIN, TEST, TEST], "stratified", "expected some readable validation pictures"),
        ([0] * 15 + [1] * 5 + [0, 1], [TRAIN] * 20 + [TEST] * 2, "last", "received none of c1 among 22 pictures of 2"),
        ([0, 0, 2, 2] * 5, None, "stratified", "received none of c1"),
    ],
)
def test_splits_that_leave_someone_out(labels, given, rule, said):
    with pytest.raises(PipelineError) as refused:
        assigned(labels, given, rule=rule, validation_split=0.25)
    assert said in str(refused.value)
    assert ("use validation=stratified" in str(refused.value)) == (rule == "last"), "no advice that is followed already"


def test_the_order_is_one_permutation_of_the_whole_split():
    splits = np.array([TRAIN, TEST] * 500, np.int8)
    every = np.arange(1000)
    order = shuffled(every, splits, TRAIN, 3)
    assert sorted(order.tolist()) == list(range(0, 1000, 2))
    assert order.tolist() != sorted(order.tolist())
    assert order.tolist() == shuffled(every, splits, TRAIN, 3).tolist()
    assert order.tolist() != shuffled(every, splits, TRAIN, 4).tolist()


@pytest.mark.parametrize(
    ("counts", "record", "shards"),
    [
        ([1, 1, 1], 100, [1, 1, 1]),
        ([40_000, 10_000, 10_000], 3126, [2, 1, 1]),
        ([1_000_000, 1, 1], 150_000, None),
        ([21, 21, 21], SHARD_BYTES, None),
        ([61, 1, 1], SHARD_BYTES, [57, 1, 1]),
        ([5, 5, 5], 50 * SHARD_BYTES, None),
    ],
)
def test_shards_are_large_and_few(counts, record, shards):
    found = shard_counts(counts, record)
    assert found == (shards or found)
    assert sum(found) <= MAX_SHARDS
    assert all(1 <= files <= pictures for files, pictures in zip(found, counts, strict=True))


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
        ("split_seed", -1, "split_seed: input should be greater than or equal to 0; received -1"),
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


@pytest.mark.parametrize(
    ("value", "kept"), [("auto", "auto"), ("AUTO", "auto"), ("32", "32"), (64, "64"), ("32X48", "32x48")]
)
def test_image_sizes(value, kept):
    assert settings(image_size=value).image_size == kept


def test_last_is_a_slice_to_the_end():
    assert last(11, 0.2) == slice(8, 11)


def test_no_validation_pictures_if_none_are_asked_for() -> None:
    splits, words = assigned([0, 1] * 50, validation_split=0.0)
    assert set(splits.tolist()) == {TRAIN, TEST}
    assert words["validation"] == "none, as requested: all training pictures are trained on"
