"""One model on several devices of one machine by JAX: what one device would compute. By TensorFlow: refused.

The devices are virtual: a CPU divided. They are divided before a backend starts, so each training is a process. Each is
given the values that a GPU gets, several steps a call among them: fewer than there, as each is compiled by itself.
"""

import functools
import json
import os
import pathlib
from typing import Any

import pytest

from components.core.errors import PipelineError
from components.train import device
from tests.warm import run

pytest.importorskip("jax")
# What could differ between devices: normalisation over a batch, random numbers, shares that are not even.
RECIPE = {
    "architecture": '[{"Conv2D": {"filters": 16, "kernel_size": 3, "use_bias": false}}, '
    '{"BatchNormalization": {"momentum": 0.8}}, "ReLU", {"Dropout": {"rate": 0.2}}, "MaxPooling2D", '
    '{"Conv2D": {"filters": 32, "kernel_size": 3}}, "GlobalMaxPooling2D"]',
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
TRAIN = """
import json, sys
from components.core.errors import one_line_errors
from components.train.device import Device
from components.train.run import train
from components.train.settings import TrainSettings
Device.steps_a_call = 3
dataset, target, settings = sys.argv[1:]
with one_line_errors():
    train(TrainSettings.checked(**json.loads(settings)), dataset, f"{target}/model", f"{target}/board")
"""


@pytest.fixture(scope="module")
def train(digits: str, warm_jax: str) -> Any:
    """Trains on so many devices and gives the history."""

    def train(devices: int, target: pathlib.Path, **settings: Any) -> list[dict[str, float]]:
        flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
        done = run(warm_jax, TRAIN, digits, str(target), json.dumps(RECIPE | settings), XLA_FLAGS=flags)
        assert done.returncode == 0, done.stdout
        return json.loads((target / "model" / "training.json").read_text())["history"]

    return train


@pytest.fixture(scope="module")
def alone(train: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The history of one device, by batch size."""
    return functools.cache(lambda size: train(1, tmp_path_factory.mktemp("one") / str(size), batch_size=size))


@pytest.mark.parametrize(
    ("devices", "batch_size"),
    [
        (2, 48),  # 1,000 pictures: the last batch is of 40
        (4, 51),  # which four don't divide; the last batch is of 31
        (4, 333),  # the last batch is of 1 picture, fewer than the devices
    ],
)
def test_several_devices_train_as_one_does(
    devices: int, batch_size: int, train: Any, tmp_path: pathlib.Path, alone: Any
) -> None:
    together = train(devices, tmp_path, batch_size=batch_size)
    compare(alone(batch_size), together)
    assert together[-1]["loss"] < together[0]["loss"]


def test_several_devices_mix_weigh_and_freeze_as_one_does(train: Any, tmp_path: pathlib.Path) -> None:
    """Each picture is mixed with the same other, wherever that one lies; the second epoch trains all layers."""
    mixing = {"augmentation": '[{"MixUp": {"alpha": 0.4}}, {"RandomContrast": {"factor": 0.2}}]', "epochs": 2}
    frozen = {"freeze": "2", "freeze_epochs": 1, "unfreeze_rate": 0.5}
    given = mixing | frozen | {"class_weight": "balanced", "batch_size": 333}
    compare(*(train(devices, tmp_path / str(devices), **given) for devices in (1, 2)))


def compare(alone: list[dict[str, float]], together: list[dict[str, float]]) -> None:
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
