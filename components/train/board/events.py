"""What TensorBoard shows of training: curves by epoch and by step, the layers, the hyperparameters with their result.

train/        loss, accuracy, learning rate, images a second; the graph; histograms on request
validation/   loss and accuracy, drawn into the same charts; the confusion matrix and sample predictions
result/       what the HParams tab shows in this run's row
"""

import hashlib
import pathlib
import time
from collections.abc import Callable, Collection
from typing import Any

from components.core.board.events import Events, empty
from components.core.framework import load_keras
from components.train.callbacks import EpochLog, steps_between_points
from components.train.settings import OPERATIONAL, TrainSettings

keras = load_keras()
Callback: Any = keras.callbacks.Callback

LONGEST_VALUE = 60


def hyperparameters(
    settings: TrainSettings, policy: str, varied: Collection[str] = ()
) -> dict[str, bool | int | float | str]:
    """What decides a run's result, for the HParams tab; a long list of layers as its beginning and a digest.

    Args:
        varied: by a sweep. These are all that its trials differ in, so that the table of them has these columns alone
            and the results stand beside them.
    """
    values = settings.model_dump(exclude=OPERATIONAL) | {"precision": policy}
    shown = {name: value for name, value in values.items() if name in varied or not varied}
    return {name: _short(value) if isinstance(value, str) else value for name, value in shown.items()}


def _short(text: str) -> str:
    if len(text) <= LONGEST_VALUE:
        return text
    return f"{text[: LONGEST_VALUE - 12]}... {hashlib.sha256(text.encode()).hexdigest()[:8]}"


class EventFiles(Callback):
    """Writes the event files while training runs.

    A run that is resumed, or started afresh after an earlier one was killed, writes its whole history anew, so that no
    epoch is drawn twice. Pictures and histograms are not kept for that: they begin anew.

    Args:
        hyperparameters: what the run was given, for the HParams tab.
        trial: the run's name there; a run of the same name shares its row.
        upload: called after each epoch, to have the files sent on; must not wait for it.
    """

    RUNS = ("train", "validation", "result")
    SCALARS = {
        "train": ("loss", "accuracy", "learning_rate", "images_per_second"),
        "validation": ("val_loss", "val_accuracy", "val_balanced_accuracy"),
    }
    BY_STEP = ("loss", "learning_rate", "images_per_second")

    def __init__(
        self,
        directory: str,
        log: EpochLog,
        hyperparameters: dict[str, Any],
        trial: str,
        upload: Callable[[], None] = lambda: None,
    ):
        super().__init__()
        self.directory, self.log, self.upload = pathlib.Path(directory), log, upload
        self.hyperparameters, self.trial = hyperparameters, trial
        self.every = steps_between_points(log.steps, log.epochs)
        self.runs: dict[str, Events] = {}
        self.succeeded = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.succeeded = False
        if self.runs:  # a later phase of the same training
            return
        for run in self.RUNS:
            empty(self.directory / run)
        self.runs = {run: Events(self.directory / run) for run in self.RUNS}
        self.runs["train"].graph(layer_graph(self.model))
        self.runs["result"].hyperparameters(self.hyperparameters, self.trial)
        for point in self.log.by_step:
            self._write_step(point)
        for entry in self.log.history:
            self._write_epoch(entry)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch, self.last_step, self.summed, self.began = epoch, 0, 0.0, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = batch + 1
        if step - self.last_step < self.every:
            return
        # Keras gives the mean since the epoch began; the curve shows the mean since its last point.
        images, before = (min(at * self.log.batch_size, self.log.count) for at in (step, self.last_step))
        summed = float(logs["loss"]) * images  # waits for the device
        now = time.perf_counter()
        loss, speed = (summed - self.summed) / (images - before), (images - before) / (now - self.began)
        done = self.epoch * self.log.steps + step
        point = [done, loss, float(self.log.rate.at(done - 1)), round(speed, 1)]
        self.log.by_step.append(point)
        self._write_step(point)
        self.last_step, self.summed, self.began = step, summed, now

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._write_epoch(self.log.history[-1])
        self.upload()

    def on_train_end(self, logs: dict | None = None) -> None:
        history = self.log.history
        result = {"seconds": sum(entry["seconds"] for entry in history)}
        asked = ("val_balanced_accuracy", "val_accuracy")  # the first only if gate_metric asks for it
        if name := next((name for name in asked if history and name in history[0]), ""):
            result[name] = max(entry[name] for entry in history)
        for name, value in result.items():
            self.runs["result"].scalar(f"result/{name}", value, len(history))
        self.succeeded = True

    def close(self) -> None:
        """Ends the files, also those of a training that failed half-way."""
        if self.runs:
            self.runs["result"].ended(self.succeeded)
        for run in self.runs.values():
            run.close()
        self.runs = {}

    def _write_step(self, point: list[float]) -> None:
        step, *values = point
        for name, value in zip(self.BY_STEP, values, strict=True):
            self.runs["train"].scalar(f"by step/{name}", value, int(step))

    def _write_epoch(self, entry: dict[str, Any]) -> None:
        for run, names in self.SCALARS.items():
            for name in names:
                if name in entry:
                    self.runs[run].scalar(name.removeprefix("val_"), entry[name], entry["epoch"])
            self.runs[run].flush()


class Histograms(Callback):
    """The spread of every weight, after every so many epochs. The article's 11 million take a second."""

    def __init__(self, board: EventFiles, every: int):
        super().__init__()
        self.board, self.every = board, every

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if (epoch + 1) % self.every == 0 and self.board.runs:
            for weight in self.model.weights:
                self.board.runs["train"].histogram(weight.path, keras.ops.convert_to_numpy(weight), epoch + 1)


def layer_graph(model: Any) -> Any:
    """A TensorBoard GraphDef of a model that is a chain of layers (network/model.py builds no other to train): what
    goes from which to which in what shape and precision, and how many parameters each has.

    The Graphs tab opens on a run's graph of operations and calls a run without one malformed, so the layers are written
    as one: a node a layer, its operation the layer's type. It costs no tracing, and is the same on every backend.
    """
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.tensorflow_stub import dtypes

    graph = GraphDef()
    before: list[str] = []
    for layer in model.layers:
        node = graph.node.add(name=layer.name, op=type(layer).__name__, input=before)
        node.attr["parameters"].i = layer.count_params()
        node.attr["dtype"].type = dtypes.as_dtype(layer.output.dtype).as_datatype_enum
        shape = node.attr["_output_shapes"].list.shape.add()
        for side in layer.output.shape:
            shape.dim.add(size=-1 if side is None else side)
        before = [layer.name]
    return graph
