"""The phases of a training: with `freeze`, some layers stay as they are at first, and then all train at a lower rate.

A phase has an optimizer of its own: what one has gathered about some weights says nothing about the others.
"""

import dataclasses
import re
from typing import TYPE_CHECKING

from components.core.errors import nearest
from components.train.device import compiles
from components.train.errors import SettingsError
from components.train.network.architecture import frozen_places, parse_architecture
from components.train.network.augmentation import mixes_labels
from components.train.optimizer import LearningRate, make_loss, make_metrics, make_optimizer
from components.train.optimizer_spec import parse_optimizer

if TYPE_CHECKING:
    import keras

    from components.train.settings import TrainSettings


@dataclasses.dataclass(frozen=True)
class Phase:
    """The epochs after the `first` up to the `end`.

    Attributes:
        frozen: the places in the architecture, from 0, of the layers that stay as they are.
    """

    first: int
    end: int
    frozen: frozenset[int] = frozenset()

    def prepare(
        self, model: "keras.Model", settings: "TrainSettings", rate: LearningRate, policy: str, steps: int
    ) -> None:
        """Compiles the model that trains for this phase, with a fresh optimizer.

        Args:
            steps: how many the device takes at a call.
        """
        if settings.freeze:
            # A frozen BatchNormalization keeps its statistics too: Keras has it infer.
            layers = parse_architecture(settings.architecture)
            start = [layer.name for layer in model.layers].index("scale") + 1
            for place, (spec, layer) in enumerate(zip(layers, model.layers[start:], strict=False)):
                layer.trainable = place not in self.frozen and spec.arguments.get("trainable", True)
        refuse_unknown_layers(settings.optimizer, model)
        first_step = self.first * (rate.steps // settings.epochs)
        mixed = mixes_labels(settings.augmentation)
        model.compile(
            optimizer=make_optimizer(settings, rate.steps, policy, first_step),
            loss=make_loss(settings.label_smoothing, mixed),
            metrics=make_metrics(mixed, model.output_shape[-1] if settings.gate_metric == "balanced_accuracy" else 0),
            steps_per_execution=steps,
            jit_compile=compiles(model, augmented=bool(settings.augmentation)),
        )
        model.optimizer.build(model.trainable_variables)  # here, as the first step would be traced twice otherwise


def refuse_unknown_layers(optimizer: str, model: "keras.Model") -> None:
    """Refuses exclude_layers that no weight's path has in it: Muon would train what it was to leave to AdamW."""
    for name in parse_optimizer(optimizer)[1].get("exclude_layers") or ():
        if not any(re.search(name, weight.path) for weight in model.weights):
            known = nearest(name, [layer.name for layer in model.layers if layer.weights])
            raise SettingsError(f"optimizer: exclude_layers: unknown layer {name!r}; {known}")


def phases_after(settings: "TrainSettings", done: int) -> list[Phase]:
    """What is ahead after so many epochs; the last phase if nothing is."""
    frozen = frozen_places(settings.freeze, parse_architecture(settings.architecture))
    thaw = settings.freeze_epochs
    every = [Phase(0, thaw, frozenset(frozen)), Phase(thaw, settings.epochs)]
    every = [phase for phase in every if phase.end > phase.first]
    return [phase for phase in every if phase.end > done] or every[-1:]
