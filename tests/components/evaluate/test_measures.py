"""The figures of an evaluation, against worked examples and scikit-learn's own totals."""

import dataclasses
import math

import numpy as np
import pytest

from components.core.errors import PipelineError
from components.evaluate.measure import measures
from components.evaluate.report.facts import Answered, ClassScore


@pytest.fixture
def answers():
    """600 pictures of 5 classes and a model that is right about two times in three."""
    random = np.random.default_rng(7)
    labels = random.integers(0, 5, 600)
    logits = random.normal(size=(600, 5)) + 1.8 * np.eye(5)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities.astype(np.float32)


def certain(labels, classes):
    return np.eye(classes, dtype=np.float32)[labels]


def test_confusion_has_the_true_class_in_the_row():
    labels = np.array([0, 0, 1, 2])
    matrix = measures.scored(labels, certain(np.array([0, 1, 1, 2]), 4)).confusion
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_scores_are_those_of_scikit_learn(answers):
    from sklearn.metrics import precision_recall_fscore_support

    labels, probabilities = answers
    found, predicted = measures.scored(labels, probabilities), probabilities.argmax(axis=1)
    scores = precision_recall_fscore_support(labels, predicted)
    assert np.transpose([dataclasses.astuple(score) for score in found.per_class]) == pytest.approx(np.array(scores))
    assert found.accuracy == (predicted == labels).mean()


def test_mean_f1_is_over_the_classes_that_were_tested():
    labels = np.array([0, 0, 1, 1])
    perfect = np.eye(4)[labels]
    assert measures.scored(labels, perfect).macro_f1 == 1
    # One that takes a tested class for one that was not loses it all the same.
    wrong = np.eye(4)[np.array([0, 0, 2, 2])]
    assert measures.scored(labels, wrong).macro_f1 == 0.5


def test_wilson_interval_of_published_examples():
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    for correct, count, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)]:
        assert measures.wilson_interval(correct, count) == pytest.approx((low, high), abs=6e-5)
    assert measures.wilson_interval(29, 29) == pytest.approx((0.8830, 1.0), abs=6e-5)


def test_roc_areas_are_those_of_scikit_learn(answers):
    from sklearn.metrics import roc_auc_score

    labels, probabilities = answers
    curves, _ = measures.curves(labels, probabilities)
    areas = [roc_auc_score(labels == k, probabilities[:, k]) for k in range(5)]
    assert [curve.auc for curve in curves.values()] == pytest.approx(areas)
    assert measures.macro_auc(curves) == pytest.approx(np.mean(areas))
    micro = roc_auc_score(np.eye(5)[labels].ravel(), probabilities.ravel())
    assert measures.micro_roc(labels, probabilities).auc == pytest.approx(micro)


@pytest.mark.parametrize("digits", [1, 2, 7], ids=["hardly anything else than ties", "many ties", "few"])
def test_the_curves_of_each_class_lie_on_those_of_scikit_learn(answers, digits):
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

    labels, probabilities = answers[0], np.round(answers[1], digits)
    by_class = measures.curves(labels, probabilities)
    for k in range(5):
        roc, curve = (curves[k] for curves in by_class)
        truth, score = labels == k, probabilities[:, k]
        false_positive, true_positive, thresholds = roc_curve(truth, score, drop_intermediate=False)
        every = set(zip(false_positive, true_positive, np.minimum(thresholds, 1), strict=True))
        assert set(zip(roc.false_positive_rate, roc.true_positive_rate, roc.thresholds, strict=True)) <= every
        x, y = np.array(roc.false_positive_rate), np.array(roc.true_positive_rate)
        assert (x[0], y[0], x[-1], y[-1], curve.recall[-1]) == (0, 0, 1, 1, 1)
        assert np.interp(false_positive + true_positive, x + y, y) == pytest.approx(true_positive, abs=0.02)
        assert max(len(x), len(curve.recall)) <= measures.CURVE_POINTS and (digits < 7 or len(thresholds) > 2 * len(x))
        precision, recall, _ = precision_recall_curve(truth, score)
        assert set(zip(curve.precision, curve.recall, strict=True)) <= set(zip(precision, recall, strict=True))
        assert curve.average_precision == pytest.approx(average_precision_score(truth, score))


