"""The gate's paired tests: each promotes no better a model than it says, and finds one that is."""

import functools
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import ndtr

from components.core.artifacts.evaluation import Decision
from components.core.errors import PipelineError
from components.evaluate.champion import AskedChampion
from components.evaluate.comparing import Duel, class_not_asked
from components.evaluate.gate import both_answered, decide
from components.evaluate.measure.paired import by_class, difference_interval, mcnemar, mean_recall_test, per_chance
from components.evaluate.settings import EvaluateSettings

DRAWS = 2000
NOISE = 1.645 * (0.05 * 0.95 / DRAWS) ** 0.5  # of a share of 5 % in so many draws, 95 times of 100

# Pictures of each class, the share of them that only one of the two models gets right, and how often that is the
# challenger. Mean recalls are equal in all: what one class wins another loses.
EQUALS = {
    "alike in every class": ([1000, 30], [0.1, 0.3], [0.5, 0.5]),
    "alike, even classes": ([100] * 3, [0.1] * 3, [0.5] * 3),
    "alike, many small classes": ([20] * 10, [0.2] * 10, [0.5] * 10),
    "common class better, rare one worse": ([1000, 10], [0.15, 0.3], [0.7, 0.4]),
    "common class only better, rare one only worse": ([1000, 30], [0.1, 0.1], [1, 0]),
    "common class only better, a hundred rare ones only worse": ([1000, 100], [0.05, 0.05], [1, 0]),
    "common class worse, rare one better": ([1000, 30], [0.1, 0.2], [0.3, 0.6]),
    "four common ones worse, the fifth better": ([1000] * 4 + [100], [0.06] * 4 + [0.12], [0.4] * 4 + [0.7]),
    "a class of three": ([1000, 3], [0.1, 0.4], [0.5, 0.5]),
}


def drawn(pictures, apart, won, draws=DRAWS, seed=1):
    """Pictures that only the challenger, and only the champion gets right: [draws, classes] each."""
    random = np.random.default_rng(seed)
    classes = [
        random.multinomial(n, [d * w, d * (1 - w), 1 - d], size=draws)
        for n, d, w in zip(pictures, apart, won, strict=True)
    ]
    counts = np.stack(classes, axis=1)
    return counts[..., 0], counts[..., 1], np.array(pictures)


def coins(better, worse, pictures):
    """The test that looks right and is not: each picture that tells the two apart falls to either like a coin."""
    lead = ((better - worse) / pictures).sum(axis=1)
    return ndtr(-lead / np.sqrt(((better + worse) / pictures**2).sum(axis=1) + 1e-12))


@pytest.mark.parametrize("case", EQUALS)
def test_models_of_equal_mean_recall_pass_no_more_often_than_the_level(case):
    pictures, apart, won = EQUALS[case]
    assert sum(d * (2 * w - 1) for d, w in zip(apart, won, strict=True)) == pytest.approx(0, abs=1e-12)
    found = mean_recall_test(*drawn(pictures, apart, won))
    for level in (0.05, 0.025, 0.05 / 6):
        assert (found <= level).mean() <= level + NOISE * (level / 0.05) ** 0.5


def test_a_coin_a_picture_would_pass_models_that_lose_a_rare_class():
    assert (coins(*drawn(*EQUALS["common class better, rare one worse"])) <= 0.05).mean() > 0.1
    assert (coins(*drawn(*EQUALS["common class only better, rare one only worse"])) <= 0.05).mean() > 0.15


def test_a_rare_class_that_improved_is_found_as_often_as_a_coin_a_picture_finds_it():
    better, worse, pictures = drawn([1000, 50], [0.1, 0.3], [0.4, 0.8])
    found = (mean_recall_test(better, worse, pictures) <= 0.05).mean()
    by_coins = (coins(better, worse, pictures) <= 0.05).mean()
    by_accuracy = np.mean([mcnemar(b, w) <= 0.05 for b, w in zip(better.sum(axis=1), worse.sum(axis=1), strict=True)])
    print(f"found by its mean recall {found:.3f}, by coins {by_coins:.3f}, by accuracy {by_accuracy:.3f}")
    assert found > 0.6 and found > by_coins - 0.03
    assert by_accuracy < 0.05


