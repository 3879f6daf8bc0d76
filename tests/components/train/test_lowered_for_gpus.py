"""The steps of a training by JAX as a GPU is given them: lowered for CUDA, which takes no GPU, nor its libraries."""

import json
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
from components.train.network.architecture import parse_architecture
from components.train.network.augment import make_augmentation
from components.train.network.model import build_model
from components.train.network.training_model import training_model_class
from components.train.optimizer import LearningRate
from components.train.phases import Phase
from components.train.settings import TrainSettings
settings, programs = TrainSettings.checked(**json.loads(sys.argv[1])), []
for policy in ("float32", "mixed_bfloat16", "mixed_float16"):
    layers, shape = parse_architecture(settings.architecture), (32, 32, 3)
    trained = training_model_class(make_augmentation(settings, shape), None)
    model = build_model(layers, shape, 10, policy, trained, fused=True, logits=True)
    Phase(0, 1).prepare(model, settings, LearningRate.of(settings, 100), policy, 10)
    batch = jax.ShapeDtypeStruct((64, *shape), "uint8"), jax.ShapeDtypeStruct((64,), "int32")
    model._symbolic_build(data_batch=batch)
    state = [[variable.value for variable in variables] for variables in (
        model.trainable_variables, model.non_trainable_variables, model.optimizer.variables, model.metrics_variables
    )]
    for step in ("train", "test"):
        given = state if step == "train" else [state[0], state[1], state[3]]
        lowered = jax.jit(getattr(model, f"{step}_step"), donate_argnums=0).trace(given, batch)
        text = lowered.lower(lowering_platforms=("cuda",)).as_text()
        programs.append([policy, step, len(jax.tree.leaves(given)), text])
pathlib.Path(sys.argv[2]).write_text(json.dumps(programs))
"""
TYPES = {"float32": "f32", "mixed_bfloat16": "bf16", "mixed_float16": "f16"}


def test_what_a_gpu_is_given_is_what_it_does_well(warm_jax: str, tmp_path: pathlib.Path) -> None:
    done = run(warm_jax, LOWER, json.dumps(RECIPE), f"{tmp_path}/programs.json")
    assert done.returncode == 0, done.stdout
    programs = json.loads((tmp_path / "programs.json").read_text())
    assert len(programs) == 6
    for policy, step, state, text in programs:
        assert not re.search(r"xf64>|tensor<f64>|custom_call|callback|infeed", text)
        assert "scatter" not in text  # of a pooling's gradient: by atomic additions, or by sorting
        assert len(re.findall("tf.aliasing_output|jax.buffer_donor", text)) == state  # no weight lies there twice
        products = re.findall(r"stablehlo\.convolution.*-> tensor<[\dx]+x(\w+)>", text)
        assert set(products) == {TYPES[policy]}
        assert len(products) == (2 if step == "train" else 1)  # pictures need no gradient