@pytest.mark.parametrize("digits", [2, 7], ids=["many ties", "few"])
def test_the_micro_averaged_curve_is_that_of_scikit_learn(digits):
    from sklearn.metrics import roc_auc_score, roc_curve

    random = np.random.default_rng(2)
    labels = random.integers(0, 40, 3_000)
    probabilities = random.random((3_000, 40)) ** 6
    probabilities[np.arange(3_000), labels] += 0.3
    probabilities = np.round(probabilities / probabilities.sum(axis=1, keepdims=True), digits).astype(np.float32)
    truth = (labels[:, None] == np.arange(40)).ravel()
    curve = measures.micro_roc(labels, probabilities)
    assert curve.auc == pytest.approx(roc_auc_score(truth, probabilities.ravel()), rel=1e-9)
    x, y, _ = roc_curve(truth, probabilities.ravel(), drop_intermediate=False)
    found_x, found_y = np.array(curve.false_positive_rate), np.array(curve.true_positive_rate)
    assert found_y == pytest.approx(np.interp(found_x, x, y), abs=1e-3)
    assert np.interp(x + y, found_x + found_y, found_y) == pytest.approx(y, abs=0.01)  # between its points, too
    for place in range(1, len(found_x), 20):
        yes = probabilities.ravel() >= curve.thresholds[place]
        assert (yes[~truth].mean(), yes[truth].mean()) == pytest.approx((found_x[place], found_y[place]))
    assert len(curve.thresholds) <= measures.CURVE_POINTS
    ends = [values[end] for values in (curve.false_positive_rate, curve.true_positive_rate) for end in (0, -1)]
    assert ends == [0, 1, 0, 1]


def test_one_class_alone_has_a_curve_of_finite_numbers():
    curve = measures.micro_roc(np.zeros(3, np.int64), np.ones((3, 1), np.float32))
    assert np.isfinite([curve.false_positive_rate, curve.true_positive_rate, curve.thresholds]).all()


def test_a_class_absent_from_the_test_split_has_zeros_and_no_curve():
    labels = np.array([0, 1, 0, 1])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.4, 0.3, 0.3], [0.1, 0.1, 0.8]])
    assert [set(each) for each in measures.curves(labels, probabilities)] == [{0, 1}, {0, 1}]
    assert measures.scored(labels, probabilities).per_class[2] == ClassScore(0, 0, 0, 0)
    assert math.isfinite(measures.micro_roc(labels, probabilities).auc)


def test_one_class_only_has_no_curve_at_all():
    labels = np.zeros(3, dtype=np.int64)
    assert measures.curves(labels, certain(labels, 2)) == ({}, {})
    assert measures.macro_auc({}) is None


@pytest.mark.parametrize(("shift", "share"), [(0, 1.0), (1, 0.0)])
def test_all_right_and_all_wrong(shift, share):
    labels = np.arange(30) % 3
    probabilities = certain((labels + shift) % 3, 3)
    assert all(score.recall == share for score in measures.scored(labels, probabilities).per_class)
    assert measures.calibration(labels, probabilities).error == pytest.approx(1 - share)
    assert len(measures.telling(labels, probabilities, False, 5)) == (5 if share == 0 else 0)
    assert len(measures.telling(labels, probabilities, True, 5)) == (5 if share == 1 else 0)
    assert math.isfinite(measures.micro_roc(labels, probabilities).auc)


def test_calibration_of_a_worked_example():
    # Three pictures said with 0.8, two right; one said with 0.55, wrong: 3/4 x |2/3 - 0.8| + 1/4 x |0 - 0.55|.
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.55, 0.45]])
    result = measures.calibration(labels, probabilities)
    assert result.error == pytest.approx(0.75 * (0.8 - 2 / 3) + 0.25 * 0.55)
    assert [(b.count, round(b.lower * 15), round(b.upper * 15)) for b in result.bins] == [(1, 8, 9), (3, 11, 12)]


