"""One model on several devices of one machine by JAX: what one device would compute. By TensorFlow: refused.

The devices are virtual: a CPU divided. They are divided before a backend starts, so that each number of devices is a
process, which does all its trainings. One is given several steps a call, as a GPU gets them: two, as each is compiled
by itself.
"""

import functools
import json
import os
import pathlib
from collections.abc import Callable

import pytest

from components.core.errors import PipelineError
from components.train import device
from tests.warm import run

pytest.importorskip("jax")
# What could differ between devices: normalisation over a batch, random numbers, shares that are not even.
RECIPE = {
    "architecture": '[{"Conv2D": {"filters": 16, "kernel_size": 3, "use_bias": false}}, '
    '{"BatchNormalization": {"momentum": 0.8}}, "ReLU", {"Dropout": {"rate": 0.2}}, "MaxPooling2D", "Flatten"]',
    "optimizer": '{"Muon": {"momentum": 0.9, "weight_decay": 0.0}}',
    "learning_rate": 0.05,
    "epochs": 2,
    "warmup": 0.2,
    "schedule": "linear",
    "label_smoothing": 0.1,
    "augment_shift": 1,
    "augment_flip": True,
    "average_mirrored": True,
    "backend": "jax",
    "gpus": "auto",
}
CASES = {
    "uneven": {"batch_size": 333},  # which four don't divide; the last batch is of 1 picture, fewer than the devices
    "mixed, weighed and frozen": {
        "augmentation": '[{"MixUp": {"alpha": 0.4}}, {"RandomRotation": {"factor": 0.1}}]',
        "class_weight": "balanced",
        "freeze": "2",
        "freeze_epochs": 1,
        "unfreeze_rate": 0.5,
        "batch_size": 250,  # which two divide; all batches are as large, so that each phase is compiled once
    },
}
ON = {1: tuple(CASES), 2: ("mixed, weighed and frozen",), 4: ("uneven",)}
TRAIN = """
import json, sys
from components.core.errors import one_line_errors
from components.train.device import Device
from components.train.run import train
from components.train.settings import TrainSettings
dataset, target, cases = sys.argv[1:]
with one_line_errors():
    for case, settings in json.loads(cases).items():
        Device.steps_a_call = 2 if case == "uneven" else 1
        train(TrainSettings.checked(**settings), dataset, f"{target}/{case}/model", f"{target}/{case}/board")
"""
History = list[dict[str, float]]


@pytest.fixture(scope="module")
def trained(digits: str, warm_jax: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, str], History]:
    """The history of a case on so many devices."""

    @functools.cache
    def folder(devices: int) -> pathlib.Path:
        target = tmp_path_factory.mktemp("devices")
        flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
        cases = json.dumps({case: RECIPE | CASES[case] for case in ON[devices]})
        done = run(warm_jax, TRAIN, digits, str(target), cases, XLA_FLAGS=flags)
        assert done.returncode == 0, done.stdout
        return target

    def history(devices: int, case: str) -> History:
        record = json.loads((folder(devices) / case / "model" / "training.json").read_text())
        assert record["device"].startswith(f"{devices} x " if devices > 1 else "")
        return record["history"]

    return history


def test_several_devices_train_as_one_does(trained: Callable[[int, str], History]) -> None:
    together = trained(4, "uneven")
    compare(trained(1, "uneven"), together)
    assert together[-1]["loss"] < together[0]["loss"]


def test_several_devices_mix_weigh_and_freeze_as_one_does(trained: Callable[[int, str], History]) -> None:
    """Each picture is mixed with the same other, wherever that one lies; the second epoch trains all layers."""
    compare(*(trained(devices, "mixed, weighed and frozen") for devices in (1, 2)))


def compare(alone: History, together: History) -> None:
    for one, several in zip(alone, together, strict=True):
        assert several["loss"] == pytest.approx(one["loss"], rel=1e-3)
        assert several["val_loss"] == pytest.approx(one["val_loss"], rel=1e-3)
        assert several["val_accuracy"] == pytest.approx(one["val_accuracy"], abs=0.004)  # of 297, one is 0.0034
        assert several["learning_rate"] == one["learning_rate"]


def test_several_gpus_by_tensorflow_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0", "GPU:1"])
    for asked in ("2", "auto"):
        with pytest.raises(PipelineError, match="gpus: expected one GPU .* received 2; use backend=jax"):
            device.find_device(asked)
