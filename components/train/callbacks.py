"""What happens while Keras trains: the log, the bar, TensorBoard, the best weights, the stop at a lost loss."""

import math
import time
from typing import Any

from components.core.errors import PipelineError
from components.core.framework import load_keras
from components.core.progress import Progress, duration

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
        self.progress = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.began = time.perf_counter()
        self.learning_rate = float(self.model.optimizer.learning_rate)
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
    """

    def __init__(self, patience: int):
        super().__init__()
        self.patience = patience
        self.epoch, self.accuracy, self.weights = 0, None, None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        accuracy = (logs or {}).get("val_accuracy")
        if accuracy is None or self.accuracy is None or accuracy > self.accuracy:
            self.epoch, self.accuracy, self.weights = epoch + 1, accuracy, self.model.get_weights()
        elif self.patience and epoch + 1 - self.epoch >= self.patience:
            print(
                f"no better validation accuracy for {self.patience} epochs: stopped after epoch {epoch + 1}", flush=True
            )
            self.model.stop_training = True


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
            rate = float(self.model.optimizer.learning_rate)
            raise PipelineError(
                f"expected a finite loss, received {loss} {where} at learning rate {rate:g}; "
                "try a learning rate ten times smaller, or precision float32"
            )


class EventFiles(keras.callbacks.Callback):
    """Scalars for TensorBoard by epoch, written while training runs: sub-runs train/ and validation/, which TensorBoard
    draws into one chart, as they bear the same tags."""

    def __init__(self, directory: str, log: EpochLog):
        super().__init__()
        self.directory, self.log = directory, log

    def on_train_begin(self, logs: dict | None = None) -> None:
        import tensorflow as tf

        self.writers = {
            run: tf.summary.create_file_writer(f"{self.directory}/{run}") for run in ("train", "validation")
        }

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        import tensorflow as tf

        entry = self.log.history[-1]
        scalars = {
            "train": ("loss", "accuracy", "learning_rate", "images_per_second"),
            "validation": ("val_loss", "val_accuracy"),
        }
        for run, names in scalars.items():
            with self.writers[run].as_default(step=epoch + 1):
                for name in names:
                    if name in entry:
                        tf.summary.scalar(name.removeprefix("val_"), entry[name])
            self.writers[run].flush()

    def on_train_end(self, logs: dict | None = None) -> None:
        for writer in self.writers.values():
            writer.close()
