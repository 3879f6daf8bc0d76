import keras
import numpy as np
import pytest
import tensorflow as tf

from components.core.errors import PipelineError
from components.train.optimizer import current_learning_rate, make_optimizer
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
def test_adam_is_kerass_adam(settings: dict) -> None:
    ours = make_optimizer(TrainSettings(**settings), steps=60)
    theirs = keras.optimizers.Adam.from_config(ours.get_config())
    assert type(ours) is not type(theirs)
    for our, their in zip(weights_and_state(ours), weights_and_state(theirs), strict=True):
        assert our == pytest.approx(
            their, rel=1e-4, abs=5e-5
        )  # the kernel rounds 1 - 0.999 in float32, Keras in float64


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_adam_trains_as_kerass_does(policy: str) -> None:
    def losses(optimizer: keras.optimizers.Optimizer) -> list[float]:
        keras.utils.set_random_seed(0)
        values = np.random.default_rng(0).normal(size=(64, 10)).astype("float32")
        layers = [keras.Input((10,)), keras.layers.Dense(8, dtype=policy), keras.layers.Dense(1, dtype="float32")]
        model = keras.Sequential(layers)
        model.compile(optimizer, "mse", jit_compile=False)
        return model.fit(values, values[:, :1], epochs=5, shuffle=False, verbose=0).history["loss"]

    ours = losses(make_optimizer(TrainSettings(learning_rate=0.01), steps=10))
    assert ours == pytest.approx(losses(keras.optimizers.Adam(0.01)), rel=1e-3)
    assert ours[-1] < ours[0]


def test_a_sparse_gradient_takes_kerass_way() -> None:
    optimizer = make_optimizer(TrainSettings(), steps=1)
    table = keras.Variable(np.ones((4, 2), "float32"))
    optimizer.build([table])
    optimizer.apply([tf.IndexedSlices(tf.ones((1, 2)), tf.constant([2]), tf.constant([4, 2]))], [table])
    changed = keras.ops.convert_to_numpy(table) != 1
    assert changed[2].all()
    assert not changed[[0, 1, 3]].any()


@pytest.mark.parametrize(("schedule", "expected"), [("constant", 0.1), ("linear", 0.05), ("cosine", 0.05)])
def test_a_schedule_is_a_function_of_the_step(schedule: str, expected: float) -> None:
    optimizer = make_optimizer(TrainSettings(schedule=schedule, learning_rate=0.1), steps=100)
    assert current_learning_rate(optimizer) == pytest.approx(0.1)
    optimizer.iterations.assign(50)
    assert current_learning_rate(optimizer) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_a_warm_up_rises_to_the_height_and_the_schedule_follows(schedule: str) -> None:
    settings = {"schedule": schedule, "learning_rate": 0.1}
    warm = make_optimizer(TrainSettings(warmup=0.2, **settings), steps=100)
    plain = make_optimizer(TrainSettings(**settings), steps=80)
    for step, expected in ((0, 0.005), (9, 0.05), (19, 0.1)):
        warm.iterations.assign(step)
        assert current_learning_rate(warm) == pytest.approx(expected)
    for step in (20, 60, 99):
        warm.iterations.assign(step)
        plain.iterations.assign(step - 20)
        assert current_learning_rate(warm) == pytest.approx(current_learning_rate(plain), abs=1e-7)


def test_an_optimizers_arguments_reach_it() -> None:
    made = make_optimizer(TrainSettings(optimizer='{"SGD": {"momentum": 0.8, "nesterov": true}}'), steps=1)
    assert isinstance(made, keras.optimizers.SGD)
    assert (made.momentum, made.nesterov) == (0.8, True)


@pytest.mark.parametrize("arguments", ['{"momentun": 0.8}', '{"momentum": 3}'])
def test_an_argument_that_cannot_be_is_refused(arguments: str) -> None:
    with pytest.raises(PipelineError, match="^optimizer: sgd doesn't take .*momentu"):
        make_optimizer(TrainSettings(optimizer=f'{{"SGD": {arguments}}}'), steps=1)


@pytest.mark.parametrize("name", ["adam", "sgd", "muon", "lion"])
def test_other_names_are_kerass(name: str) -> None:
    made = make_optimizer(TrainSettings(optimizer=name), steps=1)
    assert type(made).__name__.lower().removeprefix("fused") == name
