"""Gathers what an evaluation found out into its facts, from the answers and the artifacts."""

from typing import Any

import numpy as np

from components.core import card_words
from components.core.artifacts.dataset import DatasetInfo
from components.core.artifacts.dataset_reading import MappedSplit, batches
from components.core.artifacts.model import model_file
from components.core.artifacts.picture_hashes import copies_in_test, split_hashes
from components.core.files import sha256_of
from components.core.progress import duration
from components.core.revision import code_revision
from components.core.wording import listed
from components.evaluate.measure import measures
from components.evaluate.measure.behaviour import BehaviourCheck
from components.evaluate.measure.slices import looks_of_all, slices
from components.evaluate.report.facts import EvaluationFacts, Example

EXAMPLES = 24
IF_SET = (
    *("warmup", "label_smoothing", "augment_flip", "augment_shift", "augmentation", "class_weight", "average_mirrored"),
)
NAMES = {"tensorflow": "TensorFlow", "numpy": "NumPy"}


def gather(
    info: DatasetInfo,
    training: dict[str, Any],
    labels: np.ndarray,
    probabilities: np.ndarray,
    loss: float,
    behaviour: list[BehaviourCheck],
    dataset_path: str,
    model_path: str,
    learned: np.ndarray | None,
) -> EvaluationFacts:
    """Gathers all that the report shows.

    Args:
        training: what training.json of the model artifact says.
        labels: int64 (n,) of the test split.
        probabilities: float32 (n, classes), the model's answers.
        loss: the test loss in nats.
        learned: uint64 [n], the hashes of what the model has learned from; None if nobody knows.
    """
    looks = looks_of_all(batches(dataset_path, info, "test"))
    split = MappedSplit(dataset_path, info, "test")
    groups = split_hashes(dataset_path, info, "test", of_groups=True)
    predicted = probabilities.argmax(axis=1)
    doubt = card_words.doubt(copies_in_test(dataset_path, info, learned), training)
    roc, precision_recall = measures.curves(labels, probabilities)
    answered = measures.scored(labels, probabilities, groups)

    def examples(indices: list[int]) -> list[Example]:
        return [
            Example(picture, int(labels[i]), int(predicted[i]), float(probabilities[i, predicted[i]]))
            for i, picture in zip(indices, split.pictures(np.array(indices, np.int64)), strict=True)
        ]

    return EvaluationFacts(
        title=f"{info.called}, {_architecture_name(training)}",
        class_names=info.class_names,
        loss=loss,
        confusion=answered.confusion,
        per_chance=answered.per_chance,
        recalls_per_chance=answered.recalls_per_chance,
        roc=roc,
        precision_recall=precision_recall,
        calibration=measures.calibration(labels, probabilities, answered.per_chance),
        mistakes=examples(measures.telling(labels, probabilities, False, EXAMPLES)),
        uncertain_successes=examples(measures.telling(labels, probabilities, True, EXAMPLES)),
        data=info,
        history=_history(training),
        learning_rate=[(epochs, rate) for epochs, rate in training.get("learning_rate", [])],
        best_epoch=training.get("best_epoch"),
        training=_training_table(training),
        notes=[
            *([doubt] if doubt else []),
            *_untold(labels, predicted, info.class_names),
            *(f"behaviour: {check.said}" for check in behaviour if not check.passed),
        ],
        slices=slices(looks, predicted == labels, split),
        behaviour=behaviour,
        lineage=_lineage(info, training, model_path),
    )


def _untold(labels: np.ndarray, predicted: np.ndarray, class_names: list[str]) -> list[str]:
    """What accuracy hides: a class that was not tested, and a model that answers all alike, whose accuracy is the share
    of one class."""
    seen, said = np.bincount(labels, minlength=len(class_names)), []
    if absent := [name for name, count in zip(class_names, seen, strict=True) if not count]:
        said.append(f"the test split has no picture of {listed(absent)}: the model was not tested on them")
    if len(np.unique(predicted)) == 1 < np.count_nonzero(seen):
        said.append(
            f"the model predicts {listed([class_names[predicted[0]]])} for all test pictures: it tells no classes "
            "apart; try more epochs, another learning_rate, or class_weight=balanced"
        )
    return said


def _lineage(info: DatasetInfo, training: dict[str, Any], model_path: str) -> dict[str, str]:
    started = training.get("started_from")
    return {
        "source": info.source_uri,
        "SHA-256 of the source": info.source_sha256,
        "fingerprint of the data set": info.fingerprint,
        **({"started from": f"{started['name']}, SHA-256 {started['sha256']}"} if started else {}),
        "SHA-256 of model.keras": sha256_of(model_file(model_path)),
        "code revision": code_revision(),
    }


def _architecture_name(training: dict[str, Any]) -> str:
    name = str(training.get("settings", {}).get("architecture", "model"))
    return name if name.isidentifier() else "own layers"


def _training_table(training: dict[str, Any]) -> dict[str, Any]:
    """What the report tells about the training: label -> value."""
    settings = training.get("settings", {})
    shown = {
        "architecture": settings.get("architecture"),
        "weights": training.get("parameters"),
        "epochs trained": training.get("epochs"),
        **{name: settings.get(name) for name in ("batch_size", "optimizer", "learning_rate", "schedule", "seed")},
        **{name: settings.get(name) or None for name in IF_SET},
        "precision": training.get("precision"),
        "device": training.get("device"),
        "time taken": duration(training["seconds"]) if "seconds" in training else None,
        "images a second": training.get("images_per_second"),
        **{NAMES.get(name, name): version for name, version in training.get("versions", {}).items()},
    }
    return {label.replace("_", " "): value for label, value in shown.items() if value is not None}


def _history(training: dict[str, Any]) -> dict[str, list[float]]:
    """The training history as one list a measure, from training.json's one entry an epoch."""
    epochs = training.get("history", [])
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    return {
        name: [epoch[name] for epoch in epochs] for name in names if epochs and all(name in epoch for epoch in epochs)
    }