def test_of_classes_of_one_size_it_says_what_mcnemar_says():
    for better, worse in ((35, 18), (30, 25), (100, 60)):
        halves = np.array([better] * 2), np.array([worse] * 2), np.array([500, 500])
        assert mean_recall_test(*halves) == pytest.approx(mcnemar(2 * better, 2 * worse), rel=0.12)


@pytest.mark.parametrize(
    ("better", "worse", "pictures"),
    [
        ([7], [0], [50]), ([2], [2], [30]), ([1], [3], [30]), ([40, 9], [8, 0], [200, 30]),
        ([1, 6], [20, 0], [300, 20]), ([50, 2], [30, 0], [500, 3]), ([2, 2, 2], [0, 0, 0], [6, 6, 6]),
        ([1, 0], [0, 1], [2, 3]),  # the lead, less half a step, is 0
    ],
)  # fmt: skip
def test_it_is_the_exact_sum_under_the_likeliest_chances_of_equal_mean_recalls(better, worse, pictures):
    """The chances by an optimizer, the sum over all outcomes."""
    better, worse, pictures = np.array(better), np.array(worse), np.array(pictures)
    classes, given = len(pictures), np.stack([better + 0.5, worse + 0.5, pictures - better - worse + 1])
    start = given / given.sum(axis=0)
    found = minimize(
        lambda x: -(given * np.log(x.reshape(3, -1))).sum(),
        start.ravel(),
        bounds=[(1e-6, 1)] * 3 * classes,
        constraints=[
            {"type": "eq", "fun": lambda x: x.reshape(3, -1).sum(axis=0) - 1},
            {"type": "eq", "fun": lambda x: (x[:classes] - x[classes : 2 * classes]).sum()},
        ],
        options={"maxiter": 500},
    )
    assert found.success
    leads, chances = np.zeros(1), np.ones(1)
    for won, lost, neither, count in zip(*found.x.reshape(3, -1), pictures, strict=True):
        of_class = functools.reduce(np.convolve, [[lost, neither, won]] * count)
        leads = (leads[:, None] + np.arange(-count, count + 1) / count).ravel()
        chances = (chances[:, None] * of_class).ravel()
    exact = chances[leads >= ((better - worse) / pictures).sum() - 1e-9].sum()
    assert mean_recall_test(better, worse, pictures) == pytest.approx(exact, rel=0.12)


