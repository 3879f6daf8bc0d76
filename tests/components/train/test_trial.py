"""A trial of a sweep: its own failure is a result, a failure of what is around it is not."""

import pathlib
import shutil
from collections.abc import Callable

import keras
import numpy as np
import pytest

from components.core.artifacts.checkpoints import checkpoint_place
from components.core.artifacts.dataset import read_info
from components.core.artifacts.model import load_model
from components.core.artifacts.trial import Trial, read_trial
from components.core.errors import PipelineError
from components.train import run
from components.train.checkpoint import FILE
from components.train.device import device_errors
from components.train.errors import SettingsError
from components.train.run import TrainingResult
from components.train.settings import TrainSettings
from components.train.stored_checkpoint import run_key
from components.train.trial import changed, run_trial
from tests.components.train.board_files import accumulated, hyperparameters, tensors
from tests.datasets import load_split

ONE_LAYER = {"architecture": '["Flatten"]', "batch_size": 200, "epochs": 1, "optimizer": "sgd"}
SETTINGS = TrainSettings(**ONE_LAYER, gpus="auto", learning_rate=0.01)


@pytest.fixture
def tried(tmp_path: pathlib.Path, digits: str) -> Callable[[str], TrainingResult | None]:
    """Runs a trial into tmp_path/model and tmp_path/board."""
    return lambda changes: run_trial(SETTINGS, changes, digits, str(tmp_path / "model"), str(tmp_path / "board"))


def test_a_trial_trains_with_what_it_changes(tried: Callable, tmp_path: pathlib.Path, digits: str) -> None:
    result = tried("epochs=4 learning_rate=1.0")
    assert result.best_epoch == 3 and result.best_val_accuracy == result.val_accuracy  # of the epoch that is kept
    files = {"model.keras", "training.json", "trial.json", "learned.npy"}
    assert {path.name for path in (tmp_path / "model").iterdir()} == files
    images, labels = load_split(digits, read_info(digits), "validation")
    answers = load_model(tmp_path / "model/model.keras").predict(images, verbose=0).argmax(axis=1)
    assert np.mean(answers == labels) == pytest.approx(result.best_val_accuracy, abs=1e-6)
    assert read_trial(tmp_path / "model") == Trial(
        changes="epochs=4 learning_rate=1.0",
        val_accuracy=result.best_val_accuracy,
        best_epoch=3,
        epochs=4,
        seconds=result.seconds,
    )
    assert set(hyperparameters(tmp_path / "board/result").hparams) == {"epochs", "learning_rate"}
    shown = tensors(tmp_path / "board/result")["result/val_accuracy"]
    assert shown == pytest.approx({4: result.best_val_accuracy})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("learning_rate=1e38", "expected a finite loss"),
        ('architecture=[{"Conv2D":{"filters":4,"kernel_size":9}},"Flatten"]', "layer 1 (Conv2D)"),
        ('architecture=["Flatten",{"Dense":{"units":4,"kernel_initializer":"Zebra"}}]', "layer 2 (Dense)"),
        ('architecture=["Flatten",{"Dropout":{"rate":0.5,"noise_shape":[3,4]}}]', "calling Dropout.call()"),
        ('architecture=["Flatten",{"Resizing":{"height":8,"width":8}}]', "calling Resizing.call()"),
        (
            'architecture=["Flatten",{"Dense":{"units":4}},{"Reshape":{"target_shape":[2,2,1]}},{"UpSampling2D":{"interpolation":'
            '"area"}},"Flatten"]',
            "received: gradient registry has no entry for: ResizeArea",
        ),
        ('optimizer={"SGD":{"clipnorm":"x"}}', "optimizer: sgd doesn't take {'clipnorm': 'x'}"),
        ('optimizer={"RMSprop":{"rho":[1]}}', "optimizer: rmsprop doesn't take {'rho': [1]}"),
        ('optimizer={"Muon":{"ns_steps":"x"}}', "optimizer: muon doesn't take {'ns_steps': 'x'}"),
    ],
)
def test_a_trial_that_fails_says_why_and_succeeds(
    tried: Callable, tmp_path: pathlib.Path, changes: str, said: str
) -> None:
    assert tried(changes) is None
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"trial.json"}
    failed = read_trial(tmp_path / "model")
    assert (failed.changes, failed.lacked_memory) == (changes, False)
    assert said in failed.failed
    assert "\n" not in failed.failed
    assert "_hparams_/session_end_info" in accumulated(tmp_path / "board/result").Tags()["tensors"]


