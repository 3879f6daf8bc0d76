"""Facts of evaluations and of gates that were never held, and the report's page that tells them."""

import numpy as np

from components.core.artifacts.dataset import DatasetInfo, SplitInfo
from components.core.artifacts.evaluation import Comparison, Decision, DecisionReason
from components.evaluate.comparing import Duel
from components.evaluate.gate import both_answered
from components.evaluate.measure import measures
from components.evaluate.report.facts import EvaluationFacts, Example
from components.evaluate.report.page import write_report
from tests.components.core.page.page_checks import read_page

NAMES = ["cat", "dog", "ship", "truck"]


def facts_of(labels, probabilities, names, **others):
    """The facts of an evaluation of random 8 x 8 pictures, as evaluate gathers them."""
    random = np.random.default_rng(3)

    def examples(indices):
        return [
            Example(random.integers(0, 256, (8, 8, 1), np.uint8), int(labels[i]), int(k), float(probabilities[i, k]))
            for i in indices
            for k in [probabilities[i].argmax()]
        ]

    measures.check_probabilities(probabilities)
    roc, precision_recall = measures.curves(labels, probabilities)
    given = {
        "title": "digits, seed",
        "class_names": names,
        "loss": 0.123456,
        "confusion": measures.scored(labels, probabilities).confusion,
        "roc": roc,
        "precision_recall": precision_recall,
        "calibration": measures.calibration(labels, probabilities),
        "mistakes": examples(measures.telling(labels, probabilities, False, 24)),
        "uncertain_successes": examples(measures.telling(labels, probabilities, True, 24)),
        "data": DatasetInfo.model_construct(
            dataset="digits",
            image_shape=(8, 8, 1),
            splits={split: SplitInfo.model_construct(count=n) for split, n in (("train", 1200), ("test", len(labels)))},
            quarantined=3,
        ),
        "history": {
            "loss": [1.5, 0.7, 0.4],
            "accuracy": [0.5, 0.8, 0.9],
            "val_loss": [1.2, 0.8, 0.9],
            "val_accuracy": [0.6, 0.75, 0.7],
        },
        "best_epoch": 2,
        "lineage": {"source": "https://example.org/digits", "fingerprint of the data set": "f1" * 32},
        "training": {"architecture": "article", "parameters": 1147466, "learning rate": 0.001},
    }
    return EvaluationFacts(**(given | others))


def answers(classes, count, seed=7):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    logits = random.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, probabilities


def written(tmp_path, facts):
    write_report(tmp_path / "report.html", facts)
    return read_page(tmp_path / "report.html")


def decision_of(passed: bool, reasons: list[DecisionReason], comparison: Comparison | None = None) -> Decision:
    return Decision(
        passed=passed, reasons=reasons, accuracy=0.7, pictures=500, gate="beat_champion", min_accuracy=0.6,
        min_improvement=0.0, significance=0.05, model_name="digits", registry="", champion=3, comparison=comparison,
    )  # fmt: skip


def gate_of(
    labels, probabilities, champion, passed=True, reasons=("accuracy 0.7000 reaches min_accuracy 0.6",), look=1
) -> dict:
    """What the report is told of a gate that compared with a champion."""
    both = both_answered(labels, probabilities, Duel(np.ones(len(labels), bool), champion, look))
    right, before = (given.argmax(axis=1) == labels for given in (probabilities, champion))
    better, worse = int((right & ~before).sum()), int((before & ~right).sum())
    comparison = Comparison(
        version=3, pictures=len(labels), look=look, accuracy=both.challenger.accuracy,
        champion_accuracy=both.champion.accuracy, balanced_accuracy=both.challenger.balanced_accuracy,
        champion_balanced_accuracy=both.champion.balanced_accuracy, only_challenger=better, only_champion=worse,
        difference=(better - worse) / len(labels), difference_interval_95=(-0.1, 0.1), p_value=0.0123, p_allowed=0.025,
    )  # fmt: skip
    decision = decision_of(passed, [DecisionReason(said=said, holds=passed) for said in reasons], comparison)
    return {"decision": decision, "both": both}
