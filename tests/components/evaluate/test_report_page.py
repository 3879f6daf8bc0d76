"""The evaluation report: what it says is what was given, and nobody's class names can break it."""

import dataclasses
import math
import re

import numpy as np
import pytest

from components.core.errors import PipelineError
from components.evaluate.measure import measures
from components.evaluate.measure.behaviour import BehaviourCheck
from components.evaluate.measure.gather import _architecture_name
from components.evaluate.report.charts import (
    calibration_charts,
    drawn_bins,
    learning_charts,
    precision_recall_charts,
    roc_charts,
)
from components.evaluate.report.facts import (
    Band,
    Calibration,
    CalibrationBin,
    Example,
    Slice,
)
from components.evaluate.report.page import write_report
from components.evaluate.report.tables import frequent_confusions
from tests.components.core.page.page_browser import Frame, needs_chromium, seen_by_chromium
from tests.components.evaluate.report_facts import NAMES, answers, facts_of, gate_of, written


def test_the_numbers_on_the_page_are_the_numbers_given(tmp_path):
    facts = facts_of(*answers(4, 500), NAMES)
    page = written(tmp_path, facts)
    low, high = measures.wilson_interval(facts.correct, 500)
    for said in (
        f"{100 * facts.accuracy:.1f} % of the test pictures were classified correctly: {facts.correct} of 500",
        f"confidence interval is {100 * low:.1f} % to {100 * high:.1f} %",
        f"one class for every picture would reach {max(score.support for score in facts.per_class) / 5:.1f} % at best",
        f"Test accuracy {facts.accuracy:.4f} Test loss 0.1235",
        f"Macro F1 {facts.macro_f1:.4f}",
        f"Macro ROC AUC {measures.macro_auc(facts.roc):.4f} Calibration error {100 * facts.calibration.error:.1f} %",
        "The weights of epoch 2 were kept",
        "1,147,466",
        "f1" * 32,
        "https://example.org/digits",
        "8 × 8 × 1",
    ):
        assert said in page.text
    for k, score in enumerate(facts.per_class):
        recall, precision, f1 = (f"{100 * share:.1f} %" for share in (score.recall, score.precision, score.f1))
        low, high = (f"{100 * end:.1f} %" for end in measures.wilson_interval(facts.confusion[k, k], score.support))
        said = f"{NAMES[k]} {recall} {low} – {high} {precision} {f1} {score.support} {facts.roc[k].auc:.3f}"
        worst = next(found for found in frequent_confusions(facts.confusion) if found.true == k)
        assert f"{said} {NAMES[worst.predicted]}, {100 * worst.share:.1f} %" in page.text
        assert f"{NAMES[k]} {facts.precision_recall[k].average_precision:.3f}" in page.text
        assert " ".join([NAMES[k], *map(str, facts.confusion[k])]).replace(" ", "") in page.text.replace(" ", "")
        assert f'class="hit" style="--share:{score.recall:.3f}">{facts.confusion[k, k]}</td>' in page.source
    for b in facts.calibration.bins:
        assert f"{100 * b.confidence:.1f} % {100 * b.accuracy:.1f} % {b.count}" in page.text
    for shot in facts.mistakes:
        answer = f"{NAMES[shot.predicted]} {100 * shot.probability:.1f} %"
        assert f"{answer}true: {NAMES[shot.true]}" in page.text.replace("> 99.9", "100.0")
    assert page.count("img") == len(facts.mistakes) + len(facts.uncertain_successes) == 48
    assert page.count("figure", "chart") == 2 + 2 * 4 + 2  # learning (the rate never changed), curves, calibration


@pytest.mark.parametrize(("given", "shown"), [("article", "article"), ("[{Flatten: {}}]", "own layers")])
def test_a_list_of_layers_is_no_name_for_the_title_however_short(given, shown):
    assert _architecture_name({"settings": {"architecture": given}}) == shown


def test_frequent_confusions_count_off_the_diagonal():
    found = frequent_confusions(np.array([[5, 1, 0], [3, 6, 1], [0, 0, 9]]))
    assert [(c.true, c.predicted, c.times, c.share) for c in found] == [
        (1, 0, 3, 0.3),
        (0, 1, 1, 1 / 6),
        (1, 2, 1, 0.1),
    ]


