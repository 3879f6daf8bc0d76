"""One model on several devices of one machine, by TensorFlow and by JAX: the same result as on one.

The devices are virtual: a CPU divided. They are divided before a backend starts, so each training is a process.
"""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from pipeline import ROOT

LAYERS = '[{"Conv2D": {"filters": 8, "kernel_size": 3, "activation": "relu"}}, "Flatten", {"Dropout": {"rate": 0.0}}]'
TRAIN = '''
import json, sys, types
count, dataset, target, settings = int(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
from components.core.errors import one_line_errors
from components.core.framework import load_keras, training_backend

def say_whether_xla_would_compile(tf):
    """Were these GPUs: on CPUs Keras never does."""
    compile, real = keras.Model.compile, tf.config.list_physical_devices
    def compile_and_say(model, *arguments, **named):
        tf.config.list_physical_devices = lambda *kind: [types.SimpleNamespace(device_type="GPU")]
        compile(model, *arguments, **named)
        tf.config.list_physical_devices = real
        print("compiled by XLA:", model.jit_compile)
    keras.Model.compile = compile_and_say

keras = load_keras(training_backend())
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    if count > 1:
        say_whether_xla_would_compile(tf)
from components.train.run import train
from components.train.settings import TrainSettings
with one_line_errors():
    train(TrainSettings.checked(**settings), dataset, f"{target}/model", f"{target}/board", f"{target}/checkpoint")
'''


def train(
    backend: str, devices: int, dataset: str, target: pathlib.Path, **settings: Any
) -> subprocess.CompletedProcess:
    values = {"architecture": LAYERS, "epochs": 2, "gpus": "auto", "schedule": "linear", **settings}
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "TF_CPP_MIN_LOG_LEVEL": "1",
    }
    command = [sys.executable, "-c", TRAIN, str(devices), dataset, str(target), json.dumps(values)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)


def history(directory: pathlib.Path) -> list[dict[str, float]]:
    return json.loads((directory / "model" / "training.json").read_text())["history"]


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_train_as_one_does(backend: str, digits: str, tmp_path: pathlib.Path) -> None:
    """The batch is the same, so is the order, and so are the losses; 1,000 pictures don't divide by a batch of 48."""
    pytest.importorskip(backend)
    one, two = tmp_path / "one", tmp_path / "two"
    for devices, target in ((1, one), (2, two)):
        done = train(backend, devices, digits, target, batch_size=48)
        assert done.returncode == 0, done.stderr
        # MirroredStrategy compiled by XLA crashes or leaks: https://github.com/keras-team/keras/issues/18145
        assert ("compiled by XLA: False" in done.stdout) == (backend == "tensorflow" and devices == 2)
    for alone, together in zip(history(one), history(two), strict=True):
        assert together["loss"] == pytest.approx(alone["loss"], rel=1e-4)
        assert together["accuracy"] == pytest.approx(alone["accuracy"], abs=0.002)
        assert together["learning_rate"] == alone["learning_rate"]
        # 297 pictures to validate on: JAX leaves the last one out, so that each device gets as many.
        assert together["val_loss"] == pytest.approx(alone["val_loss"], rel=0.02)
    assert history(one)[-1]["loss"] < history(one)[0]["loss"]


def test_a_batch_that_jax_cannot_share_out_is_refused(digits: str, tmp_path: pathlib.Path) -> None:
    pytest.importorskip("jax")
    done = train("jax", 2, digits, tmp_path, batch_size=51)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: batch_size: expected a multiple of the 2 devices that share a batch, received 51; try 50"
    )


RECIPE = {
    "architecture": '[{"Conv2D": {"filters": 16, "kernel_size": 3, "use_bias": false}}, '
    '{"BatchNormalization": {"momentum": 0.8}}, "ReLU", "MaxPooling2D", '
    '{"Conv2D": {"filters": 32, "kernel_size": 3}}, "GlobalMaxPooling2D"]',
    "optimizer": '{"Muon": {"momentum": 0.9, "weight_decay": 0.0}}',
    "learning_rate": 0.05,
    "epochs": 3,
    "warmup": 0.2,
    "label_smoothing": 0.1,
    "augment_shift": 1,
    "average_mirrored": True,
}


@pytest.mark.parametrize(("backend", "devices"), [("tensorflow", 2), ("jax", 1), ("jax", 2)])
def test_the_recipe_trains_by_either_backend(backend: str, devices: int, digits: str, tmp_path: pathlib.Path) -> None:
    pytest.importorskip(backend)
    done = train(backend, devices, digits, tmp_path, **RECIPE)
    assert done.returncode == 0, done.stderr
    assert history(tmp_path)[-1]["val_accuracy"] > 0.6  # a guess is right one time in ten
