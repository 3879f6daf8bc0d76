"""The training step as a whole, on real handwritten digits."""

import json
import math
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.metrics import balanced_accuracy_score

from components.core.artifacts.dataset import read_info
from components.core.errors import PipelineError
from components.core.progress import LIVE_PREFIX
from components.train.callbacks import BestWeights, StopAtNaN
from components.train.device import Device
from components.train.errors import SettingsError
from components.train.nodes.follow import EPOCH
from components.train.optimizer import LearningRate
from components.train.run import TrainingResult, train
from components.train.settings import TrainSettings
from tests.components.train.board_files import tensors
from tests.components.train.conftest import BACKEND
from tests.datasets import load_split

SMALL = '[{"Conv2D": {"filters": 8, "kernel_size": 3, "activation": "relu"}}, "Flatten"]'


@pytest.fixture
def run(tmp_path: pathlib.Path, digits: str) -> Callable[..., TrainingResult]:
    """Trains a small model on the digits, 5 steps an epoch, into tmp_path/model and tmp_path/board."""
    small = {"architecture": SMALL, "epochs": 2, "batch_size": 200, "gpus": "auto", "backend": BACKEND}

    def run(path: str = digits, model: str = "model", **settings: Any) -> TrainingResult:
        checked = TrainSettings.checked(**small | settings)
        return train(checked, path, str(tmp_path / model), str(tmp_path / "board"))

    return run


def test_patience_without_validation_pictures_is_refused_and_trains_nothing(
    run: Callable[..., TrainingResult], dataset: Callable, tmp_path: pathlib.Path
) -> None:
    """A kept best epoch would be the last one, and nobody would be told."""
    path = dataset({"train": (np.zeros((20, 8, 8, 1), np.uint8), np.arange(20) % 10)}, class_count=10)
    with pytest.raises(SettingsError, match="^early_stopping_patience: expected validation pictures .* set it to 0"):
        run(path, early_stopping_patience=2)
    assert not (tmp_path / "model").exists()


def test_a_model_artifact_holds_what_was_learnt(
    run: Callable[..., TrainingResult], tmp_path: pathlib.Path, digits: str
) -> None:
    result = run(batch_size=50, learning_rate=0.01)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"model.keras", "training.json", "learned.npy"}

    model = keras.models.load_model(tmp_path / "model" / "model.keras")
    images, labels = load_split(digits, read_info(digits), "validation")
    answers = model.predict(images, verbose=0)
    assert model.input.dtype == "uint8"
    assert np.mean(answers.argmax(axis=1) == labels) == pytest.approx(result.best_val_accuracy, abs=1e-6)
    assert result.best_val_accuracy > 0.85
    assert result.parameters == model.count_params()

    record = json.loads((tmp_path / "model" / "training.json").read_text())
    history = record["history"]
    assert [entry["epoch"] for entry in history] == [1, 2]
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "images_per_second", "seconds"):
        assert all(entry[name] > 0 for entry in history), name
    assert all(entry["images_per_second"] * entry["seconds"] > 900 for entry in history)  # of 1,000 and the validation
    best = max(history, key=lambda entry: entry["val_accuracy"])
    assert (record["best_epoch"], record["best_val_accuracy"]) == (best["epoch"], best["val_accuracy"])
    given = {"architecture": SMALL, "epochs": 2, "batch_size": 50, "learning_rate": 0.01, "gpus": "auto"}
    assert record["settings"] == TrainSettings(**given).model_dump()
    assert record["dataset_fingerprint"] == "1" * 64
    assert set(record["versions"]) == {"python", "keras", "tensorflow", "numpy"}
    assert record["precision"] == "float32"
    assert record["device"]


