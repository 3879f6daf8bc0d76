"""The model as it trains: its batches are changed, and weighed by class, before they reach it. Validation asks it
what evaluate asks the model that is saved, and its loss is that of the test: cross-entropy alone."""

from typing import Any

import numpy as np

from components.core.framework import load_keras
from components.train.network.augment import Augmentation


def training_model_class(
    augmentation: Augmentation | None, class_weights: np.ndarray | None, average_mirrored: bool = False
) -> type:
    """The class of the model to train.

    A training step augments its batch, and multiplies the loss of each picture by the weight of its class; a picture
    that is of several classes (MixUp, CutMix) has the mean of their weights, by their shares. The mean over the batch
    is then taken over pictures, not over weights, as Keras does it. Validation is never weighed, nor is the accuracy.

    Args:
        class_weights: float32 [classes].
        average_mirrored: whether it answers with the mean over a picture and its mirror image, but in training.
    """
    keras = load_keras()
    ops = keras.ops
    base: Any = keras.Model

    class Regularized(base):
        @property
        def losses(self) -> list[Any]:
            """In float32: Keras on TensorFlow adds no bfloat16, a layer's activity regularizer's, to the loss."""
            return [ops.cast(loss, "float32") for loss in super().losses]

        def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
            logits = super().call(inputs, training=training, mask=mask)
            if training or not average_mirrored:
                return logits
            mirrored = super().call(ops.flip(inputs, axis=2), training=training, mask=mask)
            return ops.logaddexp(ops.log_softmax(logits), ops.log_softmax(mirrored))

        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
        ) -> Any:
            """In training with label smoothing and what regularizers add, in validation without."""
            if training:
                return super().compute_loss(x, y, y_pred, sample_weight, training)
            return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, y_pred)

    if augmentation is None and class_weights is None:
        return Regularized

    class TrainingModel(Regularized):
        def __init__(self, *arguments: Any, **named: Any):
            super().__init__(*arguments, **named)
            # Keras finds in here the seeds, which are a part of the model's state.
            self.augmentation_layers = augmentation.layers if augmentation else []

        def changed(self, data: tuple) -> tuple[Any, Any, Any]:
            pictures, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
            if augmentation:
                pictures, labels = augmentation(pictures, labels, self.output_shape[-1])
            if class_weights is None:
                return pictures, labels, None
            if augmentation and augmentation.mixes:
                return pictures, labels, ops.matmul(labels, ops.convert_to_tensor(class_weights)[:, None])[:, 0]
            return pictures, labels, ops.take(ops.convert_to_tensor(class_weights), ops.reshape(labels, (-1,)))

        def for_jax(self, state: tuple, data: tuple) -> Any:
            trainable, others, *rest = state
            variables = self.non_trainable_variables
            with keras.StatelessScope(state_mapping=list(zip(variables, others, strict=True))) as scope:
                data = self.changed(data)
            others = [scope.get_current_value(variable) for variable in variables]
            return super().train_step((trainable, others, *rest), data)

        def for_tensorflow(self, data: tuple) -> Any:
            return super().train_step(self.changed(data))

        train_step = for_jax if keras.backend.backend() == "jax" else for_tensorflow

    return TrainingModel
