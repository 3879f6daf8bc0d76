"""KERAS_BACKEND=jax trains the same recipe: what the tests of this directory say of TensorFlow holds under JAX."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("jax")
HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
# The recipe with all its parts, killed and resumed; what ends a training.
CHOSEN = (
    "test_checkpoint.py::test_interrupted_and_resumed_is_the_same_to_the_last_bit[{}]",
    "test_fit.py::test_a_lost_loss_stops_at_once",
    "test_fit.py::test_a_damaged_shard_is_named[0]",
)


def test_what_holds_under_tensorflow_holds_under_jax() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(str(HERE / name) for name in CHOSEN)]
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert f"{len(CHOSEN)} passed" in done.stdout, done.stdout


def test_the_record_names_jax_and_the_board_the_rate_of_each_step(digits: str, tmp_path: pathlib.Path) -> None:
    """Between two steps, Keras on JAX keeps the optimizer's values to itself, its step number among them."""
    code = (
        "import sys; from components.train.run import train; from components.train.settings import TrainSettings;"
        "train(TrainSettings(architecture='[\"Flatten\"]', schedule='linear', epochs=2, deterministic=True),"
        f"{digits!r}, {str(tmp_path / 'model')!r}, {str(tmp_path / 'board')!r})"
    )
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert "jax" in record["versions"]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(tmp_path / "board" / "train"))
    events.Reload()
    tag = next(tag for tag in events.Tags()["tensors"] if tag.endswith("learning_rate") and tag != "learning_rate")
    rates = [float(make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
    assert len(set(rates)) > 5
    assert rates == sorted(rates, reverse=True)
