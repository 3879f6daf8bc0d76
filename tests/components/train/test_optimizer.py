import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.core.errors import PipelineError
from components.train.device import set_seed
from components.train.optimizer import LearningRate, make_loss, make_optimizer
from components.train.settings import TrainSettings


def weights_and_state(optimizer: keras.optimizers.Optimizer) -> list[np.ndarray]:
    """What 60 steps with the same random gradients, large and tiny, make of a weight and of the optimizer."""
    rng = np.random.default_rng(0)
    weight = keras.Variable(rng.normal(size=(30, 20)).astype("float32"))
    optimizer.build([weight])
    scale = 10.0 ** rng.uniform(-9, 2, (30, 20))
    for _ in range(60):
        optimizer.apply([tf.constant(rng.normal(size=(30, 20)) * scale, "float32")], [weight])
    return [keras.ops.convert_to_numpy(value) for value in (weight, *optimizer.variables)]


@pytest.mark.parametrize("settings", [{}, {"schedule": "linear"}, {"schedule": "cosine", "learning_rate": 0.1}])
@pytest.mark.parametrize("arguments", [{}, {"amsgrad": True}, {"epsilon": 0.01, "beta_1": 0.8}])
def test_adam_is_kerass_adam(settings: dict, arguments: dict) -> None:
    checked = TrainSettings(**settings, optimizer=json.dumps({"Adam": arguments}))
    ours = make_optimizer(checked, steps=60)
    theirs = keras.optimizers.Adam(LearningRate.of(checked, 60).for_keras(), **arguments)
    assert type(ours) is not type(theirs)
    for our, their in zip(weights_and_state(ours), weights_and_state(theirs), strict=True):
        assert our == pytest.approx(
            their, rel=1e-4, abs=5e-5
        )  # the kernel rounds 1 - 0.999 in float32, Keras in float64


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_adam_trains_as_kerass_does(policy: str) -> None:
    def losses(optimizer: keras.optimizers.Optimizer, run_eagerly: bool = False) -> list[float]:
        set_seed(0)
        values = np.random.default_rng(0).normal(size=(64, 10)).astype("float32")
        layers = [keras.Input((10,)), keras.layers.Dense(8, dtype=policy), keras.layers.Dense(1, dtype="float32")]
        model = keras.Sequential(layers)
        model.compile(optimizer, "mse", jit_compile=False, run_eagerly=run_eagerly)
        return model.fit(values, values[:, :1], epochs=5, shuffle=False, verbose=0).history["loss"]

    ours = losses(make_optimizer(TrainSettings(learning_rate=0.01), steps=10))
    assert ours == pytest.approx(losses(keras.optimizers.Adam(0.01), run_eagerly=True), rel=1e-3)
    assert ours[-1] < ours[0]


def test_a_sparse_gradient_takes_kerass_way() -> None:
    optimizer = make_optimizer(TrainSettings(), steps=1)
    table = keras.Variable(np.ones((4, 2), "float32"))
    optimizer.build([table])
    optimizer.apply([tf.IndexedSlices(tf.ones((1, 2)), tf.constant([2]), tf.constant([4, 2]))], [table])
    changed = keras.ops.convert_to_numpy(table) != 1
    assert changed[2].all()
    assert not changed[[0, 1, 3]].any()


def rates(steps: int, **settings) -> list[float]:
    """The rate of every step, as an optimizer has it; as NumPy computes it, it is the same."""
    checked = TrainSettings(learning_rate=0.1, **settings)
    optimizer, rate, found = make_optimizer(checked, steps), LearningRate.of(checked, steps), []
    for step in range(steps):
        optimizer.iterations.assign(step)
        found.append(float(keras.ops.convert_to_numpy(optimizer.learning_rate)))
        assert found[-1] == pytest.approx(float(rate.at(step)), abs=1e-7)
    return found


@pytest.mark.parametrize(
    ("schedule", "middle", "last"), [("constant", 0.1, 0.1), ("linear", 0.05, 0), ("cosine", 0.05, 0)]
)
def test_a_schedule_goes_from_the_height_to_its_end(schedule: str, middle: float, last: float) -> None:
    found = rates(11, schedule=schedule)
    assert [found[0], found[5], found[10]] == pytest.approx([0.1, middle, last], abs=1e-7)


