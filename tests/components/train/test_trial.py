"""A trial of a sweep: its own failure is a result, a failure of what is around it is not."""

import pathlib
from collections.abc import Callable

import pytest

from components.core.artifacts.trial import Trial, read_trial
from components.core.errors import PipelineError
from components.train import trial
from components.train.run import TrainingResult
from components.train.settings import TrainSettings
from components.train.trial import changed, run_trial
from tests.components.train.board_files import accumulated, hyperparameters

SMALL = '[{"Conv2D": {"filters": 4, "kernel_size": 3}}, "Flatten"]'
SETTINGS = TrainSettings(architecture=SMALL, epochs=1, gpus="auto", optimizer="sgd", learning_rate=0.01)


@pytest.fixture
def tried(tmp_path: pathlib.Path, digits: str) -> Callable[[str], TrainingResult | None]:
    """Runs a trial into tmp_path/model and tmp_path/board."""
    return lambda changes: run_trial(SETTINGS, changes, digits, str(tmp_path / "model"), str(tmp_path / "board"))


def test_a_trial_trains_with_what_it_changes(tried: Callable, tmp_path: pathlib.Path) -> None:
    result = tried("epochs=2 learning_rate=0.02")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"model.keras", "training.json", "trial.json"}
    assert read_trial(tmp_path / "model") == Trial(
        changes="epochs=2 learning_rate=0.02",
        val_accuracy=result.best_val_accuracy,
        best_epoch=result.best_epoch,
        epochs=2,
        seconds=result.seconds,
    )
    assert set(hyperparameters(tmp_path / "board/result").hparams) == {"epochs", "learning_rate"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("learning_rate=1e30", "expected a finite loss"),
        ('architecture=[{"Conv2D":{"filters":4,"kernel_size":9}},"Flatten"]', "layer 1 (Conv2D)"),
        ('architecture=["Flatten",{"Dense":{"units":4,"kernel_initializer":"Zebra"}}]', "layer 2 (Dense)"),
    ],
)
def test_a_trial_that_fails_says_why_and_succeeds(
    tried: Callable, tmp_path: pathlib.Path, changes: str, said: str
) -> None:
    assert tried(changes) is None
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"trial.json"}
    failed = read_trial(tmp_path / "model")
    assert failed.changes == changes
    assert said in failed.failed
    assert "\n" not in failed.failed
    assert "_hparams_/session_end_info" in accumulated(tmp_path / "board/result").Tags()["tensors"]


def test_a_defect_within_a_trial_is_its_result_too(
    tried: Callable, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a \u2260 b\nmore")

    monkeypatch.setattr(trial, "train", fails)
    assert tried("seed=1") is None
    assert read_trial(tmp_path / "model").failed == "a \u2260 b more"
    out, err = capfd.readouterr()
    assert out.isascii()
    assert "Traceback" in err


@pytest.mark.parametrize(
    ("settings", "path", "said"),
    [
        ({"gpus": "7"}, None, "expected 7 GPUs"),
        ({}, "/no/such/dataset", "expected a dataset artifact"),
        ({"checkpoints": "s3:///"}, None, "bucket"),
    ],
)
def test_what_is_wrong_around_a_trial_is_no_result(
    tmp_path: pathlib.Path, digits: str, settings: dict[str, str], path: str | None, said: str
) -> None:
    with pytest.raises(PipelineError, match=said):
        run_trial(
            TrainSettings.checked(**{**SETTINGS.model_dump(), **settings}),
            "seed=1",
            path or digits,
            str(tmp_path / "model"),
            str(tmp_path / "board"),
        )
    assert not (tmp_path / "model").exists()


def test_a_full_disk_is_no_result(tried: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trial, "train", full)
    with pytest.raises(OSError, match="No space"):
        tried("seed=1")


def test_changes_are_checked() -> None:
    assert changed(SETTINGS, "augment_flip=true epochs=3").augment_flip is True
    with pytest.raises(PipelineError, match="unknown parameter 'epoch'"):
        changed(SETTINGS, "epoch=3")
