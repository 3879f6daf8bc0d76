"""backend=jax trains the same recipe, without TensorFlow: what the tests of this directory say holds under JAX."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.warm import run

pytest.importorskip("jax")
HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
# The recipe with all its parts, killed and resumed; what ends a training.
CHOSEN = (
    "test_checkpoint.py::test_interrupted_and_resumed_is_the_same_to_the_last_bit[all parts]",
    "test_checkpoint.py::test_interrupted_in_each_phase_and_between_them_is_the_same_to_the_last_bit",
    "test_fit.py::test_no_step_waits_until_its_loss_is_a_number",
    "test_fit.py::test_pictures_are_changed_in_other_ways_each_time",
    "test_fit.py::test_a_lost_loss_stops_at_once",
    "test_fit.py::test_the_validation_loss_is_that_of_the_test",
    "test_fit.py::test_a_picture_taken_for_another_with_all_certainty_still_teaches[0.2]",
    "test_fit.py::test_a_damaged_shard_is_named",
)


PYTEST = "import pytest, sys; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', *sys.argv[1:]]))"


def test_what_holds_under_tensorflow_holds_under_jax(warm_jax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = run(warm_jax, PYTEST, *(str(HERE / name) for name in CHOSEN), KERAS_BACKEND="jax")
    assert f"{len(CHOSEN)} passed" in done.stdout, done.stdout


ON_DEVICE = """
import json, sys
from components.core.artifacts.dataset_reading import MappedSplit
from components.train import data
from components.train.device import Device
from components.train.run import train
from components.train.settings import TrainSettings
dataset, place, settings = sys.argv[1:]
data.UPLOAD_BYTES = 6400
pictures, most = MappedSplit.pictures, 0

def counted(self, places):
    global most
    most = max(most, len(places))
    return pictures(self, places)

MappedSplit.pictures = counted
for name in ("host", "device"):
    Device.has_room_for = lambda self, pictures: name == "device"
    train(TrainSettings.checked(**json.loads(settings)), dataset, f"{place}/{name}", f"{place}/board")
assert most <= 100, f"{most} pictures of 64 bytes lay in memory at once"
"""


def test_pictures_on_the_device_come_in_the_same_order(digits: str, tmp_path: pathlib.Path, warm_jax: str) -> None:
    """The device is this processor; where it is a GPU, pictures that fit lie there, and are brought in parts."""
    settings = {"architecture": '["Flatten"]', "epochs": 2, "batch_size": 51, "backend": "jax"}
    done = run(warm_jax, ON_DEVICE, digits, str(tmp_path), json.dumps(settings))
    assert done.returncode == 0, done.stdout
    host, device = (json.loads((tmp_path / name / "training.json").read_text()) for name in ("host", "device"))
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert [each[name] for each in host["history"]] == [each[name] for each in device["history"]]


TRIED = """
import jax
from components.core.errors import PipelineError
from components.core.framework import load_keras
load_keras("jax")
from components.train.optimizer import make_optimizer
from components.train.settings import TrainSettings
told = []
jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: told.append(name))
make_optimizer(TrainSettings(optimizer='{"Muon": {"momentum": 0.9}}'), 1)
compiled = [name for name in told if "backend_compile" in name]
assert 0 < len(compiled) < 5, compiled
try:
    make_optimizer(TrainSettings(optimizer='{"Muon": {"ns_steps": "3"}}'), 1)
except PipelineError as refused:
    assert "optimizer: muon doesn't take" in str(refused)
else:
    raise AssertionError("not refused")
"""


def test_an_optimizers_arguments_are_tried_without_compiling(warm_jax: str) -> None:
    done = run(warm_jax, TRIED)
    assert done.returncode == 0, done.stdout


WITHOUT_DRIVER = """
from jax._src import xla_bridge

def fail():
    raise RuntimeError("FAILED_PRECONDITION: No visible GPU devices.")

xla_bridge.register_backend_factory("a GPU's", fail, fail_quietly=False)  # as CUDA's registers itself
from components.core.errors import one_line_errors
from components.core.framework import load_keras
load_keras("jax")
from components.train.device import find_device
with one_line_errors():
    find_device("auto")
"""


def test_gpus_that_jax_cannot_use_are_told_in_a_line(warm_jax: str) -> None:
    done = run(warm_jax, WITHOUT_DRIVER)
    assert (done.returncode, "Traceback" in done.stdout) == (1, False)
    assert "error: expected GPUs that JAX can use, received: Unable to initialize" in done.stdout


WITHOUT_TENSORFLOW = """
import json, sys

class NoTensorFlow:
    asked = []

    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("tensorflow", "tf_keras"):
            self.asked.append(name)
            raise ImportError(f"no {name} here")

