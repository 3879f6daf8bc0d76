"""Model artifacts that are better or worse than each other, and registries that hold one as the champion."""

import json
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from components.core.artifacts.dataset import DatasetInfo, read_info
from components.core.artifacts.evaluation import Decision, read_decision
from components.core.artifacts.model import load_model
from components.core.artifacts.picture_hashes import LEARNED_FILE, learned_hashes, write_hashes
from components.core.registry import Registry
from components.evaluate.run import evaluate
from components.evaluate.settings import EvaluateSettings
from components.export.formats.saved_model import write_saved_model
from components.train.run import train
from components.train.settings import TrainSettings
from tests.conftest import Trained
from tests.datasets import load_split

MUCH = 8.0  # a bias that ruins a model


@pytest.fixture(scope="session")
def linear(digits_with_test, tmp_path_factory) -> Trained:
    """A network of one layer after three epochs: right mostly, wrong sometimes, the quickest to load and ask."""
    place = tmp_path_factory.mktemp("linear")
    settings = {"epochs": 3, "batch_size": 20, "learning_rate": 0.02, "architecture": '[{"Flatten": {}}]'}
    train(TrainSettings(**settings, verbose="0"), digits_with_test, str(place / "model"), str(place / "board"))
    return Trained(digits_with_test, str(place / "model"))


@pytest.fixture(scope="session")
def biased(linear, tmp_path_factory) -> Callable[[float], str]:
    """Makes a model artifact of `linear` with the first class favoured: the more, the worse it is. NaN: broken.

    The last layer's bias is what a test can turn without another training.
    """
    made = {}

    def make(bias: float) -> str:
        if bias not in made:
            place = tmp_path_factory.mktemp("biased") / "model"
            shutil.copytree(linear.model, place)
            model = load_model(place / "model.keras")
            kernel, old = model.layers[-1].get_weights()
            model.layers[-1].set_weights([kernel, old + np.eye(len(old), dtype=np.float32)[0] * bias])
            model.save(place / "model.keras")
            made[bias] = str(place)
        return made[bias]

    return make


@pytest.fixture(scope="session")
def slight(linear, biased) -> float:
    """A bias that costs `linear` 1 to 3 of its 500 answers: worse, but who could tell."""
    pictures, labels = load_split(linear.dataset, read_info(linear.dataset), "test")
    logits = np.log(load_model(f"{linear.model}/model.keras").predict(pictures, verbose=0) + 1e-30)
    right = (logits.argmax(axis=1) == labels).sum()

    def lost(bias: float) -> int:
        return int(right - ((logits + np.eye(10)[0] * bias).argmax(axis=1) == labels).sum())

    return next(bias for bias in np.arange(0.1, 5, 0.05).tolist() if 1 <= lost(bias) <= 3)


@pytest.fixture(scope="session")
def saved(linear, biased, tmp_path_factory) -> Callable[..., pathlib.Path]:
    """Writes the SavedModel of `biased`, described as the data set says, but for `changes`."""
    made = {}

    def write(bias: float, **changes) -> pathlib.Path:
        key = json.dumps([bias, changes])
        if key not in made:
            info = DatasetInfo.model_validate(read_info(linear.dataset).model_dump() | changes)
            made[key] = tmp_path_factory.mktemp("saved") / "1"
            write_saved_model(load_model(f"{biased(bias)}/model.keras"), info, made[key])
        return made[key]

    return write


@pytest.fixture
def crowned(linear, tmp_path) -> Callable[..., Registry]:
    """Publishes a SavedModel as the champion of `digits`.

    It has learned from the training and validation pictures of `linear`, or from those of the hashes given; if these
    are None, it does not say.
    """
    own = learned_hashes(linear.dataset, read_info(linear.dataset))

    def crown(uri: str, saved_model: pathlib.Path, learned: np.ndarray | None = own) -> Registry:
        registry, extras = Registry(uri), {}
        if learned is not None:
            extras[LEARNED_FILE] = tmp_path / LEARNED_FILE
            write_hashes(extras[LEARNED_FILE], learned)
        registry.promote("digits", registry.publish("digits", saved_model, extras).number)
        return registry

    return crown


@pytest.fixture
def outputs(tmp_path) -> list[str]:
    """Where an evaluation's artifact, its report and its event files go."""
    return [str(tmp_path / name) for name in ("evaluation", "report", "board")]


@pytest.fixture
def judge(linear, outputs):
    """Evaluates a model artifact, against the champion of `digits` if a registry is named; gives the decision, as it is
    read back from the artifact."""

    def judged(model: str, registry: str = "", dataset: str = "", **settings) -> Decision:
        chosen = EvaluateSettings(behaviour="off", publish_uri=registry, model_name="digits", **settings)
        facts, _ = evaluate(chosen, dataset or linear.dataset, model, *outputs)
        decision = read_decision(outputs[0])
        assert decision == facts.decision
        return decision

    return judged