def test_hostile_names_stay_text(tmp_path):
    names = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style></svg>", "{{ 7 * 7 }} & ümläut"]
    lineage = {names[2]: "javascript:alert(1)"}
    page = written(tmp_path, facts_of(*answers(4, 200), names, title=names[0], notes=[names[1]], lineage=lineage))
    for name in names:
        assert name in page.text


@pytest.mark.parametrize("where", ["loss", "history", "calibration", "roc", "training"])
def test_nan_is_refused_by_name_and_nothing_is_written(tmp_path, where):
    facts = facts_of(*answers(4, 50), NAMES)
    bad = {
        "loss": math.nan,
        "history": {"loss": [1.0, math.inf]},
        "calibration": dataclasses.replace(facts.calibration, error=math.nan),
        "roc": {0: dataclasses.replace(facts.roc[0], auc=math.nan)},
        "training": {"seconds": math.nan},
    }[where]
    with pytest.raises(PipelineError, match=f"received (nan|inf) for evaluation.{where}"):
        write_report(tmp_path / "report.html", dataclasses.replace(facts, **{where: bad}))
    assert list(tmp_path.iterdir()) == []


def test_all_correct_says_so_instead_of_showing_mistakes(tmp_path):
    labels = np.arange(40) % 4
    page = written(tmp_path, facts_of(labels, np.eye(4)[labels], NAMES))
    assert page.text.count("every test picture was classified correctly") == 2
    assert "100.0 % of the test pictures" in page.text
    assert page.count("img") == 24


def test_all_wrong_says_so_too(tmp_path):
    labels = np.arange(40) % 4
    page = written(tmp_path, facts_of(labels, np.eye(4)[(labels + 1) % 4], NAMES))
    assert "no test picture was classified correctly" in page.text
    assert "cat predicted as dog (10 times" in page.text


def test_an_absent_class_is_named_and_has_no_scores(tmp_path):
    labels, probabilities = answers(4, 100)
    labels[labels == 2] = 3
    page = written(tmp_path, facts_of(labels, probabilities, NAMES))
    assert "ship – – – – 0 – – Most confident mistakes" in page.text  # the last row
    assert page.count("figure", "chart") == 2 + 2 * 3 + 2


def test_test_pictures_of_one_class_only(tmp_path):
    page = written(tmp_path, facts_of(np.zeros(9, np.int64), np.full((9, 2), 0.5), ["cat", "dog"]))
    assert "pictures of one class only" in page.text and "Macro ROC AUC" not in page.text


@pytest.mark.parametrize(
    ("history", "sections", "charts"),
    [
        ({}, 8, 0),
        ({"loss": [1.0], "val_accuracy": [0.5]}, 9, 0),
        ({"loss": [1.0, 0.5]}, 9, 1),
    ],
)
def test_learning_curves_need_more_than_one_epoch(tmp_path, history, sections, charts):
    page = written(tmp_path, facts_of(*answers(4, 100), NAMES, history=history, best_epoch=None))
    assert page.count("section") == sections
    assert page.count("figure", "chart") == charts + 2 * 4 + 2
    assert ("Loss training" in page.text) == bool(charts), "one line alone is named too: it is not validation's"
    ended = "so there is no curve. Its results: Validation accuracy 0.5000 Training loss 1.0"
    assert (ended in page.text) == (len(history.get("loss", [])) == 1)


