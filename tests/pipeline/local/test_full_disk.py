"""A disk that is full when a run ends: what came of it is told all the same."""

import errno
import pathlib
import types

import pytest

from components.core.artifacts.trial import Trial, write_trial
from components.core.errors import PipelineError
from pipeline.local import run as running
from pipeline.local import start, summary
from pipeline.local.run import LocalRun
from pipeline.local.sweep import SweepRun
from pipeline.parameters.parameters import configure
from pipeline.parameters.sweep import Sweep


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "/full")


@pytest.fixture
def sweep(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> SweepRun:
    """A sweep of two trials, with its data report, on a disk that has become full."""
    run = SweepRun(tmp_path, None, configure("quickstart", environment={}), Sweep(("seed=1", "seed=2"), ("seed",)))
    run.directory = tmp_path / "sweep-1"
    for number in (1, 2):
        model = run.directory / f"model-{number}"
        model.mkdir(parents=True)
        trial = Trial(changes=f"seed={number}", val_accuracy=number / 10, best_epoch=1, epochs=1, seconds=2)
        write_trial(model, trial)
        step = run.steps[f"train {number}"]
        step.status, step.outputs = "succeeded", {"model": types.SimpleNamespace(path=str(model))}
    report = run.directory / "data_report"
    report.write_text("<html></html>")
    run.steps["preprocess"].outputs = {"data_report": types.SimpleNamespace(path=str(report))}
    monkeypatch.setattr(summary, "write_json", full)
    monkeypatch.setattr(running, "whole_file", full)
    return run


def ended(run: LocalRun, failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "one_pass", lambda *_: (run, "process", failure))
    start.run_local(start.LocalJob(configure("quickstart", environment={}), "process", run.outputs))


def test_the_trials_are_told_and_what_failed(sweep, monkeypatch, capsys):
    with pytest.raises(PipelineError, match=r"^choose failed: the disk is full$"):
        ended(sweep, "choose failed: the disk is full", monkeypatch)
    said = capsys.readouterr().out
    assert "2      seed=2   0.2000        1 of 1      2.0 s" in said
    assert "data_report" in said and "data_report.html" not in said


def test_a_success_that_is_not_written_down_is_none(sweep, monkeypatch, capsys):
    with pytest.raises(OSError, match="No space left on device"):
        ended(sweep, "", monkeypatch)
    assert "seed=2" in capsys.readouterr().out
