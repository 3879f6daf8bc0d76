"""What the evaluation report says of the gate: the champion beside the challenger, and why not."""

import re

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components.core.artifacts.evaluation import DecisionReason
from components.evaluate.measure import measures
from components.evaluate.report.board import write_board
from tests.components.evaluate.report_facts import NAMES, answers, decision_of, facts_of, gate_of, written


def test_the_champion_stands_beside_the_challenger(tmp_path):
    labels, probabilities = answers(4, 500)
    _, champion = answers(4, 500, seed=8)
    gate = gate_of(labels, probabilities, champion)
    facts = facts_of(labels, probabilities, NAMES, **gate)
    page = written(tmp_path, facts)
    comparison, before = gate["decision"].comparison, gate["both"].champion
    points = 100 * (facts.accuracy - before.accuracy)
    intervals = [measures.wilson_interval(each.correct, 500) for each in (before, facts)]
    for said in (
        "Passes the gate pass accuracy 0.7000 reaches min_accuracy 0.6",
        "The champion, digits version 3, is the version in use.",
        f"{points:+.1f} points".replace("-", "\u2212"),
        f"Accuracy {100 * before.accuracy:.1f} % {100 * facts.accuracy:.1f} %",
        " ".join(f"{100 * low:.1f} % to {100 * high:.1f} %" for low, high in intervals),
        f"Macro F1 {before.macro_f1:.4f} {facts.macro_f1:.4f}",
        f"Only the challenger is right {comparison.only_challenger} ",
        f"Only the champion is right {comparison.only_champion} ",
        "McNemar's exact test, one-sided: p = 0.012.",
    ):
        assert said in page.text
    both, neither = (int(found) for found in re.findall(r"Both are (?:right|wrong) (\d+)", page.text))
    assert both + neither + comparison.only_challenger + comparison.only_champion == 500
    for k, (old, new) in enumerate(zip(before.per_class, facts.per_class, strict=True)):
        assert f"{NAMES[k]} {100 * old.recall:.1f} % {100 * new.recall:.1f} % " in page.text
    gains = re.findall(r"([+\u2212][\d.]+) points", page.text.partition("largest loss first")[2])[:4]
    assert gains == sorted(gains, key=lambda gain: float(gain.replace("\u2212", "-"))) != gains[::-1]


@pytest.mark.parametrize(
    ("look", "said"),
    [
        (1, "No challenger was compared on these pictures before"),
        (2, "One challenger was compared on these pictures before"),
        (1234, "1,233 challengers were compared on these pictures before"),
    ],
)
def test_a_comparison_on_some_of_the_test_pictures_says_so_and_how_often_they_were_asked(tmp_path, look, said):
    labels, probabilities = answers(4, 500)
    _, champion = answers(4, 500, seed=8)
    gate = gate_of(labels[:200], probabilities[:200], champion[:200], look=look)
    page = written(tmp_path, facts_of(labels, probabilities, NAMES, **gate))
    low, high = measures.wilson_interval(gate["both"].challenger.correct, 200)
    for part in (
        "Both were tested on the same 200 pictures: those of the 500 test pictures that neither has learned from.",
        f"{100 * gate['both'].champion.accuracy:.1f} % {100 * gate['both'].challenger.accuracy:.1f} %",
        f"{100 * low:.1f} % to {100 * high:.1f} %",
        f"{said}. To keep the chance that any of them is promoted by luck below 5.0 %, p may be at most 0.025",
    ):
        assert part in page.text
    # The two accuracies are not of the same pictures, so that no scale shows them together.
    assert page.count("i", "tick") == 1


def test_a_gate_that_refuses_says_why_without_a_champion(tmp_path):
    reasons = [
        DecisionReason(said="accuracy 0.7000 is below min_accuracy 0.8", holds=False),
        DecisionReason(said="there is no champion yet", holds=True),
    ]
    page = written(tmp_path, facts_of(*answers(4, 100), NAMES, decision=decision_of(False, reasons)))
    assert (
        "Does not pass the gate fail accuracy 0.7000 is below min_accuracy 0.8 pass there is no champion" in page.text
    )
    assert "Champion and challenger" not in page.text


def test_balanced_accuracy_leads_where_classes_are_uneven(tmp_path):
    labels, probabilities = answers(4, 500)
    kept = (labels != 1) & ((labels != 2) | (np.arange(500) % 8 == 0))
    labels, probabilities = labels[kept], probabilities[kept]
    decision = decision_of(True, [])
    facts = facts_of(labels, probabilities, NAMES, decision=decision.model_copy(update={"balanced_accuracy": 0.7}))
    page = written(tmp_path, facts)
    low, high = measures.mean_recall_interval(facts)
    for said in (
        f"{100 * facts.balanced_accuracy:.1f} % balanced accuracy: the mean recall over all classes.",
        f"Of all test pictures {100 * facts.accuracy:.1f} % were classified correctly: {facts.correct} of",
        f"confidence interval is {100 * low:.1f} % to {100 * high:.1f} % (Wilson, with",
        "one class for every picture would reach 33.3 %.",
        f"Balanced accuracy {facts.balanced_accuracy:.4f} Test accuracy {facts.accuracy:.4f}",
    ):
        assert said in page.text
    write_board(str(tmp_path), facts, 5)
    events = EventAccumulator(str(tmp_path / "test"), size_guidance={"tensors": 0}).Reload()
    figures = {"accuracy": facts.accuracy, "balanced accuracy": facts.balanced_accuracy, "loss": facts.loss}
    tested = zip(NAMES, facts.per_class, strict=True)
    figures |= {f"recall by class/{name}": score.recall for name, score in tested if score.support}
    scalars = events.summary_metadata.keys() - events.PluginTagToContent("images").keys()
    shown = {tag: events.Tensors(tag)[0].tensor_proto.float_val[0] for tag in scalars}
    assert shown == pytest.approx(figures) and len(shown) == 6
    assert "balanced" not in written(tmp_path, facts_of(labels, probabilities, NAMES, decision=decision)).text.lower()


def test_a_gate_that_goes_by_balanced_accuracy_says_so(tmp_path):
    labels, probabilities = answers(4, 500)
    gate = gate_of(labels, probabilities, answers(4, 500, seed=8)[1])
    comparison = gate["decision"].comparison.model_copy(update={"metric": "balanced_accuracy"})
    gate["decision"] = gate["decision"].model_copy(update={"comparison": comparison, "balanced_accuracy": 0.7})
    page = written(tmp_path, facts_of(labels, probabilities, NAMES, **gate))
    assert "The challenger’s balanced accuracy minus the champion’s is" in page.text
    assert "Score test of the paired recalls, one-sided: p = 0.012" in page.text
    assert f"Balanced accuracy {100 * gate['both'].champion.balanced_accuracy:.1f} %" in page.text


def test_without_a_gate_nothing_is_said_of_one(tmp_path):
    page = written(tmp_path, facts_of(*answers(4, 100), NAMES))
    assert "gate" not in page.text
