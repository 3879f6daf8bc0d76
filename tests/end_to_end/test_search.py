"""A search by Optuna as a person runs it: trials that follow from each other, some that end early, the second time."""

import json
import math
import pathlib
import subprocess
import sys

import pytest

from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.local.start import LocalJob
from pipeline.parameters.parameters import configure

SMALL = '[{"Conv2D":{"filters":4,"kernel_size":3,"activation":"relu"}},"Flatten"]'
SETTINGS = (f"ARCHITECTURE={SMALL}", "OPTIMIZER=sgd", "EPOCHS=3", "MIN_ACCURACY=1.0", "BEHAVIOUR=off")
# As the command, but for one thing: the first two trials are enough to judge the others by. It tells what each pass is
# given to start its steps from.
COMMAND = """
from pipeline.local import search
from pipeline.commands.main import run

def told(job, warm, one_pass=search.one_pass):
    print("started from", id(warm))
    return one_pass(job, warm)

search.FIRST, search.one_pass = 2, told
run()
"""

optuna = pytest.importorskip("optuna", reason="no Optuna here: make optuna")


@pytest.fixture(scope="module")
def searched(tmp_path_factory, command_line):
    """Two searches, one after the other: what they said, and their folder; and what does another."""
    outputs = tmp_path_factory.mktemp("search") / "local_outputs"
    command = [sys.executable, "-c", COMMAND, "sweep", "--runner", "process", "--outputs", str(outputs)]
    command += ["--sampler", "optuna"]

    def run(trials: int = 4, grid: str = "learning_rate=0.0001..1 batch_size=250,500") -> str:
        called = [*command, "--trials", str(trials), "--grid", grid, *SETTINGS]
        ended = subprocess.run(called, capture_output=True, text=True, cwd=ROOT, env=command_line.environment())
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return outputs, run(), run(), run


def test_it_ends_as_any_sweep_does(searched):
    outputs, said, _, _ = searched
    summary = json.loads((outputs / "latest" / "summary.json").read_text())
    assert summary["status"] == "succeeded" and len(summary["trials"]) == 4
    best = max(summary["trials"], key=lambda trial: trial["val_accuracy"] or 0)
    assert summary["best"] == best["name"]
    record = json.loads(pathlib.Path(summary["artifacts"]["model"]).with_name("training.json").read_text())
    assert record["best_val_accuracy"] == best["val_accuracy"]
    assert "trial  changes" in said and "not exported; the model does not pass the gate" in said


def test_trials_are_judged_by_those_before_them(searched):
    """After a third of their epochs, here the first; those that are below the median train no further."""
    outputs, said, _, _ = searched
    trials = json.loads((outputs / "latest" / "summary.json").read_text())["trials"]
    assert [trial["changes"] for trial in trials] == [
        line.partition(": ")[2] for line in said.splitlines() if line.startswith("trial ") and " of 4: " in line
    ]
    assert [("end_below" in trial["changes"]) for trial in trials] == [False, False, True, True]
    for trial in trials[2:]:
        least = float(trial["changes"].partition("end_below=1:")[2].split()[0])
        record = json.loads(pathlib.Path(trial["model"], "training.json").read_text())
        first = record["history"][0]["val_accuracy"]
        assert trial["epochs"] == (1 if first < least else 3)


def test_the_same_search_again_trains_nothing(searched):
    _, first, again, _ = searched
    assert "images/s" in first and "images/s" not in again
    table = first[first.index("trial  changes") :].splitlines()[:5]
    assert again[again.index("trial  changes") :].splitlines()[:5] == table


def test_tensorflow_is_imported_once_for_all_trials(searched):
    """Each trial had a process of its own to fork its steps from, which imported TensorFlow: 3 s of a core a trial."""
    said = [line for line in searched[1].splitlines() if line.startswith("started from")]
    assert len(said) == 4 and len(set(said)) == 1


def test_tensorboard_shows_each_trial_once(searched):
    """Each had a folder of its own too, with nothing beside it to compare it with."""
    [board] = (searched[0] / "tensorboard").iterdir()
    assert sorted(path.name[:3] for path in board.iterdir()) == ["01 ", "02 ", "03 ", "04 "]
    assert len(list(board.glob("*/fit/result"))) == 4 and len(list(board.glob("*/final/test"))) == 1


