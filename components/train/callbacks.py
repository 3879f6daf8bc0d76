"""What happens while Keras trains: the log, the bar, the best weights, the stop at a lost loss, the checkpoint."""

import concurrent.futures
import math
import time
from typing import Any

import numpy as np

from components.core.errors import one_line
from components.core.framework import load_keras
from components.core.progress import Progress, duration
from components.core.wording import told_apart
from components.train.board.tracking import TrackedRun
from components.train.checkpoint import Checkpoint, model_state
from components.train.errors import SettingsError
from components.train.optimizer import LearningRate

keras = load_keras()
Callback: Any = keras.callbacks.Callback
CallbackList: Any = keras.callbacks.CallbackList

# Points of a curve by step, over all epochs: each asks the device for its numbers, and so waits for it.
POINTS = 200
# In a log, where a line ends each epoch: a sign of life in those that take long.
LOG_EVERY_S = 60.0
# What is told of an epoch.
SCORES = ("loss", "accuracy", "val_loss", "val_accuracy", "val_balanced_accuracy")
# Training that is killed loses so much of its work, and an epoch.
EVERY_S = 60.0


class Callbacks(CallbackList):
    """Keras's list of callbacks, but for one thing: Keras's turns every loss into a number as soon as a step is called,
    and so waits for the device before it gives it the next. Here callbacks get what the device gives, and decide when
    to read it.
    """

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        last = min(batch, self.params["steps"] - 1)  # Keras counts a whole call, beyond the epoch's end too
        for callback in self.callbacks:
            callback.on_train_batch_end(last, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """None of ours asks for it."""


def steps_between_points(steps: int, epochs: int) -> int:
    """How many steps of an epoch lie between two points of a curve."""
    return min(steps, math.ceil(steps * epochs / POINTS))


class EpochLog(Callback):
    """Times the epochs, keeps their history, prints one line each and draws a bar within them.

    Validation and what other callbacks do between epochs don't count into images per second.
    """

    def __init__(self, epochs: int, steps: int, count: int, batch_size: int, rate: LearningRate, bar: bool, line: bool):
        super().__init__()
        self.epochs, self.steps, self.count, self.batch_size = epochs, steps, count, batch_size
        self.rate, self.bar, self.line = rate, bar, line
        self.history: list[dict[str, Any]] = []
        self.by_step: list[list[float]] = []  # TensorBoard's points (board/events.py), kept here for the checkpoint
        self.progress: Progress | None = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.began = time.perf_counter()
        self.last_step, self.loss, self.loss_read = -1, math.nan, time.monotonic()
        if self.bar:
            self.progress = Progress(f"epoch {epoch + 1}/{self.epochs}", self.count, "images", log_every_s=LOG_EVERY_S)
            self.progress.__enter__()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.progress:
            now = time.monotonic()
            if now - self.loss_read >= self.progress.interval_s:  # reading it waits for the device
                self.loss, self.loss_read = float(logs["loss"]), now
            before, after = (min((step + 1) * self.batch_size, self.count) for step in (self.last_step, batch))
            self.progress.advance(after - before, f"loss {self.loss:.4f}")
        self.last_step = batch
        if batch + 1 >= self.steps:
            float(logs["loss"])  # the epoch has ended when the device has done its last step
            self.trained = time.perf_counter()
            self.close()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        seconds = self.trained - self.began
        entry = {
            "epoch": epoch + 1,
            **{name: float(value) for name, value in (logs or {}).items()},
            "learning_rate": float(self.rate.at(epoch * self.steps)),
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


class Curves(Callback):
    """Sends each epoch's figures to a run in MLflow."""

    def __init__(self, run: TrackedRun, log: EpochLog):
        super().__init__()
        self.run, self.log = run, log

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.run.send_now_and_then(self.log.history)

    def close(self) -> None:
        """Sends what is left."""
        self.run.send_the_rest(self.log.history)


def epoch_line(entry: dict[str, Any], epochs: int) -> str:
    """`epoch  3/25  loss 0.9123  accuracy 0.6812  val_loss 1.0011  val_accuracy 0.6502  1,420 images/s  28 s`."""
    scores = [f"{name} {entry[name]:.4f}" for name in SCORES if name in entry]
    number = f"{entry['epoch']:>{len(str(epochs))}}/{epochs}"
    seconds = entry["seconds"]
    took = f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
    return "  ".join([f"epoch {number}", *scores, f"{entry['images_per_second']:,.0f} images/s", took])


class BestWeights(Callback):
    """Keeps the weights of the best epoch: the highest metric on validation, of equals the lowest loss: a few
    pictures are soon all answered right, long before the model is sure of it.

    Without a validation split there is nothing to judge by, and the last epoch counts as the best.

    Args:
        patience: training stops after so many epochs without a better one; 0: it never stops early.
        line: whether to print that.
        since: the epochs in which it never stops, as some layers are frozen.
        end_below: "EPOCH:ACCURACY": it stops after that epoch if the best is below; empty: it does not.
        metric: by which figure it judges.
    """

    def __init__(self, patience: int, line: bool = True, since: int = 0, end_below: str = "", metric: str = "accuracy"):
        super().__init__()
        self.patience, self.line, self.since = patience, line, since
        self.metric, self.words = metric, metric.replace("_", " ")
        at, _, least = end_below.partition(":")
        self.judged_at, self.least = int(at or 0), float(least or 0)
        self.epoch = 0
        self.score: float | None = None
        self.loss = math.inf
        self.weights: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        score, loss = (logs or {}).get(f"val_{self.metric}"), float((logs or {}).get("val_loss", math.inf))
        if score is None or self.score is None or (score, -loss) > (self.score, -self.loss):
            self.epoch, self.weights = epoch + 1, self.model.get_weights()
            self.score, self.loss = None if score is None else float(score), loss
        if why := self.ends_after(epoch + 1):
            if self.line:
                print(f"{why}: stopped after epoch {epoch + 1}")
            self.model.stop_training = True

    def ends_after(self, epochs: int) -> str:
        """Why training ends after so many epochs; empty if it goes on."""
        if self.patience and epochs - max(self.epoch, self.since) >= self.patience:
            return f"no better validation {self.words} for {self.patience} epochs"
        best = round(self.score or 0.0, 6)  # Keras counts in float32, in which 0.9 is 0.89999998
        if 0 < self.judged_at <= epochs > self.since and best < self.least:
            return f"validation {self.words} {told_apart(best, self.least)}, below {self.least:g}"
        return ""

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it, besides the weights."""
        return {"best_epoch": self.epoch, "best_score": self.score, "best_loss": self.loss}

    def restore(self, model: Any, state: dict[str, Any], weights: list[np.ndarray]) -> None:
        """Goes on from a checkpoint; one whose last epoch was the best holds its weights only once, as the model's."""
        self.epoch, self.score, self.loss = state["best_epoch"], state["best_score"], state["best_loss"]
        self.weights = weights or model.get_weights()


class StopAtNaN(Callback):
    """Ends training if the loss is no number any more: nothing good comes after that.

    It is looked at where TensorBoard's curves have a point, as each look waits for the device. The loss that Keras
    tells is the mean since the epoch began, so one that was lost in between stays lost.
    """

    def __init__(self, steps: int, epochs: int, rate: LearningRate):
        super().__init__()
        self.steps, self.every, self.rate = steps, steps_between_points(steps, epochs), rate
        self.step = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch, self.looked = epoch, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step = self.epoch * self.steps + batch
        if batch + 1 - self.looked >= self.every or batch + 1 >= self.steps:
            self.looked = batch + 1
            self._check(float(logs["loss"]), f"at step {self.step + 1} (epoch {self.epoch + 1})")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs and "val_loss" in logs:
            self._check(float(logs["val_loss"]), f"on validation after epoch {epoch + 1}")

    def _check(self, loss: float, where: str) -> None:
        if not math.isfinite(loss):
            raise SettingsError(
                f"expected a finite loss, received {loss} {where} at learning rate {float(self.rate.at(self.step)):g}; "
                "try a learning rate ten times smaller, or precision float32"
            )


class SaveCheckpoint(Callback):
    """Has the checkpoint written after an epoch, once all else that the epoch's end does is done; by a thread, so that
    training goes on meanwhile, and not again within EVERY_S seconds or while the last one is being written. One that is
    kept is always written after the last epoch.

    The first one that can't be written ends a training that has epochs ahead, at the next step: nobody would find out
    otherwise until it is needed. A later one is told in a line, and tried again.
    """

    def __init__(self, checkpoint: Checkpoint, log: EpochLog, best: BestWeights):
        super().__init__()
        self.checkpoint, self.log, self.best = checkpoint, log, best
        self.began = -math.inf
        self.thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self.written: concurrent.futures.Future | None = None
        self.proven = self.last = False

    @property
    def busy(self) -> bool:
        """Whether one is being written."""
        return self.written is not None and not self.written.done()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.last = epoch + 1 == self.log.epochs

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.proven:
            self._tell()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.last = self.last or self.model.stop_training
        in_any_case = self.last and self.checkpoint.kept
        if in_any_case:
            self.close()
        elif self.busy:
            return
        self._tell()
        if not in_any_case and time.monotonic() - self.began < EVERY_S:
            return
        arrays = model_state(self.model)  # Keras copies
        if self.best.epoch != epoch + 1:
            arrays |= {f"best/{place:04d}": weight for place, weight in enumerate(self.best.weights)}
        state = {"history": list(self.log.history), "by_step": list(self.log.by_step), **self.best.state}
        self.began = time.monotonic()
        self.written = self.thread.submit(self.checkpoint.save, arrays, state)

    def on_train_end(self, logs: dict | None = None) -> None:
        self.close()
        self._tell()

    def close(self) -> None:
        """Waits for the one that is being written."""
        concurrent.futures.wait([self.written] if self.written else [])

    def _tell(self) -> None:
        """Tells, once, whether the last one could be written, if that is known by now."""
        if not self.written or self.busy:
            return
        failure, self.written = self.written.exception(), None
        if failure and not self.proven and not self.last:
            raise failure
        if failure:
            print(f"note: the last checkpoint could not be written: {one_line(failure)}", flush=True)
        self.proven = self.proven or not failure