@pytest.mark.parametrize(("pictures", "spread"), [(60, 1), (600, 4)])
def test_probabilities_that_hold_differ_from_accuracy_by_chance_alone(pictures, spread):
    random = np.random.default_rng(0)
    logits = random.normal(0, spread, (pictures, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    draws = [(probabilities.cumsum(axis=1) < random.random((pictures, 1))).sum(axis=1).clip(0, 3) for _ in range(300)]
    found = [measures.calibration(labels, probabilities) for labels in draws]
    assert np.mean([each.error for each in found]) == pytest.approx(found[0].chance, rel=0.05)
    fourfold = measures.calibration(np.repeat(draws[0], 4), np.repeat(probabilities, 4, axis=0), per_chance=4)
    assert fourfold.chance == pytest.approx(found[0].chance)


def test_calibration_counts_every_picture_once(answers):
    labels, probabilities = answers
    for given in (probabilities, certain(labels, 5), np.full((600, 5), 0.2)):
        bins = measures.calibration(labels, given).bins
        assert sum(b.count for b in bins) == 600
        assert all(b.lower - 1e-6 <= b.confidence <= b.upper + 1e-6 for b in bins)


def test_mistakes_and_successes_come_in_order(answers):
    labels, probabilities = answers
    highest, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    wrong = measures.telling(labels, probabilities, False, 12)
    right = measures.telling(labels, probabilities, True, 12)
    assert (predicted[wrong] != labels[wrong]).all() and (predicted[right] == labels[right]).all()
    assert highest[wrong].tolist() == sorted(highest[predicted != labels], reverse=True)[:12]
    assert highest[right].tolist() == sorted(highest[predicted == labels])[:12]


@pytest.mark.parametrize(
    ("probabilities", "said"),
    [
        ([[0.5, 0.5], [np.nan, 0.5]], "NaN or infinity for 1 of 2"),
        ([[2.5, -1.5], [0.5, 0.5]], "softmax"),
        ([[0.6, 0.5], [0.5, 0.5]], "softmax"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(probabilities, said):
    with pytest.raises(PipelineError, match=said):
        measures.check_probabilities(np.array(probabilities))


def test_half_precision_probabilities_are_accepted(answers):
    assert measures.check_probabilities(answers[1].astype(np.float16)) is None


def test_balanced_accuracy_is_that_of_scikit_learn_and_leaves_out_what_was_not_tested(answers):
    from sklearn.metrics import balanced_accuracy_score

    labels, probabilities = answers
    kept = (labels != 3) & ~((labels == 4) & (np.arange(600) % 9 > 0))
    labels, probabilities = labels[kept], probabilities[kept]
    found = measures.scored(labels, probabilities)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, probabilities.argmax(axis=1)))
    low, high = measures.mean_recall_interval(found)
    assert low < found.balanced_accuracy < high
    alone = measures.mean_recall_interval(
        Answered(confusion=np.array([[29, 71], [0, 0]]))
    )  # of one class it is Wilson's
    assert alone == pytest.approx(measures.wilson_interval(29, 100))


def found_of(right, pictures):
    """A confusion matrix of so many right answers of so many pictures, by class."""
    return np.diag(right) + np.roll(np.diag(np.subtract(pictures, right)), 1, axis=1)


def test_balanced_accuracy_reaches_what_each_class_reaches():
    """The mean of ten times 0.95 is 0.9499999999999998 in floating point, below a min_accuracy of 0.95."""
    for right, of in ((19, 20), (9, 10), (7, 10), (2, 3)):
        for classes in range(2, 40):
            found = Answered(confusion=found_of([right] * classes, [of] * classes))
            assert found.balanced_accuracy == round(right / of, 12)


@pytest.mark.parametrize("share", [0.8, 0.99])
def test_frames_of_one_video_are_one_chance(share):
    """Of 1,200 pictures the interval was as wide as of 1,200 videos: it held the true share in 3 of 10 evaluations."""
    random, held, videos = np.random.default_rng(2), np.zeros(2), np.repeat(np.arange(60), 20)
    labels = videos % 3
    for _ in range(300):
        answers = np.where((random.random(60) < share)[videos], labels, 3)
        found = measures.scored(labels, certain(answers, 4), videos)
        low, high = measures.wilson_interval(found.correct, found.count, found.per_chance)
        lower, higher = measures.mean_recall_interval(found)
        held += low <= share <= high, lower <= share <= higher
    assert (held / 300 > 0.9).all()


def test_ten_patients_of_a_rare_class_are_ten_chances():
    """Each was ten, beside 300 pictures of a common class: the interval held the true share in 8 of 10 evaluations."""
    random, held, patients = np.random.default_rng(2), 0, np.append(np.arange(300), np.repeat(np.arange(300, 310), 10))
    labels = (patients >= 300).astype(int)
    for _ in range(300):
        wrong = (random.random(310) > np.where(np.arange(310) < 300, 0.9, 0.7))[patients]
        low, high = measures.mean_recall_interval(measures.scored(labels, certain(labels ^ wrong, 2), patients))
        held += low <= 0.8 <= high
    assert held / 300 > 0.88


@pytest.mark.parametrize("videos", [1, 2, 5])
def test_a_few_videos_tell_little(videos):
    """Of one, the interval was that of as many videos as it has frames: it held the true share in half of the runs."""
    random, held, frames = np.random.default_rng(2), 0, np.repeat(np.arange(videos), 50)
    for _ in range(300):
        wrong = random.random(len(frames)) > random.beta(2, 0.5, videos)[frames]
        found = measures.scored(np.zeros(len(frames), int), certain(wrong.astype(int), 2), frames)
        low, high = measures.wilson_interval(found.correct, found.count, found.per_chance)
        held += low <= 0.8 <= high
    assert held / 300 > 0.9


@pytest.mark.parametrize(
    ("recalls", "pictures"),
    [([0.9, 0.6, 0.97], [400, 15, 60]), ([0.95] * 10, [30] * 10), ([0.9] * 50, [10] * 50)],
    ids=["uneven", "many", "small"],
)
def test_the_interval_of_balanced_accuracy_holds_it_as_often_as_it_says(recalls, pictures):
    random, held = np.random.default_rng(6), 0
    for found in random.binomial(pictures, recalls, (500, len(pictures))):
        low, high = measures.mean_recall_interval(Answered(confusion=found_of(found, pictures)))
        held += low <= np.mean(recalls) <= high
    assert 0.925 < held / 500 < 0.98
