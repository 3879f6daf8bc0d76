"""Answers as lines of text: JSON or CSV.

    {"picture": "gs://b/new/1.jpg", "class": "cat", "probabilities": {"cat": 0.98, "dog": 0.01}, "model": "pets",
     "version": "3", "generation": "1732..."}
    {"picture": "gs://b/new/2.jpg", "error": "the file is empty", "model": "pets", ...}

Each CSV file has its head: picture, class, probability, class_2, probability_2, ..., error, model, version, generation.
"""

import csv
import io
import json
from typing import Any

import numpy as np

from components.core.wording import printable
from components.predict.answering import Batch
from components.predict.answers import AnsweringModel, Form
from components.predict.source import Picture

DIGITS = 6
ENCODER = json.JSONEncoder(ensure_ascii=False)  # json.dumps makes one a line


def class_columns(top: int) -> list[str]:
    """The columns of a picture's most probable classes: class, probability, class_2, probability_2, ..."""
    ranks = ["", *(f"_{rank}" for rank in range(2, top + 1))]
    return [f"{name}{rank}" for rank in ranks for name in ("class", "probability")]


class Rows:
    """Collects the lines of one file.

    Attributes:
        ending: of the file's name.
    """

    def __init__(self, form: Form, model: AnsweringModel):
        self.ending, self.names, self.top, self.model = form.answers_as, form.class_names, form.top, model
        self.text = io.StringIO(newline="")
        if self.ending == "csv":
            self.write = csv.writer(self.text, lineterminator="\n").writerow
            self.write(["picture", *class_columns(self.top), "error", "model", "version", "generation"])

    def add(self, batch: Batch[Picture]) -> None:
        """Adds a line for each of the batch's pictures."""
        best = np.argsort(-batch.probabilities, axis=1, kind="stable")[:, : self.top]
        shares = np.take_along_axis(batch.probabilities, best, axis=1).astype(np.float64).round(DIGITS).tolist()
        answers = iter(zip(best.tolist(), shares, strict=True))
        for picture, reason in zip(batch.items, batch.reasons, strict=True):
            classes, probabilities = ([], []) if reason else next(answers)
            told = [self.names[number] for number in classes]
            if self.ending == "csv":
                self._csv(picture, told, probabilities, reason)
            else:
                self._json(picture, told, probabilities, reason)

    def _json(self, picture: Picture, told: list[str], probabilities: list[float], reason: str) -> None:
        said: dict[str, Any] = {"error": printable(reason)}
        if not reason:
            said = {"class": told[0], "probabilities": dict(zip(told, probabilities, strict=True))}
        of = {"model": self.model.name, "version": self.model.version, "generation": picture.generation}
        self.text.write(ENCODER.encode({"picture": picture.name, **said, **of}) + "\n")

    def _csv(self, picture: Picture, told: list[str], probabilities: list[float], reason: str) -> None:
        ranks = [cell for pair in zip(told, probabilities, strict=True) for cell in pair] or [""] * (2 * self.top)
        of = (self.model.name, self.model.version, picture.generation)
        self.write([picture.name, *ranks, printable(reason), *of])
