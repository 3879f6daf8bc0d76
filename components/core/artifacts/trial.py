"""A trial of a sweep: what it changes, and what became of it.

A trial is named by what it changes about the settings, as a person types it: `learning_rate=0.003 batch_size=50`. Its
model artifact holds trial.json beside model.keras and training.json; that of a failed trial holds nothing else.
"""

import pathlib
import re

import pydantic

from components.core.errors import PipelineError
from components.core.files import read_json, write_json

TRIAL_FILE = "trial.json"
BLANKS = " \t\n"
OPENING, CLOSING = "[{(", ")}]"
# How each row begins that choose prints. Who runs it here or follows it there is shown them in columns, at the end.
TRIAL_ROW = "| "
LONGEST_REASON = 100


class Trial(pydantic.BaseModel):
    """What trial.json says."""

    changes: str
    failed: str = pydantic.Field("", description="why it came to no model, as one line; empty if it did")
    lacked_memory: bool = pydantic.Field(False, description="whether it failed for want of memory")
    val_accuracy: float | None = pydantic.Field(None, description="Validation accuracy after the best epoch")
    val_balanced_accuracy: float | None = pydantic.Field(
        None, description="and the balanced one, if gate_metric asks for it"
    )
    best_epoch: int | None = None
    epochs: int | None = None
    seconds: float | None = None

    @property
    def score(self) -> float:
        """What trials are compared by, as gate_metric says; -1 if this one came to no model."""
        found = (self.val_balanced_accuracy, self.val_accuracy)
        return next((score for score in found if score is not None), -1.0)


def write_trial(directory: str | pathlib.Path, trial: Trial) -> None:
    """Writes trial.json into a model artifact."""
    write_json(pathlib.Path(directory) / TRIAL_FILE, trial.model_dump())


def read_trial(directory: str | pathlib.Path) -> Trial:
    """Reads trial.json from a model artifact.

    Raises:
        PipelineError: there is none, or it is not one.
    """
    return read_json(Trial, pathlib.Path(directory) / TRIAL_FILE, "a trial's model artifact")


def parse_changes(text: str) -> dict[str, str]:
    """`a=1 b=2` as values by name. Quotes around a value are no part of it: `a="" b="x y"`.

    Raises:
        PipelineError: as parse_axes.
    """
    return {name: unquoted(value) for name, value in parse_axes(text).items()}


def parse_axes(text: str) -> dict[str, str]:
    """`a=1,2 b="",x` by name, as it was typed: what a grid tries. A blank beside a comma is none.

    Raises:
        PipelineError: a part without `=`, or a name twice.
    """
    changes: dict[str, str] = {}
    parts: list[str] = []
    for part in split(text, BLANKS):
        if parts and "=" not in part and "," in (parts[-1][-1], part[0]):
            parts[-1] += part
        else:
            parts.append(part)
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or not name or not value:
            raise PipelineError(f"expected NAME=VALUE, received {part!r}")
        if name.lower() in changes:
            raise PipelineError(f"expected each name once, received {name!r} again")
        changes[name.lower()] = value
    return changes


def as_change(name: str, value: str) -> str:
    """A value as parse_changes reads it, in quotes if it needs them."""
    plain = f"{name}={value}"
    return plain if value and split(plain, BLANKS) == [plain] else f'{name}="{value}"'


def unquoted(value: str) -> str:
    """A value without double quotes around the whole of it."""
    return value[1:-1] if re.fullmatch('"[^"]*"', value) else value


def split(text: str, separators: str) -> list[str]:
    """The parts of a text between separators, but for those inside brackets or double quotes: lists of layers hold
    both. Empty parts are left out."""
    parts, depth, quoted = [""], 0, False
    for character in text:
        quoted ^= character == '"'
        if not quoted:
            depth += (character in OPENING) - (character in CLOSING)
        if character in separators and depth <= 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part]


def best_trial(trials: list[Trial]) -> int:
    """The place of the trial with the highest score, of equals the first.

    Raises:
        PipelineError: none came to a model.
    """
    if all(trial.failed for trial in trials):
        raise PipelineError(
            f"expected a trial that trains, received {len(trials)} that failed; the first: {trials[0].failed}"
            if trials
            else "expected trials, received none"
        )
    return _best_first(trials)[0]


def trial_table(trials: list[Trial]) -> list[tuple[str, ...]]:
    """A table's rows: its columns' names, then the trials, the best first and those that failed last."""
    rows = [(str(number), trial.changes, *_result(trial)) for number, trial in enumerate(trials, start=1)]
    balanced = any(trial.val_balanced_accuracy is not None for trial in trials)
    columns = ("trial", "changes", "val_balanced_accuracy" if balanced else "val_accuracy", "best epoch", "time", "")
    return [columns, *(rows[place] for place in _best_first(trials))]


def _best_first(trials: list[Trial]) -> list[int]:
    return sorted(range(len(trials)), key=lambda place: -trials[place].score)


def _result(trial: Trial) -> tuple[str, str, str, str]:
    if trial.failed:
        cut = len(trial.failed) > LONGEST_REASON
        return "failed", "", "", f"{trial.failed[: LONGEST_REASON - 3]}..." if cut else trial.failed
    return f"{trial.score:.4f}", f"{trial.best_epoch} of {trial.epochs}", f"{trial.seconds:.1f} s", ""