def test_the_kept_epoch_is_the_best_by_what_the_gate_goes_by(
    run: Callable[..., TrainingResult], dataset: Callable, tmp_path: pathlib.Path
) -> None:
    """Of three classes one is common: kept was an epoch that knew no other, at 0.31 in place of 0.60."""
    draw = np.random.default_rng(0)
    labels = draw.choice(3, 200, p=[0.9, 0.05, 0.05])
    pictures = (draw.integers(0, 100, (200, 8, 8, 1)) + labels[:, None, None, None] * 40).astype(np.uint8)
    path = dataset({"train": (pictures, labels), "validation": (pictures, labels)}, class_count=3)
    weighted = {"class_weight": "balanced", "gate_metric": "balanced_accuracy"}
    result = run(path, architecture='["Flatten"]', epochs=9, batch_size=20, learning_rate=0.02, **weighted)
    history = json.loads((tmp_path / "model" / "training.json").read_text())["history"]
    by_epoch = [entry["val_balanced_accuracy"] for entry in history]
    assert by_epoch[result.best_epoch - 1] == result.val_balanced_accuracy == max(by_epoch)
    assert max(history, key=lambda entry: entry["val_accuracy"])["val_balanced_accuracy"] < max(by_epoch)
    answers = keras.models.load_model(tmp_path / "model" / "model.keras").predict(pictures, verbose=0).argmax(axis=1)
    assert balanced_accuracy_score(labels, answers) == pytest.approx(result.val_balanced_accuracy)