sys.meta_path.insert(0, NoTensorFlow())
from components.train.settings import TrainSettings
from components.train.trial import run_trial
dataset, model, board, settings = sys.argv[1:]
chosen = TrainSettings.checked(**json.loads(settings))
assert run_trial(chosen, 'class_weight={"lion":1}', dataset, model + "-failed", board + "-failed") is None
run_trial(chosen, "seed=1 learning_rate=0.01", dataset, model, board)
again = TrainSettings.checked(**{**json.loads(settings), "start_from": model, "epochs": 1})
assert run_trial(again, "seed=2", dataset, model + "-again", board + "-again")
assert not NoTensorFlow.asked, NoTensorFlow.asked
"""
RECIPE = {
    "architecture": '["BatchNormalization", {"Conv2D": {"filters": 8, "kernel_size": 3}}, "Flatten"]',
    "optimizer": "muon",
    "schedule": "linear",
    "epochs": 2,
    "label_smoothing": 0.1,
    "augment_flip": True,
    "augment_shift": 1,
    "average_mirrored": True,
    "precision": "bfloat16",
    "deterministic": True,
    "histograms": 1,
    "backend": "jax",
}


def test_the_train_step_on_jax_does_not_ask_for_tensorflow(digits: str, tmp_path: pathlib.Path) -> None:
    """Checkpoints, event files, pictures and the saved model included."""
    recipe = RECIPE | {"checkpoints": str(tmp_path / "checkpoints")}
    paths = [digits, str(tmp_path / "model"), str(tmp_path / "board")]
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, *paths, json.dumps(recipe)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert set(record["versions"]) == {"python", "keras", "numpy", "jax"}
    assert record["best_val_accuracy"] > 0.6
    again = json.loads((tmp_path / "model-again" / "training.json").read_text())
    assert (again["started_from"]["anew"], again["best_val_accuracy"] > record["best_val_accuracy"] - 0.1) == ([], True)

    # TensorFlow evaluates what JAX has trained.
    import numpy as np

    from components.core.artifacts.dataset import read_info
    from components.core.artifacts.model import load_model
    from tests.datasets import load_split

    images, labels = load_split(digits, read_info(digits), "validation")
    model = load_model(tmp_path / "model" / "model.keras")
    answers, mirrored = (model.predict(given, verbose=0) for given in (images, images[:, :, ::-1]))
    assert np.mean(answers.argmax(axis=1) == labels) > 0.6
    assert mirrored == pytest.approx(answers, abs=1e-5)  # average_mirrored


AS_USERS = """
import json, sys
from components.train.run import train
from components.train.settings import TrainSettings
dataset, place, settings = sys.argv[1:]
train(TrainSettings.checked(**json.loads(settings)), dataset, f"{place}/jax", f"{place}/board")
"""


@pytest.fixture(scope="module")
def as_users(digits: str, tmp_path_factory: pytest.TempPathFactory, warm_jax: str) -> pathlib.Path:
    """The folder of two trainings from the same weights: `tensorflow`, and `jax` with all of XLA's passes, which other
    tests leave out. The board is JAX's.
    """
    from components.train.network.architecture import parse_architecture
    from components.train.network.model import build_model
    from components.train.run import train
    from components.train.settings import TrainSettings

    place = tmp_path_factory.mktemp("as-users")
    layers = '[{"Conv2D": {"filters": 4, "kernel_size": 3, "activation": "relu"}}, "Flatten"]'
    build_model(parse_architecture(layers), (8, 8, 1), 10).save_weights(place / "first.weights.h5")
    settings = {"architecture": layers, "start_from": f"{place}/first.weights.h5", "schedule": "linear", "epochs": 2}
    done = run(warm_jax, AS_USERS, digits, str(place), json.dumps(settings | {"backend": "jax"}), XLA_FLAGS="")
    assert done.returncode == 0, done.stdout
    train(TrainSettings.checked(**settings), digits, f"{place}/tensorflow", f"{place}/other-board")
    return place


def test_with_all_of_xlas_passes_its_figures_are_tensorflows(as_users: pathlib.Path) -> None:
    tensorflow, jax = (
        json.loads((as_users / name / "training.json").read_text())["history"] for name in ("tensorflow", "jax")
    )
    for theirs, ours in zip(tensorflow, jax, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-4)
        assert ours["val_accuracy"] == pytest.approx(theirs["val_accuracy"], abs=0.004)  # of 297, one is 0.0034
    assert jax[1]["val_loss"] < jax[0]["val_loss"]


def test_the_board_has_the_rate_of_each_step(as_users: pathlib.Path) -> None:
    """Between two steps, Keras on JAX keeps the optimizer's values to itself, its step number among them."""
    from tests.components.train.board_files import tensors

    rates = [float(rate) for rate in tensors(as_users / "board" / "train")["by step/learning_rate"].values()]
    assert rates == pytest.approx([0.001 * (39 - step) / 39 for step in range(40)], abs=1e-9)
    record = json.loads((as_users / "jax" / "training.json").read_text())
    assert [rate for _, rate in record["learning_rate"]] == pytest.approx(rates)
