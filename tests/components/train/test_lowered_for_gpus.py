"""The steps of a training by JAX as a GPU is given them: lowered for CUDA, which takes no GPU, nor its libraries."""

import json
import os
import pathlib
import re

import pytest

from tests.warm import run

pytest.importorskip("jax")
# What differs between devices: normalisation, pooling, random numbers, gathers, one optimizer a kind of weight.
RECIPE = {
    "architecture": '[{"Conv2D": {"filters": 8, "kernel_size": 3}}, "MaxPooling2D", "BatchNormalization", "ReLU", '
    '{"Dropout": {"rate": 0.2}}, "Flatten"]',
    "optimizer": "muon",
    "schedule": "linear",
    "label_smoothing": 0.1,
    "augment_flip": True,
    "augment_shift": 2,
    "backend": "jax",
}
LOWER = """
import json, pathlib, sys
from components.core.framework import load_keras
keras = load_keras("jax")
import jax
from components.train.device import find_device
from components.train.network.architecture import parse_architecture
from components.train.network.augment import make_augmentation
from components.train.network.model import build_model
from components.train.network.training_model import training_model_class
from components.train.optimizer import LearningRate
from components.train.phases import Phase
from components.train.settings import TrainSettings
settings, programs, device = TrainSettings.checked(**json.loads(sys.argv[1])), [], find_device("auto")

def lower(policy):
    layers, shape = parse_architecture(settings.architecture), (32, 32, 3)
    trained = training_model_class(make_augmentation(settings, shape), None)
    model = build_model(layers, shape, 10, policy, trained, fused=True, logits=True)
    Phase(0, 1).prepare(model, settings, LearningRate.of(settings, 100), policy, 10)
    batch = jax.numpy.zeros((64, *shape), "uint8"), jax.numpy.zeros(64, "int32")
    model._symbolic_build(data_batch=batch)
    state = model._get_jax_state(True, True, True, True)
    if device.count > 1:
        batch = keras.src.backend.jax.trainer._distribute_data(batch)
        step = jax.jit(model.train_step, donate_argnums=0, out_shardings=(None, model._get_state_sharding_spec()))
        programs.append(step.lower(state, batch).compile().as_text())
        return
    for step in ("train", "test"):
        given = state if step == "train" else [state[0], state[1], state[3]]
        lowered = jax.jit(getattr(model, f"{step}_step"), donate_argnums=0).trace(given, batch)
        text = lowered.lower(lowering_platforms=("cuda",)).as_text()
        programs.append([policy, step, len(jax.tree.leaves(given)), text])

with device.scope():
    for policy in sys.argv[3:]:
        lower(policy)
pathlib.Path(sys.argv[2]).write_text(json.dumps(programs))
"""
TYPES = {"float32": "f32", "mixed_bfloat16": "bf16", "mixed_float16": "f16"}


def lowered(warm_jax: str, place: pathlib.Path, *policies: str, devices: int = 1) -> list:
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    done = run(warm_jax, LOWER, json.dumps(RECIPE), f"{place}/programs.json", *policies, XLA_FLAGS=flags)
    assert done.returncode == 0, done.stdout
    return json.loads((place / "programs.json").read_text())


def test_what_a_gpu_is_given_is_what_it_does_well(warm_jax: str, tmp_path: pathlib.Path) -> None:
    for policy, step, state, text in lowered(warm_jax, tmp_path, *TYPES):
        assert not re.search(r"xf64>|tensor<f64>|custom_call|callback|infeed", text)
        assert "scatter" not in text  # of a pooling's gradient: by atomic additions, or by sorting
        assert len(re.findall("tf.aliasing_output|jax.buffer_donor", text)) == state  # no weight lies there twice
        products = re.findall(r"stablehlo\.convolution.*-> tensor<[\dx]+x(\w+)>", text)
        assert set(products) == {TYPES[policy]}
        assert len(products) == (2 if step == "train" else 1)  # pictures need no gradient


def test_several_devices_exchange_sums_alone(warm_jax: str, tmp_path: pathlib.Path) -> None:
    """No pictures, nor what a layer gives of them."""
    (program,) = lowered(warm_jax, tmp_path, "mixed_bfloat16", devices=2)
    exchanged = re.findall(r" (all-\w+|collective-\w+|reduce-scatter)(?:-start)?\(", program)
    assert set(exchanged) == {"all-reduce"}
