"""Classifies picture files with a model, each brought to its shape as preprocess does it (core/pictures/decode.py)."""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from components.core.artifacts.model import TRAINING_FILE, model_file
from components.core.artifacts.served_model import DESCRIPTION, EXPORT_MANIFEST, SAVED_MODEL, Description
from components.core.errors import PipelineError, one_line
from components.core.machine import at_once
from components.core.pictures.decode import Target
from components.export.formats.runtimes import open_runtime
from components.predict.answering import Classifier, answered, batches_of, refuse_films

SUFFIXES = {".keras": "keras", ".onnx": "onnx", ".tflite": "litert"}


class FileAnswer(NamedTuple):
    """What came of a file: float32 probabilities [classes], or in one line why it is no picture."""

    path: pathlib.Path
    probabilities: np.ndarray | None
    reason: str = ""


def open_classifier(path: pathlib.Path) -> Classifier:
    """Loads an export artifact, a SavedModel directory, a model artifact, or a .keras, .onnx or .tflite file.

    Class names and shape come from what lies beside it: manifest.json of an export, assets.extra/model.json of a
    SavedModel, training.json of a trained model. A .keras file by itself has its shape, and numbers for names.

    Raises:
        PipelineError: it is none of these, can't be loaded, or nothing says what its classes are, or something else
            than it answers.
    """
    name, place = _find(path)
    facts = _facts(place)
    if facts is None and name != "keras":
        raise PipelineError(
            f"expected manifest.json or {DESCRIPTION} with {place}, which name its classes, received neither; "
            "give the whole export"
        )
    answer = open_runtime(name, place)
    if facts is None:
        from components.core.artifacts.model import load_model

        model = load_model(place)
        numbers = [str(number) for number in range(model.output_shape[-1])]
        facts = Description(class_names=numbers, image_shape=model.input_shape[1:])
    classes, shape = len(facts.class_names), facts.image_shape
    answered: object
    try:
        answered = np.shape(answer(np.zeros((1, *shape), np.uint8)))
    except Exception as error:  # each runtime has its own kinds
        answered = one_line(error, 200)
    if answered != (1, classes):
        raise PipelineError(
            f"expected {place} to answer pictures of {shape} (height, width, channels) by {classes} classes, as what "
            f"lies with it says, received {answered}; give the whole export of this model"
        )
    return Classifier(facts.class_names, Target(*shape, facts.resize), answer)


def class_names(path: pathlib.Path) -> list[str] | None:
    """The classes of open_classifier's answers, known without loading the model; None: only that can tell."""
    facts = _facts(_find(path)[1])
    return facts.class_names if facts else None


def classify(classifier: Classifier, files: Sequence[pathlib.Path]) -> Iterator[FileAnswer]:
    """Answers files in their order; those ahead are decoded while the model is at work.

    A file that can't be read is answered with the reason, and stops nothing.
    """
    for batch in answered(batches_of(files, at_once(classifier.target.shape)), _read, classifier):
        answers = iter(batch.probabilities)
        for file, reason in zip(batch.items, batch.reasons, strict=True):
            yield FileAnswer(file, None, reason) if reason else FileAnswer(file, next(answers))


def _read(file: pathlib.Path) -> bytes:
    refuse_films(file.stat().st_size)
    return file.read_bytes()


def _find(path: pathlib.Path) -> tuple[str, pathlib.Path]:
    """The format of what lies at `path`, and its file or version directory."""
    if path.is_file() and path.suffix in SUFFIXES:
        return SUFFIXES[path.suffix], path
    if (path / SAVED_MODEL).is_file():
        return "saved_model", path
    for folder in (path / "saved_model", path):
        versions = [graph.parent for graph in folder.glob(f"*/{SAVED_MODEL}") if graph.parent.name.isdecimal()]
        if versions:
            return "saved_model", max(versions, key=lambda version: int(version.name))
    if model_file(path).is_file():
        return "keras", model_file(path)
    raise PipelineError(
        "expected an export, a SavedModel directory, or a .keras, .onnx or .tflite file, received "
        f"{path}{'' if path.exists() else ', which does not exist'}"
    )


def _facts(place: pathlib.Path) -> Description | None:
    # An ONNX file lies four folders deep in its export, another format's beside the manifest.
    manifests = (folder / EXPORT_MANIFEST for folder in place.parents[:4])
    for file in (place / DESCRIPTION, *manifests, place.parent / TRAINING_FILE):
        with contextlib.suppress(OSError, ValueError):  # there is none, or another program's
            return Description.model_validate_json(file.read_bytes())
    return None
