"""Choosing: the best trial's model artifact, whole, and a table of all."""

import hashlib
import pathlib

import pytest

from components.choose.run import choose
from components.core.artifacts.checkpoints import Checkpoints, checkpoint_place
from components.core.artifacts.trial import Trial, read_trial, write_trial
from components.core.errors import PipelineError
from components.core.files import write_json


def model(directory: pathlib.Path, accuracy: float | None, failed: str = "") -> str:
    """A trial's model artifact."""
    directory.mkdir()
    write_trial(
        directory,
        Trial(changes=f"lr={accuracy}", failed=failed, val_accuracy=accuracy, best_epoch=1, epochs=2, seconds=3),
    )
    if not failed:
        (directory / "model.keras").write_text(f"model {accuracy}")
        place = checkpoint_place(f"{directory.parent}/checkpoints", run_of(accuracy))
        Checkpoints(place).save(directory, 2)
        training = {"run": run_of(accuracy), "settings": {"checkpoints": f"{directory.parent}/checkpoints"}}
        write_json(directory / "training.json", training)
    return str(directory)


def run_of(accuracy: float | None) -> str:
    return hashlib.sha256(str(accuracy).encode()).hexdigest()[:16]


def test_the_best_model_is_handed_on(tmp_path):
    models = [
        model(tmp_path / "a", 0.5),
        model(tmp_path / "b", None, failed="loss | nan"),
        model(tmp_path / "c", 0.9),
        model(tmp_path / "d", 0.7),
    ]
    model(tmp_path / "of another run", 0.2)
    figures = choose(models, str(tmp_path / "model"), str(tmp_path / "table"))
    assert [place.parent.name for place in tmp_path.glob("checkpoints/*/*")] == [run_of(0.2)]
    assert figures == {"best_val_accuracy": 0.9, "trial": 3, "trials": 4, "failed": 1}
    assert (tmp_path / "model/model.keras").read_text() == "model 0.9"
    assert read_trial(tmp_path / "model").changes == "lr=0.9"
    lines = (tmp_path / "table").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines] == ["| trial", "| ---", "| 3", "| 4", "| 1", "| 2"]
    assert "loss \\| nan" in lines[-1]


def test_the_best_goes_by_the_balanced_accuracy_if_the_gate_does(tmp_path):
    """Weights by class cost accuracy: the model without them was handed on to a gate that goes by the other figure."""
    models = [model(tmp_path / "plain", 0.95), model(tmp_path / "weighted", 0.9)]
    for directory, balanced in zip(models, (0.6, 0.8), strict=True):
        write_trial(directory, read_trial(directory).model_copy(update={"val_balanced_accuracy": balanced}))
    assert choose(models, str(tmp_path / "model"), str(tmp_path / "table"))["trial"] == 2
    assert "val_balanced_accuracy" in (tmp_path / "table").read_text()


def test_all_failed_is_an_error_and_the_table_says_why(tmp_path):
    models = [model(tmp_path / name, None, failed=f"{name} lost") for name in "ab"]
    with pytest.raises(PipelineError, match="2 that failed; the first: a lost"):
        choose(models, str(tmp_path / "model"), str(tmp_path / "table"))
    assert not (tmp_path / "model").exists()
    assert "b lost" in (tmp_path / "table").read_text()


def test_one_trial_is_no_trials(tmp_path, capsys):
    choose([model(tmp_path / "a", 0.5)], str(tmp_path / "model"), str(tmp_path / "table"))
    assert "best of 1 trial (0 failed): trial 1, lr=0.5" in capsys.readouterr().out


def test_the_table_is_printed_for_whoever_follows_the_run(tmp_path, capsys):
    choose([model(tmp_path / "a", 0.5), model(tmp_path / "b", 0.9)], str(tmp_path / "model"), str(tmp_path / "table"))
    assert capsys.readouterr().out.splitlines()[:2] == [
        "| trial | changes | val_accuracy | best epoch | time |  |",
        "| 2 | lr=0.9 | 0.9000 | 1 of 2 | 3.0 s |  |",
    ]