def test_a_failed_trial_has_a_row_of_its_own_in_hparams(tmp_path: pathlib.Path, digits: str) -> None:
    """Trials of other sweeps with the same changes stood in it too."""
    rows = []
    for place, base in enumerate(({}, {}, {"learning_rate": 0.5})):
        model, board = str(tmp_path / f"model{place}"), tmp_path / f"board{place}"
        run_trial(SETTINGS.model_copy(update=base), 'class_weight={"lion":1}', digits, model, str(board))
        rows.append(hyperparameters(board / "result").group_name)
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("a defect"), OSError(28, "No space left on device"), RuntimeError("INTERNAL: driver")]
)
def test_what_the_settings_are_not_the_cause_of_is_no_result(
    tried: Callable, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(keras.Model, "fit", fails)
    with pytest.raises(type(error)):
        tried("seed=1")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 40000000000000 bytes."),  # JAX's, as it says it
        RuntimeError("INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
        RuntimeError("std::bad_alloc"),
        MemoryError("Unable to allocate 728. TiB for an array with shape (10000000, 10000000)"),
        MemoryError(),
    ],
    ids=str,
)
def test_out_of_memory_is_the_batchs_fault_in_whosever_words(error: Exception) -> None:
    with pytest.raises(SettingsError, match="^expected a batch of 50 .*try a smaller batch_size$"), device_errors(50):
        raise error


def test_on_one_node_no_other_is_lost() -> None:
    """Several GPUs of a node exchange sums by NCCL too."""
    with pytest.raises(RuntimeError, match="^INTERNAL: NCCL"), device_errors(50):
        raise RuntimeError("INTERNAL: NCCL operation failed: Error while creating shared memory segment /dev/shm/nccl")


def test_a_full_disk_is_not_the_batchs_fault() -> None:
    class ResourceExhaustedError(Exception):
        """TensorFlow's name for it too."""

    with pytest.raises(ResourceExhaustedError), device_errors(50):
        raise ResourceExhaustedError("/out/events.v2; No space left on device")


def test_a_batch_beyond_the_devices_memory_is_its_result(
    tried: Callable, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes")

    monkeypatch.setattr(keras.Model, "fit", fails)
    assert tried("seed=1") is None
    assert read_trial(tmp_path / "model").lacked_memory


def test_a_damaged_checkpoint_is_no_result(tried: Callable, tmp_path: pathlib.Path, digits: str) -> None:
    place = str(tmp_path / "checkpoints")
    this_run = run.training_identity(changed(SETTINGS, "seed=1"), read_info(digits), "float32")
    damaged = pathlib.Path(checkpoint_place(place, run_key(this_run))) / FILE
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no checkpoint")
    with pytest.raises(PipelineError, match="expected a whole checkpoint"):
        tried(f"seed=1 checkpoints={place}")


def test_a_flipped_byte_in_a_shard_is_no_result(tmp_path: pathlib.Path, digits: str) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(digits, damaged)
    shard = damaged / "validation-00001-of-00002.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(PipelineError, match="validation-00001-of-00002.*run preprocess again"):
        run_trial(SETTINGS, "seed=1", str(damaged), str(tmp_path / "model"), str(tmp_path / "board"))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("settings", "path", "said"),
    [
        ({"gpus": "1"}, None, "expected 1 GPUs"),
        ({}, "/no/such/dataset", "expected a dataset artifact"),
        ({"checkpoints": "s3:///"}, None, "bucket"),
        ({"nodes": 2}, None, "nodes: expected 1 of a sweep, whose trials each have one, received 2"),
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


def test_without_validation_pictures_no_trial_trains(dataset: Callable, tmp_path: pathlib.Path) -> None:
    path = dataset({"train": (np.zeros((20, 8, 8, 1), np.uint8), np.arange(20) % 10)}, class_count=10)
    with pytest.raises(PipelineError, match="expected validation pictures to compare trials by"):
        run_trial(SETTINGS, "seed=1", path, str(tmp_path / "model"), str(tmp_path / "board"))


def test_changes_are_checked() -> None:
    assert changed(SETTINGS, "augment_flip=true epochs=3").augment_flip is True
    with pytest.raises(PipelineError, match="unknown parameter 'epoch'"):
        changed(SETTINGS, "epoch=3")
