"""Sentences about a model for its future users, the same in the evaluation report and in an export's model card.

From facts of the artifacts alone. `shown` makes text of a name: the card is Markdown, in which a class called `*` would
be markup.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from components.core.catalog import DATASETS
from components.core.wording import sentence

WEAKEST = 5
LISTED = 100
OWN_PICTURES = "of the pictures' source; this pipeline does not know it"


class ClassResult(NamedTuple):
    """How a class fared: `recall` is the share of its test pictures that was found, of no meaning if it had none."""

    name: str
    recall: float
    pictures: int


def purpose(image_shape: Sequence[int], class_names: Sequence[str], shown: Callable[[str], str] = str) -> str:
    """The model's task, and that it always answers with one of its classes, in two sentences."""
    height, width, channels = image_shape
    more = f" and {len(class_names) - LISTED:,} more" if len(class_names) > LISTED else ""
    kind = "greyscale" if channels == 1 else "colour"
    return (
        f"Classifies {kind} pictures of {height} x {width} pixels into {len(class_names)} classes: "
        f"{', '.join(map(shown, class_names[:LISTED]))}{more}. It assigns one of these to every picture, even to "
        "one that shows none of them."
    )


def limits(
    scores: Sequence[ClassResult],
    calibration_error: float,
    by_chance: float,
    behaviour: Sequence[tuple[str, bool]],
    shown: Callable[[str], str] = str,
) -> list[str]:
    """Where not to rely on it, in sentences.

    Args:
        scores: how each class fared in the test.
        calibration_error: expected calibration error, 0 to 1.
        by_chance: what that comes to on average if every probability holds.
        behaviour: what each behaviour test found, in words, and whether that is as it should be.
    """
    tested = [score for score in scores if score.pictures]
    absent = [shown(score.name) for score in scores if not score.pictures]
    weakest = sorted((score for score in tested if score.recall < 1), key=lambda score: score.recall)[:WEAKEST]
    found = ", ".join(f"{shown(score.name)} ({100 * score.recall:.1f} %)" for score in weakest)
    perfect = f"a perfectly calibrated model would get about {100 * by_chance:.1f} % on these pictures"
    least = f"Lowest recall: {found}." if weakest else "Every class has a recall of 100 %."
    said = [least, f"Expected calibration error: {100 * calibration_error:.1f} %; {perfect}."]
    if absent:
        said.append(f"Not tested, because there were no test pictures: {', '.join(absent)}.")
    said += [f"{sentence(check)}: {'pass' if passed else 'FAIL'}." for check, passed in behaviour]
    if not behaviour:
        said.append("Predictions for changed, blank and noisy pictures were not tested.")
    return said


def doubt(copies: int | None, training: Mapping[str, Any], shown: Callable[[str], str] = str) -> str:
    """Why the test pictures prove less than they seem to, a sentence without its end; empty: they don't.

    Args:
        copies: test pictures that the model has learned from: a test split that the source gives may hold such, and so
            may that of a model that was started from another; None: nobody knows.
        training: what training.json says.
    """
    if copies is None:
        before = shown(training["started_from"]["name"])
        return f"it was started from {before}, which may have learned from test pictures"
    copied = f"{copies:,} of the test pictures are copies of pictures that it learned from, and prove nothing"
    return copied if copies else ""


def licence(dataset: str, title: str) -> str:
    """The licence of the pictures that it learned from.

    Args:
        title: what people call them: another name than the data set's own if they are the user's, in its format.
    """
    known = DATASETS.get(dataset) if title == dataset else None
    return (known.licence if known else "") or OWN_PICTURES
