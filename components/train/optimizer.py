"""What training minimises and how: the loss, the optimizer, and its learning rate from step to step."""

import dataclasses
import math
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core.errors import one_line
from components.core.framework import load_keras
from components.train.errors import SettingsError, refuse_text_for_truth
from components.train.optimizer_spec import parse_optimizer

if TYPE_CHECKING:
    import keras

    from components.train.settings import TrainSettings


def make_loss(smoothing: float, mixed: bool = False) -> Callable[[Any, Any], Any]:
    """Categorical cross-entropy of logits, in the form that `keras.Model.compile` takes.

    Args:
        smoothing: the share of a label's certainty that is spread evenly over all classes (section 7 of
            https://arxiv.org/abs/1512.00567). The loss of a perfect answer is then above 0.
        mixed: whether training pictures are of several classes, each by its share.
    """
    keras = load_keras()
    if not smoothing and not mixed:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def crossentropy(labels: Any, logits: Any) -> Any:
        """int64 [n] or [n, 1], or float32 [n, classes], and float32 [n, classes] -> float32 [n]."""
        chosen = _shares(labels, logits)
        return keras.losses.categorical_crossentropy(chosen, logits, from_logits=True, label_smoothing=smoothing)

    return crossentropy


def make_metrics(mixed: bool = False, balanced: int = 0) -> list["keras.metrics.Metric"]:
    """The share of pictures whose likeliest class is the one that they show, or show the most of if they are mixed;
    and, of so many classes as are `balanced`, the mean of that over those that have pictures.

    Named only, Keras makes its variables as it traces the first step, and TensorFlow then traces that step again.
    """
    keras = load_keras()
    base: Any = keras.metrics.Metric
    ops = keras.ops

    def accuracy(labels: Any, logits: Any) -> Any:
        return keras.metrics.categorical_accuracy(_shares(labels, logits), logits)

    class BalancedAccuracy(base):
        def __init__(self) -> None:
            super().__init__(name="balanced_accuracy")
            self.pictures, self.found = (self.add_variable((balanced,), "zeros") for _ in range(2))

        def update_state(self, labels: Any, logits: Any, sample_weight: Any = None) -> None:
            shares = _shares(labels, logits)
            self.pictures.assign_add(ops.sum(shares, axis=0))
            self.found.assign_add(ops.sum(shares * accuracy(labels, logits)[:, None], axis=0))

        def result(self) -> Any:
            tested = ops.cast(self.pictures > 0, "float32")
            return ops.sum(self.found / ops.maximum(self.pictures, 1e-9)) / ops.maximum(ops.sum(tested), 1)

    mean = keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")
    plain = mean if mixed else keras.metrics.SparseCategoricalAccuracy("accuracy")
    return [plain, *([BalancedAccuracy()] if balanced else [])]


def _shares(labels: Any, logits: Any) -> Any:
    """Labels as float32 [n, classes]: as they are if they are shares, else 1 for the class of each."""
    ops = load_keras().ops
    if len(labels.shape) == 2 and "float" in load_keras().backend.standardize_dtype(labels.dtype):
        return labels
    return ops.one_hot(ops.reshape(labels, (-1,)), logits.shape[-1])


@dataclasses.dataclass(frozen=True)
class LearningRate:
    """The learning rate as a function of the step alone, so that a resumed run goes on exactly where it was.

    It rises in a line to its height, and from there "linear" and "cosine" fall to 0 at the last step: with "linear"
    that is the triangular, one-cycle schedule. All of it is lowered once frozen layers are trained too.

    Attributes:
        rising: the steps of the warm-up; the last of them has the whole height.
        steps: of the whole training.
        frozen: the steps in which some layers stay as they are.
        lowered: what the rate is multiplied by after these.
    """

    height: float
    rising: int
    steps: int
    schedule: str
    frozen: int = 0
    lowered: float = 1.0

    @classmethod
    def of(cls, settings: "TrainSettings", steps: int) -> "LearningRate":
        """What the settings ask of a training of so many steps."""
        frozen = settings.freeze_epochs * (steps // settings.epochs)
        rising = round(settings.warmup * steps)
        return cls(settings.learning_rate, rising, steps, settings.schedule, frozen, settings.unfreeze_rate)

    def at(self, step: Any, ops: ModuleType = np) -> Any:
        """The rate of a step (the first is 0), computed by NumPy or by keras.ops."""
        highest = max(self.rising - 1, 0)
        falling = self.steps - 1 - highest
        if self.schedule == "constant" or falling < 1:
            after = self.height
        else:
            left = ops.clip((self.steps - 1 - step) / falling, 0.0, 1.0)
            share = left if self.schedule == "linear" else (1 - ops.cos(math.pi * left)) / 2
            after = self.height * share
        whole = ops.where(step < self.rising, self.height * (step + 1) / max(self.rising, 1), after)
        return whole * ops.where(step < self.frozen, 1.0, self.lowered) if self.frozen else whole

    def for_keras(self, first: int = 0) -> Any:
        """The rate in the form that an optimizer takes.

        Args:
            first: the step of the training at which that optimizer begins.
        """
        if self.schedule == "constant" and not self.rising:
            return float(self.at(first))
        keras, rate = load_keras(), self
        base: Any = keras.optimizers.schedules.LearningRateSchedule

        class Schedule(base):
            def __call__(self, step: Any) -> Any:
                at = keras.ops.cast(step, "float32") + first
                return keras.ops.cast(rate.at(at, keras.ops), "float32")

        return Schedule()


def make_optimizer(
    settings: "TrainSettings", steps: int, policy: str = "float32", first: int = 0
) -> "keras.optimizers.Optimizer":
    """A fresh optimizer.

    Args:
        steps: the steps of the whole training; what a schedule spans.
        policy: the dtype policy of the model's layers. In float16 small gradients would be lost as zeros: there the
            loss is scaled up, and the gradients down again.
        first: the step of the training at which it begins.

    Raises:
        SettingsError: an argument that the optimizer doesn't have, or doesn't take.
    """
    keras = load_keras()
    name, arguments = parse_optimizer(settings.optimizer)
    classes: dict[str, Any] = {
        name.lower(): value for name, value in vars(keras.optimizers).items() if isinstance(value, type)
    }
    if name == "adam" and keras.backend.backend() == "tensorflow":
        from components.train.fused import fused_adam

        classes["adam"] = fused_adam()
    if name == "muon":
        from components.train.muon import conv_muon

        classes["muon"] = conv_muon()
    rate = LearningRate.of(settings, steps).for_keras(first)
    refuse_text_for_truth(f"optimizer: {name} doesn't take {arguments}", classes[name].__init__, arguments)
    try:
        optimizer = classes[name](learning_rate=rate, **arguments)
        if arguments and keras.distribution.distribution() is None:  # else weights lie on all devices, of all nodes

            def update() -> None:
                weights = [keras.Variable(np.zeros(shape, "float32")) for shape in ((1, 1, 1, 2), (2,))]
                classes[name](learning_rate=rate, **arguments).apply([weight.value for weight in weights], weights)

            # Keras computes with most arguments unseen: an update of two small weights finds those that it can't.
            # JAX only traces it, as it would compile each of 50 operations; TensorFlow takes 0.02 to 0.08 s of a core.
            if keras.backend.backend() == "jax":
                import jax

                jax.eval_shape(update)
            else:
                update()
    except Exception as error:  # Keras raises many kinds for a bad argument
        raise SettingsError(f"optimizer: {name} doesn't take {arguments}: {one_line(error)}") from None
    return keras.optimizers.LossScaleOptimizer(optimizer) if policy == "mixed_float16" else optimizer
