"""Frozen layers: what stays as it is and for how long, at what rate it goes on, and what is refused."""

import json

import keras
import numpy as np
import pytest

from components.core.artifacts.model import load_model
from components.core.errors import PipelineError
from components.train.network.architecture import frozen_places, layer_names, parse_architecture
from components.train.optimizer import LearningRate
from components.train.phases import Phase, phases_after
from components.train.run import train
from components.train.settings import TrainSettings

BODY = (
    '[{"Conv2D": {"filters": 4, "kernel_size": 3}}, "BatchNormalization", {"Conv2D": {"filters": 4, "kernel_size": 3, '
    '"trainable": false}}, {"Conv2D": {"filters": 4, "kernel_size": 3, "name": "last"}}, "Flatten"]'
)
COMMON = {"architecture": BODY, "batch_size": 250, "verbose": "2", "seed": 5, "learning_rate": 0.01}


def test_layers_are_frozen_for_so_many_epochs_and_then_train_at_a_lower_rate(
    unjudged_digits, tmp_path, capsys, monkeypatch
):
    """BatchNormalization keeps its statistics while it is frozen."""
    before_each_phase, rates, prepare = [], [], Phase.prepare

    def noted(phase: Phase, model: keras.Model, *arguments) -> None:
        before_each_phase.append(model.get_weights())
        prepare(phase, model, *arguments)
        rates.append(float(model.optimizer.learning_rate))

    monkeypatch.setattr(Phase, "prepare", noted)
    settings = TrainSettings(**COMMON, epochs=2, freeze="2", freeze_epochs=1, unfreeze_rate=0.25)
    train(settings, unjudged_digits, str(tmp_path / "model"), str(tmp_path / "board"))
    fresh, frozen = before_each_phase
    thawed = load_model(tmp_path / "model" / "model.keras").get_weights()
    said = capsys.readouterr().out
    # Kernel and bias, then scale, offset and two statistics: the first six arrays are those of the frozen layers.
    changed = [not np.array_equal(a, b) for a, b in zip(fresh, frozen, strict=True)]
    assert changed == [*[False] * 8, *[True] * 4]
    changed = [not np.array_equal(a, b) for a, b in zip(frozen, thawed, strict=True)]
    assert changed == [*[True] * 6, False, False, *[True] * 4]  # a layer that is never to be trained stays so
    assert "frozen to the end of epoch 1: conv2d, batch_normalization" in said
    assert "all layers train from epoch 2 on, at 0.25 of the rate" in said
    history = json.loads((tmp_path / "model" / "training.json").read_text())["history"]
    assert [entry["learning_rate"] for entry in history] == pytest.approx(rates) == [0.01, 0.0025]
    assert len(list((tmp_path / "board" / "train").iterdir())) == 1  # one run in TensorBoard, not one a phase


def test_each_phase_goes_on_with_the_rate_of_its_step():
    settings = TrainSettings(epochs=4, schedule="linear", freeze="1", freeze_epochs=1, unfreeze_rate=0.5)
    rate = LearningRate.of(settings, 40)
    plain = LearningRate.of(TrainSettings(epochs=4, schedule="linear"), 40)
    assert rate.at(9) == plain.at(9)
    assert rate.at(10) == pytest.approx(plain.at(10) / 2)
    assert float(rate.for_keras(10)(0)) == pytest.approx(rate.at(10))
    constant = LearningRate.of(TrainSettings(epochs=4, freeze="1", freeze_epochs=1), 40)
    assert (constant.for_keras(), constant.for_keras(10)) == (0.001, 0.0001)


def test_what_muon_is_to_leave_out_is_a_layer_of_the_model(unjudged_digits, tmp_path):
    settings = TrainSettings(**COMMON, optimizer="{Muon: {exclude_layers: [lst]}}")
    with pytest.raises(PipelineError, match="^optimizer: exclude_layers: unknown layer 'lst'; did you mean 'last'"):
        train(settings, unjudged_digits, str(tmp_path / "model"), str(tmp_path / "board"))


def test_phases():
    def ahead(done: int, **changes) -> list[Phase]:
        return phases_after(TrainSettings(epochs=3, **changes), done)

    frozen, both = frozenset({0}), {"freeze": "1", "freeze_epochs": 2}
    assert ahead(0) == [Phase(0, 3)]
    assert ahead(0, **both) == [Phase(0, 2, frozen), Phase(2, 3)]
    assert ahead(2, **both) == ahead(3, **both) == [Phase(2, 3)]
    assert ahead(0, freeze="1", freeze_epochs=3) == [Phase(0, 3, frozen)]


def test_layers_are_named_as_keras_names_them():
    layers = parse_architecture(
        '["ReLU", "PReLU", {"Conv2D": {"filters": 1, "kernel_size": 1}}, "GlobalMaxPooling2D", "ReLU", '
        '{"Dense": {"units": 1, "name": "mine"}}, {"Dense": {"units": 1}}]'
    )
    keras.utils.clear_session()
    built = [getattr(keras.layers, spec.type)(**spec.arguments).name for spec in layers]
    assert layer_names(layers)[:6] == built[:6]
    assert layer_names(layers)[6] == "dense_1"  # its place among those of its type, those with names too
    assert frozen_places("mine, p_re_lu", layers) == frozen_places('["mine", "p_re_lu"]', layers) == [1, 5]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"freeze": "6", "freeze_epochs": 1}, "freeze: expected 1 to 5, as many layers as the architecture has"),
        ({"freeze": "0", "freeze_epochs": 1}, "freeze: expected 1 to 5"),
        ({"freeze": "conv2d_9", "freeze_epochs": 1}, "unknown layer 'conv2d_9'; did you mean 'conv2d_1'"),
        ({"freeze": "backbone", "freeze_epochs": 1}, "freeze: unknown layer 'backbone'; known: "),
        ({"freeze": "1"}, "freeze_epochs: expected 1 or more with freeze, received 0"),
        ({"freeze": "1", "freeze_epochs": 4, "epochs": 3}, "freeze_epochs: expected at most the 3 epochs"),
        ({"freeze_epochs": 1}, "freeze: expected layers with freeze_epochs, received none"),
    ],
)
def test_what_cannot_be_frozen_is_refused_before_training(changes, said):
    with pytest.raises(PipelineError, match=said):
        TrainSettings.checked(architecture=BODY, **changes)