def test_the_curves_are_drawn_as_they_are_and_the_hardest_class_first():
    facts = facts_of(*answers(4, 500), NAMES)
    learned = [[(line.name, line.points) for line in chart.lines] for chart in learning_charts(facts)]
    drawn = {"validation": ("val_accuracy", "val_loss"), "training": ("accuracy", "loss")}
    for which in (0, 1):
        curves = [(name, list(enumerate(facts.history[keys[which]], 1))) for name, keys in drawn.items()]
        assert learned[which] == curves
    roc = sorted(facts.roc.items(), key=lambda item: item[1].auc)
    for chart, (k, curve) in zip(roc_charts(facts), roc, strict=True):
        assert chart.title == f"{NAMES[k]}  {curve.auc:.3f}"
        assert [x for x, _ in chart.lines[0].points] == curve.false_positive_rate
        assert [y for _, y in chart.lines[0].points] == curve.true_positive_rate
    found = sorted(facts.precision_recall.items(), key=lambda item: item[1].average_precision)
    for chart, (k, curve) in zip(precision_recall_charts(facts), found, strict=True):
        assert [x for x, _ in chart.lines[0].points] == curve.recall
        assert [y for _, y in chart.lines[0].points] == curve.precision
        assert chart.lines[1].points[0] == (0, facts.per_class[k].support / 500)
    [stated, *_] = calibration_charts(facts.calibration)
    assert set(stated.lines[0].points) <= {(b.confidence, b.accuracy) for b in facts.calibration.bins}


def test_the_learning_rate_is_drawn_as_it_went(tmp_path):
    """A rate that rises and falls within one epoch does so in its chart."""
    rates = [(0.0, 0.1), (0.25, 0.2), (0.5, 0.4), (0.75, 0.2), (1.0, 0.0)]
    written(tmp_path, facts_of(*answers(4, 100), NAMES, learning_rate=rates, best_epoch=None))
    said = "Learning rate by epochs done: from 0.1 to 0, at most 0.4."
    assert said in (tmp_path / "report.html").read_text()
    written(tmp_path, facts_of(*answers(4, 100), NAMES, learning_rate=[(0.0, 0.1), (1.0, 0.1)]))
    assert "Learning rate by epochs" not in (tmp_path / "report.html").read_text()


def test_behaviour_is_told_in_words_and_numbers(tmp_path):
    example = np.zeros((8, 8, 1), np.uint8)
    checks = [
        BehaviourCheck("Shift", "shifted by 1/32 of a side", 0.625, 0.8, True, example),
        BehaviourCheck("Noise", "a picture of random pixels", 0.3, 0.9, False, example),
    ]
    page = written(tmp_path, facts_of(*answers(4, 100), NAMES, behaviour=checks))
    assert "1 of 2 tests failed." in page.text
    assert "shifted by 1/32 of a side fail 62.5 % – 80 % or more" in page.text
    assert "a picture of random pixels pass – 30.0 % 90 % or less" in page.text
    assert page.count("section") == 10


@pytest.mark.parametrize(
    ("counts", "drawn"), [([900, 19, 1500], [900, 1500]), ([2, 1, 300], [300]), ([1, 2, 3], [1, 2, 3])]
)
def test_all_but_empty_bins_are_in_the_table_alone(tmp_path, counts, drawn):
    bins = [CalibrationBin(i / 15, (i + 1) / 15, (i + 0.5) / 15, 0.5, count) for i, count in enumerate(counts)]
    calibration = Calibration(bins, 0.1, 0.05)
    assert [found.count for found in drawn_bins(calibration)] == drawn
    page = written(tmp_path, facts_of(*answers(4, 100), NAMES, calibration=calibration))
    assert ("Bins with few pictures are in the table only" in page.text) == (len(drawn) < len(counts))
    assert all(f"50.0 % {count:,}" in page.text for count in counts)


def test_bands_are_told_with_their_interval_and_their_distance(tmp_path):
    example = np.zeros((8, 8, 1), np.uint8)
    bands = [Band(*band, 100, example) for band in ((0.0, 0.104, 10), (0.104, 0.9, 95), (0.9, 1.0, 85))]
    facts = facts_of(*answers(4, 200), NAMES, slices=[Slice("brightness", "the mean of its values", bands)])
    page = written(tmp_path, facts)
    for band, text in zip(bands, ("0 % – 10 %", "10 % – 90 %", "90 % – 100 %"), strict=True):
        low, high = measures.wilson_interval(band.correct, 100)
        away = f"{100 * (band.correct / 100 - facts.accuracy):+.1f} points".replace("-", "−")
        assert f"{text} {band.correct:.1f} % {100 * low:.1f} % – {100 * high:.1f} % {away} 100" in page.text
    assert f"accuracy on all pictures, {100 * facts.accuracy:.1f} %," in page.text
    assert re.findall(r"<b>.(\d+).*points</b>", page.source) == ["74", "11"]  # chance may do what the third has


