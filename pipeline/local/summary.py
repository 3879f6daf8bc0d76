"""The end of a run on this machine: summary.json, the link `latest`, and the closing block."""

import datetime
import os
import pathlib
from typing import Any

from components.core.artifacts.evaluation import read_decision
from components.core.artifacts.trial import Trial, trial_table
from components.core.files import write_json
from pipeline.closing_block import closing_block
from pipeline.console import table
from pipeline.local.links import lead
from pipeline.local.run import LocalRun
from pipeline.local.runner import RunnerName
from pipeline.models.find import SUMMARY
from pipeline.parameters.parameters import Configuration


def summarize(run: LocalRun, configuration: Configuration, runner: RunnerName, failure: str) -> dict[str, Any]:
    """What summary.json says; `failure` is why the run failed, and empty if it did not."""
    run.board.tidy()
    evaluated = run.steps["evaluate"].outputs.get("metrics")
    summary = {
        "status": "failed" if failure else "succeeded",
        "ended": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        "profile": configuration.profile,
        "runner": runner,
        "steps": [
            {"name": step.name, "status": step.status, "cached": step.cached, "seconds": step.seconds}
            for step in run.steps.values()
        ],
        "metrics": {name: evaluated.metadata[name] for name in ("loss", "accuracy")} if evaluated else {},
        "artifacts": run.artifacts(),
        **run.facts(),
    }
    if evaluated:
        decision = read_decision(run.steps["evaluate"].outputs["evaluation"].path)
        if decision.balanced_accuracy is not None:
            summary["metrics"]["balanced_accuracy"] = decision.balanced_accuracy
        outcome = run.steps["export"].outputs.get("Output", "not exported")
        summary |= {"outcome": f"{outcome}; the model {decision.said}", "gate": decision.model_dump(mode="json")}
    if failure:
        summary["error"] = failure
    return summary


def write_summary(summary: dict[str, Any], directory: pathlib.Path) -> None:
    """Writes summary.json and points `latest` to the run's directory.

    Raises:
        OSError: it can't be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / SUMMARY, summary)
    _point_latest(directory)


def print_summary(summary: dict[str, Any], directory: pathlib.Path) -> None:
    """Prints the closing block, its paths as a person would type them here."""
    places = {**summary["artifacts"], "summary": directory / SUMMARY}
    shown = {**summary, "artifacts": {name: _shown(place) for name, place in places.items()}}
    if summary.get("trials"):
        trials = [Trial.model_validate(trial) for trial in summary["trials"]]
        columns, *rows = trial_table(trials)
        shown["trial_table"] = table(rows, columns)
    print(closing_block(shown))


def _point_latest(directory: pathlib.Path) -> None:
    latest = directory.with_name("latest")
    if refused := lead(latest, directory):
        print(
            f"note: {_shown(latest)} can't be made a link to {directory.name} ({refused}); make tensorboard needs "
            f"links too: use tensorboard --logdir {_shown(directory)}"
        )


def _shown(path: str | os.PathLike) -> str:
    """Relative if it lies below the current directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