def test_no_settings_train_twice(searched):
    """What end_below is by then made other trials of them."""
    outputs, _, _, run = searched
    said = run(9, "learning_rate=0.01,0.02")
    trained = [line.split()[4] for line in said.splitlines() if line.startswith("trial ") and " of 9: " in line]
    assert sorted(trained) == ["learning_rate=0.01", "learning_rate=0.02"]
    assert len(json.loads((outputs / "latest" / "summary.json").read_text())["trials"]) == 2


def job(outputs: pathlib.Path, *settings: str) -> LocalJob:
    return LocalJob(configure("quickstart", settings, environment={}), "process", outputs)


def test_what_fails_is_not_asked_for_again_and_again(monkeypatch, tmp_path):
    """Three of these seven powers of ten lose the loss: told to have failed, 16 of 20 trials were there."""
    from pipeline.local import search

    rates: list[float] = []

    def trained(job, warm):
        rates.append(float(job.sweep.trials[0].partition("learning_rate=")[2].split()[0]))
        return (0.0, []) if rates[-1] > 1 else (1 - abs(math.log10(rates[-1] / 0.003)) / 5, [])

    monkeypatch.setattr(search, "_trained", trained)
    monkeypatch.setattr(search, "run_local", lambda job, warm: job.sweep)
    sweep = search.search(job(tmp_path), "learning_rate=0.0001..1000", 20)
    assert len(set(rates)) == len(sweep.trials) == 20
    assert sum(rate > 1 for rate in rates) <= 6


def test_pictures_that_come_meanwhile_train_nothing_anew(monkeypatch, tmp_path):
    """The last pass took another look, and trained all trials again that the search had chosen on other pictures."""
    from pipeline.local import search
    from pipeline.local.places import with_places

    pictures = tmp_path / "pictures"
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        (pictures / name).write_text(name)
    seen: list[str] = []

    def one_pass(job, warm):
        seen.append(with_places(job.configuration.parameters, tmp_path).source_version)
        (pictures / "cat" / f"{len(seen)}-more.png").write_text("more")
        return 0.5, []

    monkeypatch.setattr(search, "_trained", one_pass)
    monkeypatch.setattr(search, "run_local", one_pass)
    search.search(job(tmp_path / "outputs", f"source={pictures}"), "seed=1,2", 2)
    assert len(seen) == 3 and len(set(seen)) == 1 and seen[0]


@pytest.mark.parametrize(
    ("name", "values", "kind", "spelled"),
    [
        ("learning_rate", "1..10", "Float", {1.23456: "1.23"}),
        ("warmup", "0.0012345..0.9999", "Float", {0.99987: "0.9999", 0.0012346: "0.0012345"}),
        ("batch_size", "50..250", "Int", {77: "77"}),
        ("optimizer", '{"SGD":{"name":"a..b"}},adam', "Categorical", {"adam": "adam"}),
    ],
)
def test_a_range_is_of_what_the_parameter_is(name, values, kind, spelled):
    from pipeline.local import search

    axis = search._axis(optuna, name, values)
    assert type(axis).__name__ == f"{kind}Distribution"
    assert {value: search._spelled(value, axis) for value in spelled} == spelled


@pytest.mark.parametrize(
    ("grid", "trials", "said"),
    [
        ("", 0, "expected a grid such as GRID="),
        ("learning_rate=0.1..0.001", 0, "learning_rate: expected a range of numbers, LOW..HIGH"),
        ("learning_rate=-1..1", 0, "learning_rate: "),
        ("schedule=linear..cosine", 0, "schedule: .*received 'linear..cosine'"),
        ("learning_rat=0.1..1", 0, "unknown parameter 'learning_rat'; did you mean 'learning_rate'"),
        ("batch_size=50,0", 0, "batch_size: "),
        ("epochs=2..5 freeze=1 freeze_epochs=1..5", 0, "freeze_epochs: expected at most the 2 epochs there are"),
        ("batch_size=50,100", 101, "trials: expected at most 100, received 101"),
    ],
)
def test_what_can_not_be_searched_is_refused_before_anything_runs(tmp_path, grid, trials, said):
    from pipeline.local.search import search

    with pytest.raises(PipelineError, match=said):
        search(job(tmp_path / "outputs"), grid, trials)
    assert not (tmp_path / "outputs").exists()