def test_the_card_says_what_for_and_what_not(tmp_path):
    labels, probabilities = answers(4, 300)
    labels[labels == 2] = 3
    facts = facts_of(labels, probabilities, NAMES)
    page = written(tmp_path, facts)
    recall, weakest = min((facts.per_class[k].recall, NAMES[k]) for k in (0, 1, 3))
    for said in (
        "Classifies greyscale pictures of 8 x 8 pixels into 4 classes: cat, dog, ship, truck.",
        "even to one that shows none of them",
        f"Lowest recall: {weakest} ({100 * recall:.1f} %), ",
        "Not tested, because there were no test pictures: ship.",
        "Predictions for changed, blank and noisy pictures were not tested.",
        "CC BY 4.0",
        "uint8 pictures, 8 × 8 × 1 (height, width, channels)",
    ):
        assert said in page.text


def test_a_thousand_classes_make_a_small_page(tmp_path):
    names = [f"n{i:08d} a rather long name" for i in range(1000)]
    labels, probabilities = answers(1000, 3000)
    photographs = [
        Example(np.random.default_rng(i).integers(0, 256, (224, 224, 3), np.uint8), 0, 1, 0.5) for i in range(24)
    ]
    facts = facts_of(labels, probabilities, names, mistakes=photographs, uncertain_successes=photographs)
    page = written(tmp_path, facts)
    # Noise is the hardest picture to compress there is.
    assert len(page.source.encode()) < 2_200_000
    assert page.count("table", "heat") == 0 and "most frequent of" in page.text
    assert 'alt="Confusion matrix"' in page.source and "confusion.csv" in page.text
    for found in frequent_confusions(facts.confusion)[:30]:
        assert f"{names[found.true]} {names[found.predicted]} {found.times} " in page.text
    assert "The other 970 classes" in page.text and page.text.count("12 hardest of") == 2
    assert all(name in page.text for name in names) and "and 900 more. It assigns" in page.text


def test_the_same_facts_make_the_same_bytes(tmp_path):
    facts = facts_of(*answers(4, 100), NAMES)
    pages = [written(tmp_path, facts).source for _ in range(2)]
    assert pages[0] == pages[1]


# Width of the frame, classes, whether it is dark.
SHOWN = {"phone": (390, 30, False), "phone, many": (390, 60, True), "desktop": (1280, 10, True)}


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What a browser makes of the page, by how it is shown: light if the model passed the gate."""
    frames = {}
    for shown, (width, classes, dark) in SHOWN.items():
        labels, probabilities = answers(classes, 2000)
        _, champion = answers(classes, 2000, seed=8)
        example = np.zeros((32, 32, 3), np.uint8)
        facts = facts_of(
            labels,
            probabilities,
            [f"class_with_a_name_that_is_longer_than_a_chart_{i}" for i in range(classes)],
            slices=[Slice("brightness", "the mean of its values", [Band(0.1, 0.2, 400, 1000, example)] * 5)],
            behaviour=[BehaviourCheck("Noise", "a picture of random pixels", 0.3, 0.9, False, example)],
        )
        page = tmp_path_factory.mktemp("seen") / "report.html"
        gate = gate_of(labels, probabilities, champion, passed=not dark)
        write_report(page, dataclasses.replace(facts, **gate))
        frames[shown] = Frame(page, width, dark)
    return dict(zip(frames, seen_by_chromium(*frames.values()), strict=True))


@needs_chromium
@pytest.mark.parametrize("shown", SHOWN)
def test_a_browser_shows_it_without_complaint(seen, shown):
    found, (_, classes, dark) = seen[shown], SHOWN[shown]
    assert found.console == []
    assert (found.requests, found.wider_than_frame, found.dark, found.scrolled) == (0, 0, dark, True)
    assert found.pictures == 48 + 5 + 1 + (classes > 30)
