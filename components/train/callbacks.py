"""What happens while Keras trains: the log, the bar, the best weights, the stop at a lost loss."""

import math
import time
from typing import Any

import numpy as np

from components.core.errors import PipelineError
from components.core.framework import load_keras
from components.core.progress import Progress, duration
from components.train.checkpoint import Checkpoint, model_state
from components.train.optimizer import learning_rate_while_fitting

keras = load_keras()


class EpochLog(keras.callbacks.Callback):
    """Times the epochs, keeps their history, prints one line each and draws a bar within them.

    Validation and what other callbacks do between epochs don't count into images per second.
    """

    def __init__(self, epochs: int, steps: int, count: int, batch_size: int, bar: bool, line: bool):
        super().__init__()
        self.epochs, self.steps, self.count, self.batch_size = epochs, steps, count, batch_size
        self.bar, self.line = bar, line
        self.history: list[dict[str, Any]] = []
        self.by_step: list[list[float]] = []  # TensorBoard's points (board.py), kept here for the checkpoint
        self.progress = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.began = time.perf_counter()
        self.learning_rate = learning_rate_while_fitting(self.model)
        self.last_step = -1
        if self.bar:
            self.progress = Progress(f"epoch {epoch + 1}/{self.epochs}", self.count, "images")
            self.progress.__enter__()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self.progress:
            done = min((batch + 1) * self.batch_size, self.count) - min(
                (self.last_step + 1) * self.batch_size, self.count
            )
            self.progress.advance(done, f"loss {float(logs['loss']):.4f}")
        self.last_step = batch
        if batch + 1 >= self.steps:
            self.trained = time.perf_counter()
            self.close()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        seconds = self.trained - self.began
        entry = {
            "epoch": epoch + 1,
            **{name: float(value) for name, value in (logs or {}).items()},
            "learning_rate": self.learning_rate,
            "images_per_second": round(self.count / seconds, 1),
            "seconds": round(time.perf_counter() - self.began, 3),
        }
        self.history.append(entry)
        if self.line:
            print(epoch_line(entry, self.epochs), flush=True)

    def close(self) -> None:
        """Clears the bar, also one that an error left half-way."""
        if self.progress:
            self.progress.__exit__(None, None, None)
            self.progress = None


def epoch_line(entry: dict[str, Any], epochs: int) -> str:
    """`epoch  3/25  loss 0.9123  accuracy 0.6812  val_loss 1.0011  val_accuracy 0.6502  1,420 images/s  28 s`."""
    scores = [f"{name} {entry[name]:.4f}" for name in ("loss", "accuracy", "val_loss", "val_accuracy") if name in entry]
    number = f"{entry['epoch']:>{len(str(epochs))}}/{epochs}"
    seconds = entry["seconds"]
    took = f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
    return "  ".join([f"epoch {number}", *scores, f"{entry['images_per_second']:,.0f} images/s", took])


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the best epoch: the highest validation accuracy, the earlier of equals.

    Without a validation split there is nothing to judge by, and the last epoch counts as the best.

    Args:
        patience: training stops after so many epochs without a better one; 0: it never stops early.
        line: whether to print that.
    """

    def __init__(self, patience: int, line: bool = True):
        super().__init__()
        self.patience, self.line = patience, line
        self.epoch, self.accuracy, self.weights = 0, None, None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        accuracy = (logs or {}).get("val_accuracy")
        if accuracy is None or self.accuracy is None or accuracy > self.accuracy:
            self.epoch, self.weights = epoch + 1, self.model.get_weights()
            self.accuracy = None if accuracy is None else float(accuracy)
        elif self.patience_lost(epoch + 1):
            if self.line:
                print(f"no better validation accuracy for {self.patience} epochs: stopped after epoch {epoch + 1}")
            self.model.stop_training = True

    def patience_lost(self, epochs: int) -> bool:
        """Whether training ends after so many epochs."""
        return bool(self.patience) and epochs - self.epoch >= self.patience

    def restore(self, model: "keras.Model", state: dict[str, Any], weights: list[np.ndarray]) -> None:
        """Goes on from a checkpoint; one whose last epoch was the best holds its weights only once, as the model's."""
        self.epoch, self.accuracy = state["best_epoch"], state["best_accuracy"]
        self.weights = weights or model.get_weights()


class SaveCheckpoint(keras.callbacks.Callback):
    """Writes the checkpoint after each epoch, once all else that the epoch's end does is done."""

    def __init__(self, checkpoint: Checkpoint, log: EpochLog, best: BestWeights):
        super().__init__()
        self.checkpoint, self.log, self.best = checkpoint, log, best

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        arrays = model_state(self.model)
        if self.best.epoch != epoch + 1:
            arrays |= {f"best/{place:04d}": weight for place, weight in enumerate(self.best.weights)}
        best = {"best_epoch": self.best.epoch, "best_accuracy": self.best.accuracy}
        self.checkpoint.save(arrays, {"history": self.log.history, "by_step": self.log.by_step, **best})


class StopAtNaN(keras.callbacks.Callback):
    """Ends training where the loss is no number any more: nothing good comes after that."""

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._check(float(logs["loss"]), f"at step {self.epoch * self.steps + batch + 1} (epoch {self.epoch + 1})")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs and "val_loss" in logs:
            self._check(float(logs["val_loss"]), f"on validation after epoch {epoch + 1}")

    def _check(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            rate = learning_rate_while_fitting(self.model)
            raise PipelineError(
                f"expected a finite loss, received {loss} {where} at learning rate {rate:g}; "
                "try a learning rate ten times smaller, or precision float32"
            )