def test_far_into_the_tail_and_at_the_ends_it_is_a_probability():
    pictures = np.array([10, 300])
    for better, worse in ((pictures, 0 * pictures), (0 * pictures, pictures), (0 * pictures, 0 * pictures)):
        assert 0 <= mean_recall_test(better, worse, pictures) <= 1
    assert mean_recall_test(pictures, 0 * pictures, pictures) < 1e-15
    assert mean_recall_test(0 * pictures, pictures, pictures) > 0.999
    many = np.full(1000, 50)
    assert 0 < mean_recall_test(many // 16, many // 25, many) < 1e-10
    rising = [float(mean_recall_test(np.array([3, 20 + k]), np.array([2, 20]), pictures)) for k in range(20)]
    assert rising == sorted(rising, reverse=True)


def test_the_gate_goes_by_the_metric_it_is_given():
    """The challenger finds the rare class, which the champion does not, and loses more pictures of the common one."""
    labels, places = np.repeat([0, 1], [900, 40]), np.arange(940)
    champion = (labels == 0) & (places % 50 > 0)
    challenger = np.where(labels == 0, places % 12 > 0, places % 4 > 0)

    def answers(right):
        return np.eye(2, dtype=np.float32)[np.where(right, labels, 1 - labels)]

    against = AskedChampion("birds version 4", 4, duel=Duel(np.ones(940, bool), answers(champion), 2))

    def decided(**settings):
        chosen = EvaluateSettings(publish_uri="x", model_name="birds", **settings)
        return decide(chosen, labels, answers(challenger), [], against)

    by_accuracy, balanced = decided(), decided(gate_metric="balanced_accuracy", min_improvement=0.3)
    assert (by_accuracy.passed, by_accuracy.metric, by_accuracy.balanced_accuracy) == (False, "accuracy", None)
    assert "test accuracy 0.9096 is below the 0.9383 of birds version 4, the champion" in by_accuracy.said
    assert balanced.passed and balanced.metric == balanced.comparison.metric == "balanced_accuracy"
    assert balanced.comparison.difference == pytest.approx(balanced.balanced_accuracy - 0.49)
    assert balanced.comparison.p_allowed == pytest.approx(0.05 / 6)
    low, high = balanced.comparison.difference_interval_95
    assert low < balanced.comparison.difference < high
    assert "test balanced accuracy 0.8333, and no min_accuracy is set" in balanced.said
    assert "its balanced accuracy is 0.3433 above the 0.4900 of birds version 4, the champion, at le" in balanced.said
    assert "its lead of 0.3433 in balanced accuracy over birds version 4 is significant" in balanced.said
    floor = decided(gate_metric="balanced_accuracy", min_accuracy=0.9)
    assert floor.said == "does not pass the gate: test balanced accuracy 0.8333 is below min_accuracy 0.9"


def test_frames_of_one_video_are_one_chance():
    """Of 20 videos with 50 frames each the challenger is right in 11, the champion in the other 9."""
    labels, videos = np.tile([0, 1], 500), np.arange(1000) // 50
    right = videos < 11

    answers = [np.eye(2, dtype=np.float32)[np.where(each, labels, 1 - labels)] for each in (right, ~right)]

    def duel(groups) -> Duel:
        return Duel(np.ones(1000, bool), answers[1], 1, groups)

    def decided(groups, metric="accuracy") -> Decision:
        chosen = EvaluateSettings(publish_uri="x", model_name="birds", gate_metric=metric)
        return decide(chosen, labels, answers[0], [], AskedChampion("birds version 4", 4, duel=duel(groups)))

    assert decided(None).passed and decided(np.arange(1000)).passed
    found = decided(videos)
    assert not found.passed and "counted by group, p = 0.41" in found.said
    assert found.comparison.p_value == pytest.approx(mcnemar(11, 9))
    assert found.comparison.difference_interval_95 == pytest.approx(difference_interval(11, 9, 20))
    assert decided(videos, "balanced_accuracy").comparison.p_value > 0.2
    assert both_answered(labels, answers[0], duel(videos)).champion.per_chance > 50


def test_pictures_that_each_are_a_group_are_one_chance_each():
    """Not 1.0000000000000002, with which the gate counts "by group"."""
    assert per_chance(1 / np.arange(1, 24), -np.arange(23)) == 1


def test_a_patient_who_is_half_of_a_rare_class_is_one_chance():
    """The challenger alone is right on it, and on as many other patients as the champion alone."""
    labels, patients = np.repeat([0, 1], [300, 20]), np.append(np.arange(300), [300] * 10 + [301] * 10)
    right, champion = patients // 30 != 0, (patients // 30 != 1) & (patients != 300)
    answers = [np.eye(2, dtype=np.float32)[np.where(each, labels, 1 - labels)] for each in (right, champion)]
    against = AskedChampion("birds version 4", 4, duel=Duel(np.ones(320, bool), answers[1], 1, patients))
    chosen = EvaluateSettings(publish_uri="x", model_name="birds", gate_metric="balanced_accuracy")
    assert decide(chosen, labels, answers[0], [], against).comparison.p_value > 0.1


def test_figures_of_the_gate_show_on_which_side_they_lie():
    """Of 50,000 pictures one decides: four digits are the same."""
    labels, places = np.zeros(50_000, int), np.arange(50_000)

    def decided(right: int, before: int = 0, **settings) -> str:
        answers = [np.eye(2, dtype=np.float32)[np.where(places < number, 0, 1)] for number in (right, before)]
        against = AskedChampion("birds version 4", 4, duel=Duel(places >= 0, answers[1], 1)) if before else None
        chosen = EvaluateSettings(publish_uri="x", model_name="birds", **settings)
        return decide(chosen, labels, answers[0], [], against).said

    assert "test accuracy 0.79998 is below min_accuracy 0.8" in decided(39_999, min_accuracy=0.8)
    assert "test accuracy 0.8000 reaches min_accuracy 0.8;" in decided(40_000, min_accuracy=0.8)
    assert "test accuracy 0.80000 is below the 0.80002 of birds" in decided(40_000, 40_001)
    assert "its accuracy is 0.00998 above the 0.8000 of birds version 4, the champion, less than min_imp" in decided(
        40_499, 40_000, min_improvement=0.01
    )
    assert "p = 0.0312, within the 0.0313 that" in decided(40_005, 40_000, significance=0.0626)
    assert "p = 0.03125, above the 0.0312 that" in decided(40_005, 40_000, significance=0.0624)


def test_a_metric_without_a_test_is_refused_by_name():
    with pytest.raises(PipelineError, match="gate_metric: .*'accuracy' or 'balanced_accuracy'; received 'macro_f1'"):
        EvaluateSettings.checked(gate_metric="macro_f1")


def test_balanced_accuracy_is_not_compared_without_a_class():
    labels, asked = np.array([0, 0, 1, 1, 3]), np.array([True, True, False, True, True])
    assert class_not_asked(labels, asked, list("abcd")) == ""
    said = class_not_asked(labels, asked & (labels != 1), list("abcd"))
    assert said == "none of the test pictures of b is one that neither has learned from"


def test_by_class_counts_what_tells_the_two_apart():
    labels, better = np.array([0, 0, 2, 2, 2, 3]), np.array([True, False, True, True, False, False])
    found = by_class(labels, better, ~better)
    assert [each.tolist() for each in found] == [[1, 2, 0], [1, 1, 1], [2, 3, 1]]


@pytest.mark.parametrize(
    ("classes", "truth"),
    [(([400, 60, 25], [0.2, 0.3, 0.3], [0.5, 0.6, 0.6]), 0.04), (([10] * 50, [0.4] * 50, [0.75] * 50), 0.2)],
    ids=["uneven", "many"],
)
def test_the_interval_of_the_mean_recalls_holds_the_truth_as_often_as_it_says(classes, truth):
    better, worse, pictures = drawn(*classes, draws=1000)
    intervals = [difference_interval(b, w, pictures) for b, w in zip(better, worse, strict=True)]
    assert 0.93 < np.mean([low <= truth <= high for low, high in intervals]) < 0.98


def test_difference_interval_holds_the_truth_as_often_as_it_says():
    # Two models, right on 70 % and 72 % of pictures, drawn 2,000 times.
    random = np.random.default_rng(5)
    count, both, better, worse = 400, 0.6, 0.12, 0.10
    drawn = random.multinomial(count, [both, better, worse, 1 - both - better - worse], size=2000)
    intervals = [difference_interval(int(row[1]), int(row[2]), count) for row in drawn]
    assert 0.94 < np.mean([low <= better - worse <= high for low, high in intervals]) < 0.96 + 0.01


@pytest.mark.parametrize(("better", "worse", "count"), [(0, 0, 1), (0, 0, 500), (5, 0, 5), (0, 5, 5), (3, 2, 5)])
def test_difference_interval_stays_an_interval(better, worse, count):
    low, high = difference_interval(better, worse, count)
    assert -1 <= low < high <= 1
    assert low <= (better - worse) / count <= high or abs(better - worse) == count
    mirrored = difference_interval(worse, better, count)
    assert mirrored == pytest.approx((-high, -low))


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (0, 1), (5, 5), (12, 3), (3, 12), (60, 40), (7, 0)])
def test_mcnemar_is_a_count_of_coin_tosses(better, worse):
    tosses = better + worse
    exact = Fraction(sum(comb(tosses, heads) for heads in range(better, tosses + 1)), 2**tosses)
    assert mcnemar(better, worse) == pytest.approx(float(exact), rel=1e-12)


def test_a_first_champion_on_few_pictures_is_told_to_be_beyond_comparison():
    settings = EvaluateSettings(publish_uri="/registry", model_name="photos")

    def said(pictures: int) -> str:
        return decide(settings, np.zeros(pictures, int), np.eye(2)[np.zeros(pictures, int)], []).said

    assert said(8) == (
        "passes the gate: test accuracy 1.0000, and no min_accuracy is set; photos has no champion yet, and this one "
        "has 8 test pictures: no later model can be compared with it until there are 30 that neither has learned from"
    )
    assert said(30).endswith("photos has no champion yet")
