"""Keras's fit with all that goes on around it: the feeds, the log, TensorBoard, the checkpoint."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core.artifacts.dataset import DatasetInfo
from components.core.artifacts.dataset_reading import MappedSplit, split_count
from components.core.wording import counted
from components.train.checkpoint import Checkpoint, restore_model_state
from components.train.data import Feed, make_feed
from components.train.device import Device, device_errors, processors_memory
from components.train.network.architecture import layer_names, parse_architecture
from components.train.optimizer import LearningRate
from components.train.phases import Phase, phases_after
from components.train.settings import TrainSettings

if TYPE_CHECKING:
    import keras

RATE_POINTS = 200


@dataclasses.dataclass(frozen=True)
class Fit:
    """One training.

    Attributes:
        policy: the dtype policy of the layers.
        rate: how the learning rate goes.
        key: the run's name in TensorBoard and among checkpoints.
        varied: the settings that a sweep varies.
        class_weights: float32 [classes], by which a training picture's loss is multiplied; None: by 1.
    """

    settings: TrainSettings
    info: DatasetInfo
    device: Device
    policy: str
    rate: LearningRate
    key: str
    varied: Collection[str] = ()
    class_weights: np.ndarray | None = None

    @property
    def verbose(self) -> str:
        """How much this process says; all but one of several say nothing."""
        return self.settings.verbose if self.device.leads else "0"

    def run(
        self,
        model: "keras.Model",
        dataset_path: str,
        tensorboard_path: str,
        upload_board: Callable[[], None],
        checkpoint: Checkpoint | None,
        saved: tuple[dict[str, np.ndarray], dict[str, Any]] | None,
    ) -> tuple[list[dict[str, Any]], Any]:
        """Trains the model, phase by phase: the history by epoch, and the best weights (callbacks.BestWeights).

        Args:
            upload_board: asks for the event files to be sent on.
            saved: what the checkpoint holds, to go on from.
        """
        from components.train.callbacks import BestWeights, EpochLog, SaveCheckpoint, StopAtNaN

        settings = self.settings
        training, validation = self._feeds(dataset_path)
        bar, line = self.verbose in ("auto", "1"), self.verbose != "0"
        log = EpochLog(settings.epochs, training.steps, training.count, settings.batch_size, self.rate, bar, line)
        best = BestWeights(
            settings.early_stopping_patience, line, settings.freeze_epochs, settings.end_below, settings.gate_metric
        )
        stop = StopAtNaN(training.steps, settings.epochs, self.rate)
        callbacks: list[Any] = [training.reorder, stop, log, best]
        callbacks.extend(self._shows(log, dataset_path, tensorboard_path, upload_board))
        if checkpoint and self.device.leads:
            callbacks.append(SaveCheckpoint(checkpoint, log, best))
        self._say(self._what_is_ahead(model, training))
        done = len(saved[1]["history"]) if saved else 0
        ahead = phases_after(settings, done)
        self._prepare(model, ahead[0])
        if checkpoint and saved:
            arrays, state = saved
            own = {name: array for name, array in arrays.items() if not name.startswith("best/")}
            restore_model_state(model, own, checkpoint.place, with_optimizer=done > ahead[0].first)
            log.history, log.by_step = state["history"], state["by_step"]
            best.restore(model, state, [arrays[name] for name in sorted(arrays.keys() - own.keys())])
            self._say(f"resumed from {checkpoint.place} after epoch {done}")
        with contextlib.ExitStack() as ending:
            for each in callbacks:
                if hasattr(each, "close"):
                    ending.callback(each.close)
            ending.enter_context(device_errors(settings.batch_size))
            for phase in ahead:
                if phase != ahead[0]:
                    self._prepare(model, phase)
                if settings.freeze:
                    self._say(self._what_trains(phase))
                end = done if best.ends_after(done) else phase.end
                self._train(model, max(phase.first, done), end, training, validation, callbacks)
        return log.history, best

    def _shows(
        self, log: Any, dataset_path: str, tensorboard_path: str, upload_board: Callable[[], None]
    ) -> Iterator[Any]:
        """The callbacks that show how it goes: in TensorBoard and MLflow."""
        from components.train.board.events import EventFiles, Histograms, hyperparameters
        from components.train.board.pictures import validation_pictures
        from components.train.board.tracking import tracked_run
        from components.train.callbacks import Curves

        shown = hyperparameters(self.settings, self.policy, self.varied)
        board = EventFiles(tensorboard_path, log, shown, self.key, upload_board)
        if self.device.processes == 1:  # else no process holds the whole model to ask it about pictures
            yield from validation_pictures(board, self.settings, dataset_path, self.info)
        if self.device.leads:
            if run := tracked_run():
                yield Curves(run, log)
            yield board
        if self.settings.histograms:
            yield Histograms(board, self.settings.histograms)

    def _train(
        self, model: "keras.Model", first: int, end: int, training: Feed, validation: Feed | None, callbacks: list[Any]
    ) -> None:
        """Keras's fit, of the epochs after the `first` up to the `end`."""
        from components.train.callbacks import Callbacks

        lengths = {"epochs": self.settings.epochs, "steps": training.steps}
        with self.device.scope():
            model.fit(
                training.batches,
                initial_epoch=first,
                epochs=end,
                validation_data=validation and validation.batches,
                callbacks=Callbacks(callbacks, add_history=True, model=model, **lengths),
                verbose=0,
                shuffle=False,
            )

    def _prepare(self, model: "keras.Model", phase: Phase) -> None:
        with self.device.scope():
            phase.prepare(model, self.settings, self.rate, self.policy, self.device.steps_a_call)

    def _say(self, line: str) -> None:
        if self.verbose != "0":
            print(line, flush=True)

    def _what_trains(self, phase: Phase) -> str:
        if not phase.frozen:
            return f"all layers train from epoch {phase.first + 1} on, at {self.settings.unfreeze_rate:g} of the rate"
        names = layer_names(parse_architecture(self.settings.architecture))
        frozen = ", ".join(names[place] for place in sorted(phase.frozen))
        return f"frozen to the end of epoch {phase.end}: {frozen}"

    def _feeds(self, dataset_path: str) -> tuple[Feed, Feed | None]:
        """The training split and the validation split; None if there is none."""
        settings, info = self.settings, self.info
        pictures = split_count(info, "train") + split_count(info, "validation")
        size, memory = pictures * math.prod(info.image_shape), processors_memory()
        on_device, cached = self.device.has_room_for(size), memory is None or 2 * size <= memory
        split = MappedSplit(dataset_path, info, "train", cached)
        training = make_feed(split, settings.batch_size, settings.seed, on_device)
        if not split_count(info, "validation"):
            return training, None
        split = MappedSplit(dataset_path, info, "validation", cached)
        return training, make_feed(split, settings.batch_size, on_device=on_device)

    def _what_is_ahead(self, model: "keras.Model", training: Feed) -> str:
        asked = " (auto)" if self.settings.precision == "auto" else ""
        steps = counted(training.steps, "step")
        return (
            f"training {model.count_params():,} parameters on {training.count:,} images, batch size "
            f"{self.settings.batch_size}, {steps} per epoch; {self.device.name}, {self.policy}{asked}"
        )


def curve_of(rate: LearningRate, trained: int, epochs: int) -> list[list[float]]:
    """What the learning rate did: at most RATE_POINTS points (epochs done before a step, the step's rate)."""
    steps = rate.steps // epochs
    chosen = np.unique(np.linspace(0, trained * steps - 1, RATE_POINTS).round())
    return [[round(float(step) / steps, 4), float(rate.at(step))] for step in chosen]