def test_a_warm_up_rises_to_the_height_and_the_schedule_falls_to_nothing() -> None:
    assert rates(9, schedule="linear", warmup=0.55) == pytest.approx(
        [0.02, 0.04, 0.06, 0.08, 0.1, 0.075, 0.05, 0.025, 0], abs=1e-7
    )


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_a_warm_up_of_nearly_all_steps_rises_to_the_end(schedule: str, steps: int) -> None:
    found = rates(steps, schedule=schedule, warmup=0.99)
    assert found == pytest.approx([0.1 * (step + 1) / steps for step in range(steps)])


def test_a_training_of_one_step_has_the_whole_height_and_one_of_two_falls_from_it() -> None:
    assert rates(1, schedule="linear") == pytest.approx([0.1])
    assert rates(2, schedule="linear") == pytest.approx([0.1, 0])


def test_float16_scales_the_loss() -> None:
    """Gradients that are zeros in float16 by themselves arrive; without scaling this weight would stay what it is."""
    set_seed(0)
    layers = [
        keras.Input((1,)),
        keras.layers.Dense(1, dtype="mixed_float16", use_bias=False, kernel_initializer="ones"),
    ]
    model = keras.Sequential(layers)
    settings = TrainSettings(optimizer="sgd", learning_rate=1e6)
    model.compile(make_optimizer(settings, 10, "mixed_float16"), lambda _, found: found * 1e-8)
    model.fit(np.ones((4, 1), "float32"), np.ones((4, 1), "float32"), epochs=1, verbose=0)
    assert float(model.get_weights()[0][0, 0]) == pytest.approx(1 - 1e6 * 1e-8, rel=0.01)


def test_use_ema_is_refused_as_it_would_do_nothing() -> None:
    with pytest.raises(PipelineError, match="optimizer: use_ema has no effect here"):
        TrainSettings.checked(optimizer='{"Adam": {"use_ema": true}}')


def test_an_optimizers_arguments_reach_it() -> None:
    made = make_optimizer(TrainSettings(optimizer='{"SGD": {"momentum": 0.8, "nesterov": true}}'), steps=1)
    assert isinstance(made, keras.optimizers.SGD)
    assert (made.momentum, made.nesterov) == (0.8, True)


@pytest.mark.parametrize("arguments", ['{"momentun": 0.8}', '{"momentum": 3}', '{"momentum": 0.9, "nesterov": "no"}'])
def test_an_argument_that_cannot_be_is_refused(arguments: str) -> None:
    with pytest.raises(PipelineError, match="^optimizer: sgd doesn't take .*momentu"):
        make_optimizer(TrainSettings(optimizer=f'{{"SGD": {arguments}}}'), steps=1)


@pytest.mark.parametrize(
    ("name", "whose"),
    [("adam", "components.train.fused"), ("muon", "components.train.muon"), ("adamw", "keras"), ("lion", "keras")],
)
def test_names_are_kerass_but_for_two(name: str, whose: str) -> None:
    made = make_optimizer(TrainSettings(optimizer=name), steps=1)
    assert type(made).__name__.lower().removeprefix("fused") == name
    assert type(made).__module__.startswith(whose)


def test_a_smoothed_loss_is_the_papers() -> None:
    """(1 - s) times the label's cross-entropy and s times the mean of all classes', equation 3 of section 7."""
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], "float32")
    labels = np.array([0, 1])
    logs = -np.log(probabilities)
    expected = 0.8 * logs[[0, 1], labels] + 0.2 * logs.mean(axis=1)
    for given in (labels, labels[:, np.newaxis]):
        found = make_loss(0.2)(given, keras.ops.convert_to_tensor(np.log(probabilities)))
        assert keras.ops.convert_to_numpy(found) == pytest.approx(expected)


def test_without_smoothing_it_is_kerass() -> None:
    """Also far from the truth, where a loss of probabilities stays at 16."""
    logits = np.array([[0.0, 1000.0, 0.0], [3.0, 1.0, 2.0]], "float32")
    assert float(make_loss(0.0)(np.array([0, 0]), logits)) == pytest.approx((1000 + 0.40760596) / 2)
