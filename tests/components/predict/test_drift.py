"""Drift: found where pictures were changed, and not where they were not. Real digits, facts only, no training.

The answers are those of a softmax regression that has learned from a third of the digits. What is known and what is new
are two parts of the rest, drawn anew each time.
"""

import numpy as np
import pytest
from scipy.stats import chi2

from components.core.artifacts.reference import Histogram, Reference, read_reference, tenths
from components.core.pictures.appearance import looks_of
from components.core.pictures.thumbnail import unpacked
from components.predict.drift.compare import CLASSES, LEAST_EXPECTED, LEAST_PICTURES, Drift, _moved, compare, holm
from components.predict.drift.page import changes, chart, class_shares
from components.predict.drift.page import value_text as value
from components.predict.drift.tally import Counts, Odd

SIGNIFICANCE = 0.05
DRAWS = 200


@pytest.fixture(scope="module")
def answered():
    """1,197 digits that the regression has not learned from, their labels, and a function that answers pictures."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    bundle = load_digits()
    order = np.random.default_rng(0).permutation(len(bundle.images))  # they are sorted by writers
    pictures = np.round(bundle.images * (255 / 16)).astype(np.uint8)[order, ..., None]
    labels = bundle.target[order]
    fitted = LogisticRegression(max_iter=300).fit(pictures[:600].reshape(600, -1) / 255, labels[:600])

    def answer(some: np.ndarray) -> np.ndarray:
        return fitted.predict_proba(some.reshape(len(some), -1) / 255)

    return pictures[600:], labels[600:], answer


def facts(pictures: np.ndarray, answer) -> tuple[dict[str, np.ndarray], np.ndarray]:
    probabilities = answer(pictures)
    values = {**looks_of(pictures), "certainty": probabilities.max(axis=1)}
    return values, np.bincount(probabilities.argmax(axis=1), minlength=10)


def reference_of(pictures: np.ndarray, answer) -> Reference:
    values, classes = facts(pictures, answer)
    return Reference(measures={name: tenths(value) for name, value in values.items()}, classes=classes.tolist())


def drifts(reference: Reference, pictures: np.ndarray, answer, significance=SIGNIFICANCE) -> dict[str, Drift]:
    values, classes = facts(pictures, answer)
    found = {name: reference.measures[name].count(value) for name, value in values.items()}
    return {drift.name: drift for drift in compare(reference, {**found, CLASSES: classes}, significance)}


def halves(answered, draw: int) -> tuple[Reference, np.ndarray, np.ndarray]:
    """What is known of 700 of them, and the other 497 with their labels."""
    pictures, labels, answer = answered
    order = np.random.default_rng(draw).permutation(len(pictures))
    return reference_of(pictures[order[:700]], answer), pictures[order[700:]], labels[order[700:]]


def blurred(pictures: np.ndarray) -> np.ndarray:
    """As through another lens: the mean of each pixel's neighbourhood of 3 x 3."""
    wide = np.pad(pictures.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    return (sum(wide[:, y : y + 8, x : x + 8] for y in range(3) for x in range(3)) / 9).astype(np.uint8)


def test_unchanged_pictures_raise_no_more_false_alarms_than_were_asked_for(answered):
    """In 200 draws 10 are to be expected at 0.05; more than 19 have a chance below 0.3 %. None moves by 15 %."""
    alarms = failures = 0
    for draw in range(DRAWS):
        reference, pictures, _ = halves(answered, draw)
        found = drifts(reference, pictures, answered[2]).values()
        alarms += any(drift.different for drift in found)
        failures += any(drift.exceeds(0.15) for drift in found)
    print(f"{alarms} false alarms of {DRAWS} at {SIGNIFICANCE}, {failures} beyond max_drift=0.15")
    assert alarms <= 19
    assert failures == 0


@pytest.mark.parametrize("draw", range(3))
def test_darker_pictures_a_missing_class_and_another_camera_are_found(answered, draw):
    reference, pictures, labels = halves(answered, draw)
    darker = drifts(reference, (pictures * 0.8).astype(np.uint8), answered[2])
    assert darker["brightness"].different and darker["brightness"].exceeds(0.3)
    camera = drifts(reference, blurred(pictures), answered[2])
    assert camera["detail"].exceeds(0.5) and camera["contrast"].exceeds(0.5) and not camera["brightness"].exceeds(0.3)
    missing = drifts(reference, pictures[labels != 3], answered[2])
    assert missing[CLASSES].different and missing[CLASSES].found[3] < 0.3 * missing[CLASSES].reference[3]


def test_holm_steps_down_and_stops_at_the_first_that_may_be_chance():
    assert holm({"a": 0.01, "b": 0.02, "c": 0.03}, 0.05) == {"a", "b", "c"}
    assert holm({"a": 0.01, "b": 0.03, "c": 0.03}, 0.05) == {"a"}
    assert holm({"a": 0.02, "b": 0.001}, 0.05) == {"a", "b"}
    assert holm({"a": 0.2}, 0.05) == set()


@pytest.mark.parametrize(("known", "new", "bins"), [(500, 200, 10), (20_000, 100_000, 10), (500, 500, 100)])
@pytest.mark.parametrize("moved", [0, 0.05, 0.2])
def test_the_interval_holds_the_share_that_has_moved(known, new, bins, moved):
    """In at least 95 % of draws, less what 500 draws scatter, and as narrow as so many pictures allow. What has moved
    where nothing has is `chance`, on average."""
    random = np.random.default_rng(1)
    shares = np.full(bins, 1 / bins)
    others = shares * np.where(np.arange(bins) < bins // 2, 1 + 2 * moved, 1 - 2 * moved)
    draws = [_moved(random.multinomial(known, shares), random.multinomial(new, others), 0.05) for _ in range(500)]
    assert np.mean([low <= moved <= high for _, low, high, _ in draws]) > 0.93
    found, low, high, chance = np.mean(draws, axis=0)
    assert moved or found == pytest.approx(chance, rel=0.05)
    assert high - low < chance + 4 * 0.5 * (1 / known + 1 / new) ** 0.5


def test_with_many_pictures_the_smallest_difference_is_no_chance_but_moves_little():
    reference = Reference(measures={"brightness": Histogram(edges=[0.5], counts=[10_000, 10_000])}, classes=[10, 10])
    new = np.array([516_000, 484_000])
    few, drift = compare(reference, {"brightness": new, CLASSES: np.array([14, 6])}, 0.01)
    assert few.name == CLASSES and few.moved == pytest.approx(0.2) and not few.exceeds(0.05)
    # The interval holds for both together.
    assert (drift.low, drift.high) == pytest.approx(_moved(np.array([10_000, 10_000]), new, 0.005)[1:3])
    table = np.array([[10_000, 10_000], new])
    expected = table.sum(axis=0) * table.sum(axis=1)[:, None] / table.sum()
    assert drift.p_value == pytest.approx(chi2.sf(((table - expected) ** 2 / expected).sum(), df=1), rel=1e-9)
    assert drift.different and drift.moved == pytest.approx(0.016) and not drift.exceeds(0.05)


def test_what_chance_moves_among_many_classes_fails_no_run():
    """A tenth is one class now, where chance alone comes to 17 %."""
    random = np.random.default_rng(0)
    shares = np.full(1000, 1 / 1000)
    for moved, exceeds in ((0.1, False), (0.3, True)):
        others = shares * (1 - moved) + moved * (np.arange(1000) == 0)
        reference = Reference(measures={}, classes=random.multinomial(10_000, shares).tolist())
        [drift] = compare(reference, {CLASSES: random.multinomial(5_000, others)}, 0.01)
        assert drift.different and drift.moved > 0.2 and drift.exceeds(0.2) == exceeds


@pytest.mark.parametrize(("known", "new"), [([0, 20, 0], [0, 40, 0]), ([1, 1], [1, 0]), ([9] * 100, [1] * 100)])
def test_nothing_to_compare_is_no_drift(known, new):
    assert LEAST_EXPECTED == 5
    reference = Reference(measures={"size": Histogram(edges=list(range(1, len(known))), counts=known)}, classes=[])
    [drift] = compare(reference, {"size": np.array(new)}, 0.01)
    assert not drift.different


@pytest.mark.parametrize("known", [300, 1000, 20_000])
def test_the_fewest_pictures_that_are_compared_tell_black_ones_and_a_single_class(known):
    """Each bin of theirs is too rare for the test by itself."""
    histogram = tenths(np.random.default_rng(0).uniform(0.2, 0.6, known))
    reference = Reference(measures={"brightness": histogram}, classes=[known // 10] * 10)
    black, threes = histogram.count(np.zeros(LEAST_PICTURES)), np.where(np.arange(10) == 3, LEAST_PICTURES, 0)
    for drift in compare(reference, {"brightness": black, CLASSES: threes}, 0.01):
        assert drift.different and drift.exceeds(0.5)


def test_half_of_a_thousand_classes_that_are_gone_are_no_chance_and_none_gone_is():
    """A fifth is of one class, and of most hardly any, as of words: bins that are too rare for the test would raise an
    alarm in 55 of 200 draws. 10 are to be expected at 0.05."""
    random = np.random.default_rng(0)
    shares = 1 / np.arange(1, 1001) ** 1.2
    shares, left = (each / each.sum() for each in (shares, shares * (np.arange(1000) // 10 % 2)))
    alarms = 0
    for _ in range(DRAWS):
        reference = Reference(measures={}, classes=random.multinomial(10_000, shares).tolist())
        alarms += compare(reference, {CLASSES: random.multinomial(300, shares)}, SIGNIFICANCE)[0].different
    assert alarms <= 19
    [drift] = compare(reference, {CLASSES: random.multinomial(300, left)}, 0.01)
    assert drift.different and drift.exceeds(0.4)


def test_of_two_batches_the_pictures_least_like_the_reference_are_kept():
    batches = [
        Counts(odd=[Odd(name="x", measure="size", value=0, distance=distance, png="") for distance in distances])
        for distances in ([4, 1], [5, 3, 2])
    ]
    assert [odd.distance for odd in batches[0].plus(batches[1]).odd] == [5, 4, 3]


def test_what_was_never_seen_has_a_bin_of_its_own():
    histogram = tenths(np.linspace(0.2, 0.4, 1000))
    assert histogram.counts[0] == histogram.counts[-1] == 0 and sum(histogram.counts) == 1000
    assert histogram.count(np.array([0.1, 0.3, 0.9]))[[0, -1]].tolist() == [1, 1]


def test_values_that_are_all_alike_have_a_bin_and_last_bits_do_not_matter():
    histogram = tenths(np.ones(50, np.float32))
    assert histogram.counts == [0, 50, 0]
    assert histogram.count(np.array([np.nextafter(np.float32(1), np.float32(0))])).tolist() == [0, 1, 0]


def test_what_is_gone_is_shown_by_the_training_pictures_that_the_export_carries(digits, made):
    """Three of each class and of each bin that holds any, as they are, and none if none were asked for."""
    pictures, labels = digits.splits["train"]
    reference = read_reference(made().reference)
    assert reference is not None and len(reference.examples) < 90
    for example in reference.examples:
        of_class = pictures[labels == example.label]
        [same] = np.flatnonzero((of_class == unpacked(example.picture)).all(axis=(1, 2, 3)))[:1]
        assert looks_of(of_class[same : same + 1])["detail"][0] == pytest.approx(example.looks["detail"], abs=1e-4)
    names = [str(n) for n in range(10)]
    known = np.full(10, 50)
    drift = Drift(CLASSES, known, np.where(np.arange(10) == 3, 0, 50), 0, True, 0.1, 0, 1, 0)
    bright = np.array(reference.measures["brightness"].counts)
    darker = Drift("brightness", bright, bright * (np.arange(len(bright)) < 9), 0, True, 0.1, 0, 1, 0)
    less, _ = changes(names, reference, [drift, darker])
    assert {change.said.partition(" ")[0] for change in less} == {"class", "brightness"}
    assert all(len(change.examples) == 3 for change in less)
    little = Drift(CLASSES, known, known + np.resize([20, -20], 10), 0, True, 0.2, 0, 1, 0)
    assert changes(names, reference, [little]) == ([], [])
    [gone] = [change for change in less if change.said == "class 3"]
    assert all(any((picture == one).all() for one in pictures[labels == 3]) for picture in gone.examples)
    bare = reference.model_copy(update={"examples": []})
    assert all(not change.examples for change in changes(names, bare, [drift])[0])


def test_every_class_is_named_with_what_it_was_and_is():
    """Below a chart there was room for four names, and for one if it was long, without its beginning."""
    drift = Drift(CLASSES, np.array([6, 3, 1]), np.array([6, 1, 3]), 1, False, 0, 0, 0, 0)
    rows = class_shares(drift, ["a class with a name", "cat", "dog"])
    assert [row[:3] for row in rows] == [("cat", 0.3, 0.1), ("dog", 0.1, 0.3), ("a class with a name", 0.6, 0.6)]


@pytest.mark.parametrize("measure", ["certainty", "brightness"])
def test_labels_below_a_chart_do_not_run_into_each_other(measure):
    counts = np.full(11, 5)
    edges = [0.34555 + 0.00125 * number for number in range(10)]
    reference = Reference(measures={measure: Histogram(edges=edges, counts=counts.tolist())}, classes=[5] * 11)
    found = counts * (np.arange(11) == 4)
    drawn = chart(Drift(measure, counts, found, 1, False, 0, 0, 0, 0), reference)
    assert [bar.height for bar in drawn.bars] == [float(place == 4) for place in range(11)]
    assert {share for _, share in drawn.lines[0].points} == {1 / 11}
    ticks = drawn.x.ticks
    labels = [label for _, label in ticks]
    assert 1 < len(labels) <= 6 and sum(len(label) + 2 for label in labels) <= 48
    # Each stands where its bin begins: it was below the middle, and the last one was cut off.
    assert all(label == value(measure, edges[int(place) - 1]) for place, label in ticks)
