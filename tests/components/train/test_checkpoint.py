"""Interrupted at chosen steps, same result; a checkpoint that can't be gone on from is refused by name."""

import functools
import pathlib
import shutil
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from components.core.errors import PipelineError
from components.train import callbacks
from components.train import checkpoint as checkpoints
from components.train import run as fit
from components.train.callbacks import SaveCheckpoint, StopAtNaN
from components.train.checkpoint import FILE, Checkpoint
from components.train.errors import SettingsError
from components.train.settings import TrainSettings
from components.train.trial import run_trial
from tests.components.train.board_files import tensors
from tests.components.train.conftest import BACKEND, STATEFUL, same, weights_below

SETTINGS = {
    "architecture": STATEFUL,
    "epochs": 4,
    "batch_size": 200,
    "schedule": "linear",
    "warmup": 0.3,
    "learning_rate": 0.01,
    "optimizer": "muon",
    "augment_shift": 1,
    "augment_flip": True,
    "augmentation": '[{"RandomContrast": {"factor": 0.3}}]',
    "class_weight": "balanced",
    "gpus": "auto",
    "backend": BACKEND,
}
# A third of the work, for what depends on when a checkpoint is written and read, and not on all that is in it; a sixth
# with one layer.
PLAIN = {"optimizer": "adam", "augment_shift": 0, "augment_flip": False, "augmentation": "", "class_weight": ""}
ONE_LAYER = {"architecture": '["Flatten", {"Dropout": {"rate": 0.2}}]'}
# The third epoch is the best: its weights lie in the checkpoint of the fourth, beside those to go on from.
PATIENT = {
    "precision": "bfloat16",
    "early_stopping_patience": 2,
    "epochs": 5,
    "learning_rate": 3.0,
    "schedule": "constant",
    "warmup": 0.0,
}


