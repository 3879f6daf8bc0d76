"""Evaluate: measures a model on the test split, and writes the evaluation artifact with report and decision."""

import csv
import dataclasses
import pathlib
from typing import Any

import numpy as np

from components.core.artifacts.checkpoints import remove_checkpoints
from components.core.artifacts.dataset import DatasetInfo, read_info, uneven
from components.core.artifacts.dataset_reading import batches, split_count
from components.core.artifacts.evaluation import (
    METRICS_FILE,
    PREDICTIONS_FILE,
    REPORT_FILE,
    figures_line,
    write_decision,
)
from components.core.artifacts.model import load_fitting_model, model_file, read_training
from components.core.artifacts.picture_hashes import model_learned
from components.core.catalog import DATASETS
from components.core.errors import PipelineError
from components.core.files import whole_directory, whole_file, write_json
from components.core.wording import listed
from components.evaluate.champion import ask_champion, fetched_champion
from components.evaluate.gate import both_answered, decide
from components.evaluate.measure import measures
from components.evaluate.measure.behaviour import BehaviourCheck, behaviour_checks, most_pictures
from components.evaluate.measure.gather import gather
from components.evaluate.measure.predict import predict_test_split, predictor
from components.evaluate.report.facts import EvaluationFacts, RocCurve
from components.evaluate.report.page import write_report
from components.evaluate.settings import EvaluateSettings

CONFUSION_FILE = "confusion.csv"


def evaluate(
    settings: EvaluateSettings,
    dataset_path: str,
    model_path: str,
    evaluation_path: str,
    report_path: str,
    tensorboard_path: str,
) -> tuple[EvaluationFacts, RocCurve]:
    """Evaluates the model artifact on the dataset artifact's test split, and decides whether it is to be exported.

    Writes the evaluation artifact whole or not at all (metrics.json; decision.json; predictions.npz with `labels` int64
    (n,) and `probabilities` float32 (n, classes), in the order of the test shards; report.html), the same report at
    `report_path` for the KFP page, and event files for TensorBoard.

    Returns:
        What the report shows, and the ROC curve micro-averaged over the classes, for the KFP page.

    Raises:
        PipelineError: an artifact is not what it should be, model and data set don't fit together, or the champion that
            the model must beat is damaged. StorageError: the registry can't be asked.
    """
    info = read_info(dataset_path)
    training = read_training(model_path)
    _check_fit(training, info)
    learned = model_learned(model_path, training, dataset_path, info)
    with fetched_champion(settings, dataset_path, info, learned) as champion:
        model = load_fitting_model(model_file(model_path), info)
        labels, probabilities, loss = predict_test_split(model, dataset_path, info)
        measures.check_probabilities(probabilities)
        behaviour = _behaviour(settings, training, model, probabilities, dataset_path, info)
        if champion:
            champion = ask_champion(settings, champion, dataset_path, info, labels, probabilities)
    decision = decide(settings, labels, probabilities, behaviour, champion, uneven=_uneven(info))
    facts = gather(info, training, labels, probabilities, loss, behaviour, dataset_path, model_path, learned)
    both = both_answered(labels, probabilities, champion.duel) if champion and champion.duel else None
    facts = dataclasses.replace(facts, decision=decision, both=both)
    with whole_directory(evaluation_path) as directory:
        write_report(directory / REPORT_FILE, facts)
        np.savez_compressed(directory / PREDICTIONS_FILE, labels=labels, probabilities=probabilities)
        write_json(directory / METRICS_FILE, _metrics_document(facts, info, settings))
        _write_confusion(directory / CONFUSION_FILE, info.class_names, facts.confusion)
        write_decision(directory, decision)
        with whole_file(report_path) as copy:
            copy.write_bytes((directory / REPORT_FILE).read_bytes())
    from components.evaluate.report.board import write_board

    write_board(tensorboard_path, facts, training.get("best_epoch") or 0)
    for note in facts.notes:
        print(f"warning: {note}")
    print(figures_line(loss, facts.accuracy, decision.balanced_accuracy))
    print(decision.said)
    remove_checkpoints(training)
    return facts, measures.micro_roc(labels, probabilities)


def _check_fit(training: dict[str, Any], info: DatasetInfo) -> None:
    """Refuses a data set without test pictures, and a model that learned other classes, even if as many."""
    if not split_count(info, "test"):
        raise PipelineError("expected test pictures to measure the model on, received none; set test_split above 0")
    learned = training.get("class_names", info.class_names)
    if learned != info.class_names:
        raise PipelineError(
            f"expected a model of this data set's classes, {listed(info.class_names)}, received one of "
            f"{listed(learned)}; train on this data set"
        )
    if training.get("dataset_fingerprint", info.fingerprint) != info.fingerprint:
        print("note: the model was trained on another state of the data set than it is measured on")


def _uneven(info: DatasetInfo) -> bool:
    """Whether the tested classes are of unequal sizes, and not in the test split alone, where luck may do it."""
    tested = [k for k, count in enumerate(info.splits["test"].per_class) if count]
    totals = [sum(split.per_class[k] for split in info.splits.values()) for k in tested]
    return uneven([info.splits["test"].per_class[k] for k in tested]) and uneven(totals)


def _behaviour(
    settings: EvaluateSettings,
    training: dict[str, Any],
    model: Any,
    probabilities: np.ndarray,
    dataset_path: str,
    info: DatasetInfo,
) -> list[BehaviourCheck]:
    """The behaviour tests; `probabilities` are the model's answers on the test pictures as they are."""
    if settings.behaviour == "off":
        return []
    known = DATASETS.get(info.dataset)
    trained = training.get("settings", {})
    # Who trains on mirrored pictures says that they keep their class. A mean over both can't but keep it.
    mirrored = bool(known and known.mirrored) or trained.get("augment_flip", False)
    mirrored = mirrored and not trained.get("average_mirrored", False)
    pictures, _ = next(batches(dataset_path, info, "test", most_pictures(info.image_shape)))
    classes = probabilities[: len(pictures)].argmax(axis=1)
    kept, certain = settings.behaviour_kept, settings.behaviour_certain
    return behaviour_checks(predictor(model), pictures, classes, kept, certain, mirrored, info.seed)


def _write_confusion(path: pathlib.Path, class_names: list[str], confusion: np.ndarray) -> None:
    """The cells of the confusion matrix that are not 0: all of it, whatever the number of classes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("true", "predicted", "pictures"))
        for true, predicted in zip(*np.nonzero(confusion), strict=True):
            rows.writerow((class_names[true], class_names[predicted], confusion[true, predicted]))


def _metrics_document(facts: EvaluationFacts, info: DatasetInfo, settings: EvaluateSettings) -> dict[str, Any]:
    low, high = measures.wilson_interval(facts.correct, facts.count, facts.per_chance)
    return {
        **facts.metrics(),
        "accuracy_interval_95": [low, high],
        "balanced_accuracy_interval_95": list(measures.mean_recall_interval(facts)),
        "calibration_error_by_chance": facts.calibration.chance,
        "class_names": info.class_names,
        "per_class": [dataclasses.asdict(score) for score in facts.per_class],
        "auc": {info.class_names[k]: curve.auc for k, curve in facts.roc.items()},
        "dataset_fingerprint": info.fingerprint,
        "behaviour": {
            "mode": settings.behaviour,
            "failed": [check.said for check in facts.behaviour if not check.passed],
            "checks": [
                {name: getattr(check, name) for name in ("name", "said", "value", "limit", "at_least", "passed")}
                for check in facts.behaviour
            ],
        },
    }
