"""Choose: picks the best trial's model artifact in a sweep. It never sees the test split."""

import pathlib
import shutil
from collections.abc import Sequence

from components.core.artifacts.checkpoints import remove_checkpoints
from components.core.artifacts.model import read_training
from components.core.artifacts.trial import TRIAL_ROW, best_trial, read_trial, trial_table
from components.core.files import whole_directory, whole_file
from components.core.wording import counted


def choose(models: Sequence[str], model_path: str, table_path: str) -> dict[str, int | float]:
    """Copies the best trial's model artifact, and writes all trials as a Markdown table for the KFP page.

    Returns:
        The figures for the KFP page.

    Raises:
        PipelineError: no trial came to a model.
    """
    trials = [read_trial(path) for path in models]
    columns, *rows = trial_table(trials)
    print(_markdown([columns, *rows]), end="", flush=True)
    with whole_file(table_path) as table:
        table.write_text(_markdown([columns, ("---",) * len(columns), *rows]), "utf-8")
    best = best_trial(trials)
    with whole_directory(model_path) as directory:
        for file in pathlib.Path(models[best]).iterdir():
            shutil.copyfile(file, directory / file.name)
    accuracy = trials[best].val_accuracy
    assert accuracy is not None, "the best one was measured"
    failed = sum(bool(trial.failed) for trial in trials)
    remove_checkpoints(*(read_training(path) for path, trial in zip(models, trials, strict=True) if not trial.failed))
    print(
        f"best of {counted(len(trials), 'trial')} ({failed} failed): trial {best + 1}, {trials[best].changes}",
        flush=True,
    )
    return {"best_val_accuracy": accuracy, "trial": best + 1, "trials": len(trials), "failed": failed}


def _markdown(rows: list[tuple[str, ...]]) -> str:
    return "".join(TRIAL_ROW + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)