class Interruption(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a checkpoint written after every epoch, where training would not wait for one so long."""
    write_soon(monkeypatch)


def write_soon(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(callbacks, "EVERY_S", 0)
    patch.setattr(SaveCheckpoint, "busy", property(SaveCheckpoint.close))


@pytest.fixture
def train(tmp_path: pathlib.Path, digits: str) -> Callable[..., list[np.ndarray]]:
    """Trains with a place for checkpoints and gives the weights of the model artifact."""
    return functools.partial(train_below, tmp_path, digits)


@pytest.fixture
def train_plain(tmp_path: pathlib.Path, unjudged_digits: str) -> Callable[..., list[np.ndarray]]:
    """The same by PLAIN with ONE_LAYER, without validation."""
    return functools.partial(train_below, tmp_path, unjudged_digits, **PLAIN | ONE_LAYER)


def train_below(folder: pathlib.Path, dataset: str, name: str, **settings: Any) -> list[np.ndarray]:
    place = folder / name
    checked = TrainSettings.checked(**SETTINGS | settings, checkpoints=str(place / "checkpoints"))
    fit.train(checked, dataset, str(place / "model"), str(place / "board"))
    return weights_below(place)


@pytest.fixture
def resumed(
    train_plain: Callable[..., list[np.ndarray]],
    plain: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> Callable[[], str]:
    """Has a training by `train_plain` interrupted, and goes on to the weights of `plain`; gives what that one says."""

    def resume() -> str:
        with pytest.raises(Interruption):
            train_plain("interrupted")
        monkeypatch.undo()
        capfd.readouterr()
        assert same(train_plain("interrupted"), plain)
        return capfd.readouterr().out

    return resume


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, unjudged_digits: str) -> list[np.ndarray]:
    """The weights of an undisturbed training by `train_plain`."""
    return train_below(tmp_path_factory.mktemp("undisturbed"), unjudged_digits, "whole", **PLAIN | ONE_LAYER)


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int, by: BaseException | None = None) -> None:
    """Lets training run that many steps more and then ends it; checkpoints are written until then."""
    write_soon(monkeypatch)
    left = [step]

    def count(self: StopAtNaN, batch: int, logs: dict | None = None) -> None:
        if not left[0]:
            raise by or Interruption
        left[0] -= 1

    monkeypatch.setattr(StopAtNaN, "on_train_batch_end", count)


@pytest.mark.parametrize(
    ("settings", "steps"), [({}, 7), (PLAIN | PATIENT, 22)], ids=["all parts", "bfloat16 and a patience"]
)
def test_interrupted_and_resumed_is_the_same_to_the_last_bit(
    train: Callable[..., list[np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    steps: int,
    tmp_path: pathlib.Path,
) -> None:
    expected = train("whole", **settings)
    interrupt_at(monkeypatch, steps)
    with pytest.raises(Interruption):
        train("interrupted", **settings)
    monkeypatch.undo()
    assert not (tmp_path / "interrupted" / "model").exists()
    assert same(train("interrupted", **settings), expected)
    assert not list((tmp_path / "interrupted" / "checkpoints").iterdir())
    whole, resumed = (tensors(tmp_path / name / "board" / "train") for name in ("whole", "interrupted"))
    assert all(resumed[curve] == whole[curve] for curve in ("loss", "by step/loss", "by step/learning_rate"))


def test_a_loss_of_nan_is_the_end_of_a_trial_and_of_its_checkpoint(
    monkeypatch: pytest.MonkeyPatch, digits: str, tmp_path: pathlib.Path
) -> None:
    """Its failure is its result, and nobody would go on from there; a plain training's next try may."""
    settings = TrainSettings.checked(**SETTINGS | PLAIN | ONE_LAYER, checkpoints=str(tmp_path / "checkpoints"))
    lost = SettingsError("expected a finite loss")
    outputs = digits, str(tmp_path / "model"), str(tmp_path / "board")
    interrupt_at(monkeypatch, 12, lost)
    with pytest.raises(SettingsError):
        fit.train(settings, *outputs)
    assert list((tmp_path / "checkpoints").rglob(FILE))
    monkeypatch.undo()
    interrupt_at(monkeypatch, 5, lost)
    assert run_trial(settings, "epochs=4", *outputs) is None
    assert not list((tmp_path / "checkpoints").iterdir())


def test_interrupted_in_each_phase_and_between_them_is_the_same_to_the_last_bit(
    train_plain: Callable[..., list[np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers are frozen for two epochs of 5 steps: the checkpoints are of the first phase, its end, and the second.

    Once it ends with the last step of an epoch, before the checkpoint is written: that epoch is run again. In float16
    each phase's optimizer has the scale of the loss as well.
    """
    layers = '["BatchNormalization", "Flatten", {"Dropout": {"rate": 0.2}}]'
    settings = {"architecture": layers, "freeze": "1", "freeze_epochs": 2, "precision": "float16"}
    expected = train_plain("whole", **settings)
    for steps in (7, 4, 7, 7):
        interrupt_at(monkeypatch, steps)
        with pytest.raises(Interruption):
            train_plain("interrupted", **settings)
        monkeypatch.undo()
    assert same(train_plain("interrupted", **settings), expected)


def test_a_checkpoint_that_cannot_be_written_costs_no_epoch_and_a_first_one_is_an_error(
    train_plain: Callable[..., list[np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
    every_epoch: None,
    plain: list[np.ndarray],
    capfd: pytest.CaptureFixture,
) -> None:
    written: list[int] = []
    on_epoch_end = SaveCheckpoint.on_epoch_end
    monkeypatch.setattr(SaveCheckpoint, "on_epoch_end", lambda self, *of: (on_epoch_end(self, *of), self.close()))

    def flush(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", flush)
    assert same(train_plain("later"), plain)
    assert "note: the last checkpoint could not be written: [Errno 28] No space left" in capfd.readouterr().out
    written[:] = [0]
    with pytest.raises(OSError, match="No space left"):
        train_plain("first")
    assert "epoch 2/4" not in capfd.readouterr().out  # which may take hours
    written[:] = [0]
    train_plain("at its end", epochs=1)
    assert "note: the last checkpoint could not be written: [Errno 28] No space left" in capfd.readouterr().out


def test_a_checkpoint_is_written_by_time_and_an_older_one_means_more_work(
    resumed: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(monkeypatch, 17)
    monkeypatch.setattr(callbacks, "EVERY_S", 3600)
    assert "after epoch 1" in resumed()


def test_a_checkpoint_is_of_the_epoch_after_which_it_was_begun(
    resumed: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is so slow that two more epochs have ended when it is written."""
    save, on_epoch_end, ended = Checkpoint.save, SaveCheckpoint.on_epoch_end, threading.Event()

    def slow(self: Checkpoint, *given: Any) -> None:
        assert ended.wait(60)
        save(self, *given)

    def end(self: SaveCheckpoint, epoch: int, logs: dict | None = None) -> None:
        on_epoch_end(self, epoch, logs)
        if epoch == 2:
            ended.set()
            raise Interruption

    monkeypatch.setattr(callbacks, "EVERY_S", 0)
    monkeypatch.setattr(Checkpoint, "save", slow)
    monkeypatch.setattr(SaveCheckpoint, "on_epoch_end", end)
    assert "after epoch 1" in resumed()


def test_a_checkpoint_that_another_run_removes_this_moment_is_none(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two sweeps of one trial, one begins it as the other ends it: `received one that can't be read`."""
    monkeypatch.setattr(pathlib.Path, "exists", lambda _: True)  # it was there a moment ago
    assert Checkpoint(tmp_path / "ended", {}).load() is None


def test_a_checkpoint_that_cannot_be_removed_costs_no_model(tmp_path: pathlib.Path) -> None:
    (tmp_path / FILE).mkdir()
    Checkpoint(tmp_path, {}).delete()
    assert (tmp_path / FILE).is_dir()


def test_an_interrupt_before_the_model_is_written_trains_nothing_again(
    resumed: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_soon(monkeypatch)

    def interrupt(*arguments: Any) -> None:
        raise Interruption

    monkeypatch.setattr(fit, "training_record", interrupt)
    assert "epoch 4/4" not in resumed()


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, unjudged_digits: str) -> pathlib.Path:
    """The folder of a run, `run`, that was interrupted in its second epoch."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, 7)
        with pytest.raises(Interruption):
            train_below(folder, unjudged_digits, "run", **PLAIN | ONE_LAYER)
    return folder


@pytest.fixture
def left_over(interrupted: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The checkpoint of that run, in a copy of it."""
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    return next((tmp_path / "run" / "checkpoints").glob(f"*/{FILE}"))


@pytest.mark.parametrize("damage", ["empty", "cut", "flip", "other file", "no header"])
def test_a_corrupt_checkpoint_is_refused_by_name(
    left_over: pathlib.Path, train_plain: Callable[..., list[np.ndarray]], damage: str
) -> None:
    data = bytearray(left_over.read_bytes())
    if damage == "empty":
        left_over.write_bytes(b"")
    elif damage == "cut":
        left_over.write_bytes(data[:-100])
    elif damage == "flip":
        data[len(data) // 2] ^= 1
        left_over.write_bytes(data)
    elif damage == "other file":
        left_over.write_text("no checkpoint")
    else:
        np.savez(left_over, weights=np.zeros(3))
    with pytest.raises(PipelineError, match=r"expected a whole checkpoint in .*checkpoint.npz.* delete it"):
        train_plain("run")
    assert left_over.exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch_size": 40}, "one with batch_size 200 where this run has 40"),
        ({"epochs": 5}, "one with epochs 4 where this run has 5"),
        ({"architecture": "article"}, "one with architecture"),
        ({"precision": "bfloat16"}, "one with precision 'float32' where this run has 'mixed_bfloat16'"),
    ],
    ids=str,
)
def test_a_foreign_checkpoint_is_refused_by_name(
    left_over: pathlib.Path,
    train_plain: Callable[..., list[np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    said: str,
) -> None:
    """Somebody has put it where this run's lies."""
    monkeypatch.setattr(fit, "checkpoint_place", lambda *_: str(left_over.parent))
    with pytest.raises(PipelineError, match="checkpoint.npz") as refused:
        train_plain("run", **settings)
    assert said in str(refused.value)
    assert left_over.exists()


@pytest.mark.parametrize("name", ["code", "numpy", "backend", "dataset_fingerprint"])
def test_our_code_the_versions_and_the_pictures_are_part_of_a_runs_identity(name: str, digits: str) -> None:
    from components.core.artifacts.dataset import read_info

    assert fit.training_identity(TrainSettings(backend=BACKEND), read_info(digits), "float32")[name]


def test_another_state_of_the_code_is_another_run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.core import revision

    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "architecture.py").write_text("relu")
    monkeypatch.setattr(revision, "COMPONENTS", tmp_path)
    before = revision.code_revision("train")
    (tmp_path / "train" / "architecture.py").write_text("tanh")
    assert revision.code_revision("train") != before
