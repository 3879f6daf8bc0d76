"""A sweep as a person runs it, with a trial that fails: the table, the best handed on, and the second time."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

SMALL = '[{"Conv2D":{"filters":4,"kernel_size":3,"activation":"relu"}},"Flatten"]'
GRID = "learning_rate=0.01,0.02,1e30"
TRAINED = (f"ARCHITECTURE={SMALL}", "OPTIMIZER=sgd", "EPOCHS=1", "BEHAVIOUR=off")
SETTINGS, NOT_EXPORTED = (*TRAINED, "MIN_ACCURACY=0"), (*TRAINED, "MIN_ACCURACY=1.0")


@pytest.fixture(scope="module")
def sweep(command_line):
    """Runs a sweep to its end."""

    def run(outputs, grid: str, *settings: str) -> subprocess.CompletedProcess:
        return command_line.run("sweep", "--runner", "process", "--outputs", outputs, "--grid", grid, *settings)

    return run


@pytest.fixture(scope="module")
def swept(sweep, tmp_path_factory):
    outputs = tmp_path_factory.mktemp("sweep") / "local_outputs"
    return outputs, sweep(outputs, GRID, *SETTINGS)


def test_the_best_is_handed_on_and_a_failure_is_data(swept, summary_of):
    outputs, process = swept
    assert process.returncode == 0, process.stdout + process.stderr
    summary = summary_of(outputs)
    assert summary["status"] == "succeeded"
    first, second, lost = summary["trials"]
    assert [trial["changes"] for trial in summary["trials"]] == [f"learning_rate={rate}" for rate in (0.01, 0.02, 1e30)]
    assert "expected a finite loss" in lost["failed"]
    assert not (first["failed"] or second["failed"])
    best = max((first, second), key=lambda trial: trial["val_accuracy"])
    assert summary["best"] == best["name"]
    record = json.loads((outputs / "latest/choose/model/training.json").read_text())
    assert (record["best_val_accuracy"], record["run"]) == (best["val_accuracy"], run_of(best))
    assert summary["metrics"]["accuracy"] > 0
    manifest = outputs / "latest/export/exported/manifest.json"
    assert json.loads(manifest.read_text())["accuracy"] == summary["metrics"]["accuracy"]


def run_of(trial: dict) -> str:
    return json.loads(pathlib.Path(trial["model"], "training.json").read_text())["run"]


def test_the_table_lists_the_trials_best_first(swept):
    said = swept[1].stdout
    lines = said[said.index("trial  changes") :].splitlines()[1:4]
    assert lines[2].split()[:3] == ["3", "learning_rate=1e+30", "failed"]
    assert "finite loss" in lines[2]
    assert lines[0].split()[2] >= lines[1].split()[2]
    assert "Test loss: " in said
    lost = said[said.index("train 3 of 3") :]
    assert [line.split(",")[0] for line in lost.splitlines() if line.endswith(" s")][:1] == ["  no model"]
    assert said.isascii()


def test_tensorboard_has_the_trials_side_by_side(swept):
    [board] = (swept[0] / "tensorboard").iterdir()
    assert board.name.startswith("quickstart-sweep-")
    folders = sorted(path.name for path in board.iterdir())
    assert folders == ["01 learning_rate=0.01", "02 learning_rate=0.02", "03 learning_rate=1e+30"]
    assert all((board / folder / "fit/result").is_dir() for folder in folders)
    assert len(list(board.glob("*/final/test"))) == 1


def test_only_what_is_missing_runs_again(swept, sweep, summary_of):
    outputs, _ = swept
    before = summary_of(outputs)
    assert sweep(outputs, GRID, *SETTINGS).returncode == 0
    again = summary_of(outputs)
    assert all(step["cached"] for step in again["steps"])
    assert again["metrics"] == before["metrics"]
    within = [pathlib.Path(trial["model"]).relative_to(outputs).parts[1:] for trial in before["trials"]]
    links = [outputs.joinpath("latest", *model) for model in within]
    assert all(link.samefile(trial["model"]) for link, trial in zip(links, before["trials"], strict=True))
    assert len(list((outputs / "tensorboard").iterdir())) == 1

    assert sweep(outputs, "learning_rate=0.02,0.03", *NOT_EXPORTED).returncode == 0
    other = summary_of(outputs)
    assert [trial["cached"] for trial in other["trials"]] == [True, False]
    assert len(list((outputs / "tensorboard").glob("*/*/fit/result"))) == 3 + 2


def test_all_failed_is_an_error_and_want_of_memory_is_not_kept(swept, sweep, summary_of):
    """The same sweep on a larger machine, or when others had left the memory, was told "no model, cached"."""
    outputs, _ = swept
    process = sweep(outputs, 'architecture=["Flatten",{"Dense":{"units":1000000000}}]', "EPOCHS=1")
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1
    assert "expected a trial that trains, received 1 that failed" in process.stderr
    summary = summary_of(outputs)
    assert summary["status"] == "failed"
    [trial] = summary["trials"]
    assert not any(trial["model"] in file.read_text() for file in (outputs / ".cache").rglob("*.json"))


def test_a_grid_that_cannot_be_is_refused_before_any_work(sweep, tmp_path):
    process = sweep(tmp_path / "outputs", "learning_rat=1,2")
    assert (process.returncode, process.stderr) == (
        1,
        "error: grid: unknown parameter 'learning_rat'; did you mean 'learning_rate'?\n",
    )
    assert not (tmp_path / "outputs").exists()


def test_an_interrupt_ends_the_sweep_and_the_next_goes_on(own_command_line, swept, sweep, summary_of):
    """Ctrl-C in the second of five trials: the other three don't run, and the first need not run again."""
    outputs, _ = swept
    command = [sys.executable, "-m", "pipeline", "sweep", "--runner", "process", "--outputs", str(outputs)]
    process = subprocess.Popen(
        [*command, "--grid", "seed=1,2,3,4,5", *SETTINGS],
        cwd=own_command_line.checkout,
        env=own_command_line.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    for line in process.stdout:
        if line.startswith("train 2 of 5"):
            break
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "train 3 of 5" not in said
    assert sweep(outputs, "seed=1", *NOT_EXPORTED).returncode == 0
    assert [trial["cached"] for trial in summary_of(outputs)["trials"]] == [True]
