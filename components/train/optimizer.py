"""The optimizer that the settings name, and how its learning rate goes from step to step.

Adam is Keras's Adam with its update done by one TensorFlow kernel a weight instead of a dozen operations, each a pass
over memory: nearly all of the article's 11 million weights lie in one Dense layer, and their update is a sixth of its
float32 step.
"""

from typing import TYPE_CHECKING, Any

from components.core.framework import load_keras
from components.train.settings import TrainSettings

if TYPE_CHECKING:
    import keras


def make_optimizer(settings: TrainSettings, steps: int) -> "keras.optimizers.Optimizer":
    """A fresh optimizer.

    Args:
        steps: the steps of the whole training; what a schedule spans.
    """
    keras = load_keras()
    classes = {name.lower(): value for name, value in vars(keras.optimizers).items() if isinstance(value, type)}
    if keras.backend.backend() == "tensorflow":
        classes["adam"] = _fused_adam()
    return classes[settings.optimizer](learning_rate=learning_rate(settings, steps))


def learning_rate(settings: TrainSettings, steps: int) -> Any:
    """The learning rate as Keras takes it: a number, or a function of the step alone, so that a resumed run goes on
    exactly where it was. "linear" and "cosine" fall from the set rate to 0 at the last step."""
    schedules = load_keras().optimizers.schedules
    if settings.schedule == "linear":
        return schedules.PolynomialDecay(settings.learning_rate, steps, end_learning_rate=0.0)
    if settings.schedule == "cosine":
        return schedules.CosineDecay(settings.learning_rate, steps)
    return settings.learning_rate


def current_learning_rate(optimizer: "keras.optimizers.Optimizer") -> float:
    """The rate of the optimizer's next step."""
    return float(load_keras().ops.convert_to_numpy(optimizer.learning_rate))


def _fused_adam() -> type:
    """Builds the class when Keras is there to derive it from."""
    import keras
    import tensorflow as tf

    class FusedAdam(keras.optimizers.Adam):
        """keras.optimizers.Adam, the same formula (algorithm 1 of https://arxiv.org/abs/1412.6980 in the order of its
        section 2, epsilon outside the bias correction), computed by `ResourceApplyAdam`."""

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            if self.amsgrad or isinstance(gradient, tf.IndexedSlices):
                super().update_step(gradient, variable, learning_rate)
                return
            dtype = variable.dtype
            step = tf.cast(tf.convert_to_tensor(self.iterations) + 1, dtype)
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyAdam(
                var=_handle(variable),
                m=_handle(self._momentums[index]),
                v=_handle(self._velocities[index]),
                beta1_power=tf.pow(tf.cast(self.beta_1, dtype), step),
                beta2_power=tf.pow(tf.cast(self.beta_2, dtype), step),
                lr=tf.cast(learning_rate, dtype),
                beta1=tf.cast(self.beta_1, dtype),
                beta2=tf.cast(self.beta_2, dtype),
                epsilon=tf.cast(self.epsilon, dtype),
                grad=tf.cast(gradient, dtype),
            )

    def _handle(variable: Any) -> Any:
        return (variable.value if isinstance(variable, keras.Variable) else variable).handle

    return FusedAdam