def test_no_step_waits_until_its_loss_is_a_number(
    run: Callable[..., TrainingResult], unjudged_digits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(StopAtNaN, "on_train_batch_end", lambda self, batch, logs: seen.append(logs["loss"]))
    run(unjudged_digits, architecture='["Flatten"]', epochs=1, verbose="0")
    assert seen
    assert not [loss for loss in seen if isinstance(loss, float)]


def test_the_training_step_is_traced_once(
    run: Callable[..., TrainingResult], dataset: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow traces it again if variables are made in it: a third of what a small training costs."""
    traced: list[Any] = []
    step = keras.Model.train_step
    monkeypatch.setattr(keras.Model, "train_step", lambda *arguments: traced.append(arguments) or step(*arguments))
    run(dataset({"train": (np.zeros((100, 8, 8, 1), np.uint8), np.arange(100) % 10)}, class_count=10), verbose="0")
    assert len(traced) == 1


def test_same_seed_same_weights(
    run: Callable[..., TrainingResult], unjudged_digits: str, tmp_path: pathlib.Path
) -> None:
    """Also with dropout, and where the earlier run was killed and left event files and half a model."""

    def weights(seed: int) -> list[np.ndarray]:
        layers = '[{"Dropout": {"rate": 0.3}}, "Flatten"]'
        run(unjudged_digits, architecture=layers, seed=seed)
        return keras.models.load_model(tmp_path / "model" / "model.keras").get_weights()

    first = weights(seed=3)
    shutil.move(tmp_path / "model", tmp_path / ".model.partial")
    again, other = weights(seed=3), weights(seed=4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert not (tmp_path / ".model.partial").exists()


def test_the_log_has_a_line_an_epoch(run: Callable[..., TrainingResult], capfd: pytest.CaptureFixture) -> None:
    run(architecture='["Flatten"]', verbose="auto")
    out, _ = capfd.readouterr()
    lines = [line for line in out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss ")
    for word in ("  accuracy ", "  val_loss ", "  val_accuracy ", " images/s  "):
        assert word in lines[0]
    assert out.isascii()


def test_a_bar_is_drawn_where_someone_looks(
    run: Callable[..., TrainingResult],
    unjudged_digits: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    monkeypatch.setenv("CONV2D_LIVE_PROGRESS", "1")
    monkeypatch.setattr("components.core.progress.REDRAW_INTERVAL_S", 0.0)
    run(unjudged_digits, architecture='["Flatten"]', epochs=1, batch_size=50)
    drawn = [line for line in capfd.readouterr().out.split("\n") if line.startswith(f"{LIVE_PREFIX}epoch 1/1")]
    assert len(drawn) == 20
    assert "100%  1,000 of 1,000 images" in drawn[-1]
    assert "loss " in drawn[-1]


def test_a_log_has_a_line_now_and_then_within_a_long_epoch(
    run: Callable[..., TrainingResult],
    unjudged_digits: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    """It said nothing for as long as the epoch took; and such a line is no finished epoch for who follows nodes."""
    monkeypatch.setattr("components.train.callbacks.LOG_EVERY_S", 1e-9)
    run(unjudged_digits, architecture='["Flatten"]', epochs=1, batch_size=500)
    *within, ended = [line for line in capfd.readouterr().out.splitlines() if line.startswith("epoch 1/1")]
    assert len(within) == 2 and within[0].startswith("epoch 1/1: 50%, 500 of 1,000 images, ")
    assert "loss nan" not in within[0] and ended.startswith("epoch 1/1  loss ")
    assert [bool(EPOCH.match(line)) for line in (*within, ended)] == [False, False, True]


def test_early_stopping_ends_where_nothing_gets_better(run: Callable[..., TrainingResult], capsys: Any) -> None:
    result = run(architecture='["Flatten"]', early_stopping_patience=2, epochs=30, learning_rate=1e-12, verbose="0")
    assert result.epochs < 30
    assert result.epochs == result.best_epoch + 2
    assert capsys.readouterr().out == ""


def test_the_validation_loss_is_that_of_the_test(
    run: Callable[..., TrainingResult], tmp_path: pathlib.Path, digits: str
) -> None:
    """It held label smoothing and penalties, and lay in one chart with a test loss that held neither. It was of single
    pictures where the model answers with the mean over mirrored ones, too: of digits 0.87 were right, in the test 0.74.
    One step of hardly any length, so that the training loss is that of the model that it ends with."""
    weights = {f"class {index}": 1.0 + index for index in range(10)}
    penalty = (
        '["Flatten", {"Dense": {"units": 10, "bias_initializer": "ones", "bias_regularizer": {"L2": {"l2": 1.0}}}}]'
    )
    still = {"architecture": penalty, "batch_size": 1000, "epochs": 1, "optimizer": "sgd", "learning_rate": 1e-9}
    for mirrored in (True, False):
        result = run(class_weight=json.dumps(weights), label_smoothing=0.2, average_mirrored=mirrored, **still)
        model = keras.models.load_model(tmp_path / "model" / "model.keras")
        images, labels = load_split(digits, read_info(digits), "validation")
        answers = model.predict(images, verbose=0)
        assert result.val_loss == pytest.approx(-np.log(answers[np.arange(len(labels)), labels]).mean(), rel=1e-4)
        assert result.val_accuracy == pytest.approx((answers.argmax(axis=1) == labels).mean(), abs=1e-6)
    images, labels = load_split(digits, read_info(digits), "train")
    losses = -np.log(model.predict(images, verbose=0))
    smoothed = 0.8 * losses[np.arange(len(labels)), labels] + 0.2 * losses.mean(axis=1)
    assert result.loss == pytest.approx(np.mean(smoothed * (1 + labels)) + 10, rel=1e-4)
    assert json.loads((tmp_path / "model" / "training.json").read_text())["class_weights"] == weights


def test_an_activity_regularizer_counts_in_any_precision(
    run: Callable[..., TrainingResult], unjudged_digits: str
) -> None:
    """Hardly any step is taken, so that the losses are those of the same weights."""
    layers = '[{"Conv2D": {"filters": 4, "kernel_size": 3, "activity_regularizer": {"L2": {"l2": 0.1}}}}, "Flatten"]'
    still = {"architecture": layers, "epochs": 1, "batch_size": 500, "learning_rate": 1e-9}
    full, half = (run(unjudged_digits, precision=name, **still).loss for name in ("float32", "bfloat16"))
    assert half == pytest.approx(full, rel=0.02)
    assert full > 3  # of which 2.4 without it


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_picture_taken_for_another_with_all_certainty_still_teaches(
    run: Callable[..., TrainingResult], tmp_path: pathlib.Path, unjudged_digits: str, smoothing: float
) -> None:
    """Keras on JAX computes the loss from probabilities, cut off at 1e-7: a loss of 16, and no gradient beyond."""
    settings = {"architecture": '["Flatten", {"Rescaling": {"scale": 3000}}]', "label_smoothing": smoothing}
    result = run(unjudged_digits, **settings, batch_size=1000, epochs=1, optimizer="sgd", learning_rate=1e-9)
    kernel, bias = keras.models.load_model(tmp_path / "model" / "model.keras").get_weights()
    images, labels = load_split(unjudged_digits, read_info(unjudged_digits), "train")
    logits = (images.reshape(len(images), -1) / 255 * 3000) @ kernel + bias
    losses = logsumexp(logits, axis=1, keepdims=True) - logits
    right = losses[np.arange(len(labels)), labels]
    assert result.loss == pytest.approx(np.mean((1 - smoothing) * right + smoothing * losses.mean(axis=1)), rel=1e-4)
    assert result.loss > 1000


def test_mixed_pictures_train_with_weights(run: Callable[..., TrainingResult]) -> None:
    """Their loss is that of mixed labels; validation, whose labels are plain, tells that the model learns. Smoothing as
    well is in test_several_devices.py."""
    mixing = '[{"MixUp": {"alpha": 0.2}}, {"CutMix": {}}]'
    settings = {"augmentation": mixing, "class_weight": "balanced"}
    result = run(**settings, batch_size=50, learning_rate=0.01)
    assert result.best_val_accuracy > 0.8
    assert 0.3 < result.accuracy < 0.98


def test_pictures_are_changed_in_other_ways_each_time(
    run: Callable[..., TrainingResult], dataset: Callable[..., str], tmp_path: pathlib.Path
) -> None:
    """They are alike and hardly any step is taken, so that the loss follows what is drawn alone."""
    alike = np.repeat(np.arange(0, 256, 4, np.uint8).reshape(1, 8, 8, 1), 20, axis=0), np.zeros(20, np.int64)
    still = {"architecture": '["Flatten"]', "optimizer": "sgd", "learning_rate": 1e-9, "batch_size": 20}
    run(dataset({"train": alike}, class_count=2), augment_shift=3, **still)
    first, second = json.loads((tmp_path / "model" / "training.json").read_text())["history"]
    assert abs(first["loss"] - second["loss"]) > 1e-4


def test_a_lost_loss_stops_at_once(run: Callable[..., TrainingResult], tmp_path: pathlib.Path) -> None:
    with pytest.raises(PipelineError) as stopped:
        run(optimizer="sgd", learning_rate=1e30)
    assert "at step 2 (epoch 1) at learning rate 1e+30; try a learning rate" in str(stopped.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_a_lost_loss_on_validation_stops_too(lost: float) -> None:
    stop = StopAtNaN(1, 1, LearningRate.of(TrainSettings(), 1))
    with pytest.raises(SettingsError, match=f"received {lost} on validation after epoch 1"):
        stop.on_epoch_end(0, {"loss": 1.0, "val_loss": lost})


@pytest.mark.parametrize(("frozen", "there"), [({}, 10), ({"freeze": "1", "freeze_epochs": 1, "epochs": 3}, 5)])
def test_gradients_that_are_gathered_beyond_the_end_are_refused(
    run: Callable[..., TrainingResult], unjudged_digits: str, tmp_path: pathlib.Path, frozen: dict[str, Any], there: int
) -> None:
    """5 steps an epoch, 2 epochs: the model was published as it was made."""
    optimizer = f'{{"SGD": {{"gradient_accumulation_steps": {there + 1}}}}}'
    said = f"^optimizer: expected gradient_accumulation_steps of at most {there}, .* received {there + 1}; "
    with pytest.raises(SettingsError, match=said):
        run(unjudged_digits, optimizer=optimizer, **frozen)
    assert not (tmp_path / "model").exists()


def test_weights_that_the_last_step_lost_are_no_model(
    run: Callable[..., TrainingResult], tmp_path: pathlib.Path, unjudged_digits: str
) -> None:
    """Without validation pictures nobody computes with them: the loss is that of the weights before the step."""
    settings = {"architecture": '["Flatten", {"Rescaling": {"scale": 3000}}]', "optimizer": "sgd"}
    with pytest.raises(SettingsError, match="^expected finite weights, received NaN or infinity after the last step; "):
        run(unjudged_digits, **settings, learning_rate=1e38, batch_size=1000, epochs=1)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"gpus": "1"}, "expected 1 GPUs as requested, received"),
        ({"architecture": '[{"Conv2D": {"filters": 8, "kernel_size": 9}}, "Flatten"]'}, "layer 1 (Conv2D) doesn't fit"),
    ],
)
def test_what_cannot_train_is_refused_before_pictures_are_read(
    run: Callable[..., TrainingResult], digits: str, tmp_path: pathlib.Path, settings: dict[str, Any], said: str
) -> None:
    unread = tmp_path / "unread"
    shutil.copytree(digits, unread)
    for shard in unread.glob("*.tfrecord"):
        shard.write_bytes(b"")
    with pytest.raises(PipelineError, match=r"^[^\n]*$") as refused:
        run(str(unread), **settings)
    assert said in str(refused.value)
    assert not (tmp_path / "model").exists()


def test_determinism_is_asked_for_before_the_device_is(
    run: Callable[..., TrainingResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("components.train.run.make_deterministic", asked.append)
    for deterministic in (True, False):
        with pytest.raises(PipelineError, match="expected 1 GPUs"):
            run(gpus="1", deterministic=deterministic)
    assert asked == [BACKEND]


def test_a_damaged_shard_is_named(run: Callable[..., TrainingResult], digits: str, tmp_path: pathlib.Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(digits, damaged)
    shard = damaged / "train-00001-of-00002.tfrecord"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    shard.write_bytes(data)
    with pytest.raises(PipelineError, match="train-00001-of-00002.*run preprocess again"):
        run(str(damaged))


def test_no_training_pictures_is_said(run: Callable[..., TrainingResult], dataset: Callable[..., str]) -> None:
    empty = (np.zeros((0, 8, 8, 1), np.uint8), np.zeros(0, np.int64))
    with pytest.raises(PipelineError, match="expected training pictures"):
        run(dataset({"train": empty}, class_count=2))


def test_several_steps_a_call_change_nothing(
    run: Callable[..., TrainingResult], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU is given; 7 steps an epoch don't divide by 3, and the last batch is a smaller one."""
    settings = {"architecture": '[{"Dropout": {"rate": 0.3}}, "Flatten"]', "batch_size": 150, "schedule": "linear"}
    one = run(model="one", **settings)
    monkeypatch.setattr(Device, "steps_a_call", 3)
    three = run(model="three", **settings)
    assert (three.loss, three.val_loss) == pytest.approx((one.loss, one.val_loss))
    weights = [keras.models.load_model(tmp_path / name / "model.keras").get_weights() for name in ("one", "three")]
    for first, second in zip(*weights, strict=True):
        assert second == pytest.approx(first, abs=1e-6)
    curves = tensors(tmp_path / "board/train")
    rates, losses = curves["by step/learning_rate"], curves["by step/loss"]
    assert rates == pytest.approx({step: 0.001 * (14 - step) / 13 for step in (3, 6, 7, 10, 13, 14)}, abs=1e-9)
    last = np.average([losses[step] for step in (10, 13, 14)], weights=(450, 450, 100))
    assert last == pytest.approx(three.loss, rel=1e-5)


def test_a_training_that_is_judged_and_found_bad_ends(run: Callable[..., TrainingResult], capsys: Any) -> None:
    flat = {"architecture": '["Flatten"]'}
    assert run(**flat, epochs=3, end_below="1:1.0").epochs == 1
    assert "below 1: stopped after epoch 1" in capsys.readouterr().out
    assert run(**flat, epochs=2, end_below="1:0.01", model="good", batch_size=2000).epochs == 2
    assert "batch size 2000, 1 step per epoch" in capsys.readouterr().out


def test_an_accuracy_of_just_what_is_asked_is_not_below_it() -> None:
    """Keras counts in float32, in which 0.9 is less."""
    best = BestWeights(0, end_below="1:0.9")
    for right, why in ((0.9, ""), (0.89996, "validation accuracy 0.89996, below 0.9")):
        metric = keras.metrics.Mean()
        metric.update_state(np.full(1, right, np.float32))
        best.score = float(metric.result())
        assert best.ends_after(1) == why


def test_of_equal_accuracies_the_lowest_loss_counts() -> None:
    """Also behind a checkpoint, as a training that was killed comes to the same weights."""
    state, model = BestWeights(0).state, keras.Sequential()
    for epoch, (accuracy, loss) in enumerate([(0.9, 0.5), (0.9, 0.4), (0.9, 0.6), (0.8, 0.1)]):
        best = BestWeights(0)
        best.set_model(model)
        best.restore(model, state, [])
        best.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
        state = best.state
    assert (best.epoch, best.score) == (2, 0.9)


def test_nothing_ends_while_layers_are_frozen() -> None:
    for best, ends in ((BestWeights(2, since=5), 7), (BestWeights(0, since=5, end_below="1:0.9"), 6)):
        best.epoch, best.score = 1, 0.5
        assert [epochs for epochs in range(1, 8) if best.ends_after(epochs)][0] == ends
