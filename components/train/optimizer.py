"""The optimizer that the settings name, and how its learning rate goes from step to step."""

from typing import TYPE_CHECKING, Any

from components.core.errors import PipelineError, one_line
from components.core.framework import load_keras
from components.train.optimizer_spec import parse_optimizer
from components.train.settings import TrainSettings

if TYPE_CHECKING:
    import keras


def make_optimizer(settings: TrainSettings, steps: int) -> "keras.optimizers.Optimizer":
    """A fresh optimizer.

    Args:
        steps: the steps of the whole training; what a schedule spans.

    Raises:
        PipelineError: an argument that the optimizer doesn't have, or doesn't take.
    """
    keras = load_keras()
    name, arguments = parse_optimizer(settings.optimizer)
    classes = {name.lower(): value for name, value in vars(keras.optimizers).items() if isinstance(value, type)}
    if name == "adam" and keras.backend.backend() == "tensorflow":
        from components.train.fused import fused_adam

        classes["adam"] = fused_adam()
    if name == "muon":
        from components.train.muon import conv_muon

        classes["muon"] = conv_muon()
    try:
        return classes[name](learning_rate=learning_rate(settings, steps), **arguments)
    except Exception as error:  # Keras raises many kinds for a bad argument
        raise PipelineError(f"optimizer: {name} doesn't take {arguments}: {one_line(error)}") from None


def learning_rate(settings: TrainSettings, steps: int) -> Any:
    """The learning rate as Keras takes it: a number, or a function of the step alone, so that a resumed run goes on
    exactly where it was. It rises in a line over the warm-up's share of the steps, if there is one, and "linear" and
    "cosine" fall from there to 0 at the last step: with "linear" that is the triangular, one-cycle schedule."""
    schedules = load_keras().optimizers.schedules
    rising = round(settings.warmup * steps)
    height = settings.learning_rate
    if settings.schedule == "linear":
        falling = schedules.PolynomialDecay(height, steps - rising, end_learning_rate=0.0)
    elif settings.schedule == "cosine":
        falling = schedules.CosineDecay(height, steps - rising)
    else:
        falling = height
    return _warm_up(height, rising, falling) if rising else falling


def _warm_up(height: float, rising: int, then: Any) -> Any:
    keras = load_keras()

    class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
        """From height / rising at the first step to height at step `rising`; after that as `then` says."""

        def __call__(self, step: Any) -> Any:
            step = keras.ops.cast(step, "float32")
            after = then(step - rising) if callable(then) else then
            return keras.ops.where(step < rising, height * (step + 1) / rising, after)

        def get_config(self) -> dict[str, Any]:
            return {"height": height, "rising": rising}

    return WarmUp()


def current_learning_rate(optimizer: "keras.optimizers.Optimizer") -> float:
    """The rate of the optimizer's next step."""
    return float(load_keras().ops.convert_to_numpy(optimizer.learning_rate))


def learning_rate_while_fitting(model: "keras.Model") -> float:
    """The rate of the model's next step, asked for by a callback, also between two steps of an epoch."""
    if load_keras().backend.backend() == "jax":
        model.jax_state_sync()  # there, fit keeps the variables' values to itself
    return current_learning_rate(model.optimizer)
