"""The evaluation report: one self-contained HTML page, for who has to decide whether a model is good enough.

A section is a template in templates/ and a line in `_sections`. What a template can't say in a line or two is worked
out in tables.py and charts.py.
"""

import os
import pathlib
from typing import Any

import numpy as np

from components.core import card_words
from components.core.board.drawing import confusion_shades
from components.core.page import Section, write_page
from components.core.page.numbers import require_finite
from components.core.wording import isolated
from components.evaluate.measure.measures import macro_auc, mean_recall_interval, wilson_interval
from components.evaluate.report.charts import (
    calibration_charts,
    drawn_bins,
    learning_charts,
    precision_recall_charts,
    roc_charts,
)
from components.evaluate.report.facts import EvaluationFacts
from components.evaluate.report.tables import band_rows, class_rows, frequent_confusions, versus

TEMPLATES = pathlib.Path(__file__).parent / "templates"
MATRIX_CLASSES = 30  # a bigger confusion matrix can't be read: it is a picture, and its largest entries are listed


def write_report(path: str | os.PathLike, facts: EvaluationFacts) -> None:
    """Writes the report of an evaluation to `path`, whole or not at all.

    All pictures given are shown: some twenty of each kind keep the page small.

    Raises:
        PipelineError: a number is NaN or infinite; nothing is written.
    """
    require_finite(facts, "evaluation")
    confusions = frequent_confusions(facts.confusion)
    readable = len(facts.class_names) <= MATRIX_CLASSES
    write_page(
        path,
        TEMPLATES,
        "Evaluation report",
        facts.title,
        _sections(facts),
        facts=facts,
        lead=_lead(facts),
        macro_auc=macro_auc(facts.roc),
        confusions=confusions,
        row_shares=facts.confusion / np.maximum(facts.confusion.sum(axis=1, keepdims=True), 1) if readable else None,
        matrix_shown=readable,
        matrix_picture=None if readable else confusion_shades(facts.confusion),
        rows=class_rows(facts, confusions),
        failed=[check for check in facts.behaviour if not check.passed],
        versus=versus(facts),
        learning_charts=learning_charts(facts),
        bands=band_rows(facts),
        roc_charts=roc_charts(facts),
        precision_recall_charts=precision_recall_charts(facts),
        purpose=card_words.purpose(facts.data.image_shape, facts.class_names, isolated),
        limits=_limits(facts),
        licence=card_words.licence(facts.data.dataset, facts.data.called),
        calibration_charts=calibration_charts(facts.calibration),
        bins_drawn=len(drawn_bins(facts.calibration)),
    )


def _lead(facts: EvaluationFacts) -> dict[str, Any]:
    """The figure that the page begins with, 0 to 1: its interval, what one answer for all gives, and the champion's.

    The champion's is None if it was not asked the same pictures.
    """
    champion = facts.both.champion if facts.both and facts.both.champion.count == facts.count else None
    metric, pictures = "balanced_accuracy" if facts.balanced else "accuracy", facts.confusion.sum(axis=1)
    accuracy_interval = wilson_interval(facts.correct, facts.count, facts.per_chance)
    return {
        "score": getattr(facts, metric),
        "interval": mean_recall_interval(facts) if facts.balanced else accuracy_interval,
        "same_answer": 1 / np.count_nonzero(pictures) if facts.balanced else pictures.max() / facts.count,
        "champion": getattr(champion, metric, None),
    }


def _sections(facts: EvaluationFacts) -> list[Section]:
    return [
        Section("champion", "Champion and challenger", wanted=facts.both is not None),
        Section("learning", "Learning curves", wanted=any(facts.history.values())),
        Section("confusions", "Confusion matrix"),
        Section("classes", "Metrics by class"),
        Section("slices", "Accuracy by picture property", wanted=bool(facts.slices)),
        Section("mistakes", "Most confident mistakes"),
        Section("successes", "Least confident correct predictions"),
        Section("calibration", "Calibration"),
        Section("curves", "ROC and precision-recall"),
        Section("behaviour", "Behaviour tests", wanted=bool(facts.behaviour)),
        Section("facts", "Data and training"),
        Section("card", "Model card"),
    ]


def _limits(facts: EvaluationFacts) -> list[str]:
    scores = zip(facts.class_names, facts.per_class, strict=True)
    return card_words.limits(
        [card_words.ClassResult(name, score.recall, score.support) for name, score in scores],
        facts.calibration.error,
        facts.calibration.chance,
        [(check.said, check.passed) for check in facts.behaviour],
        isolated,
    )
