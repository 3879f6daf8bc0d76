"""The training step: from a dataset artifact to a model artifact.

model.keras     the best epoch's weights; uint8 pictures in, float32 probabilities out; layers in float32
training.json   the history by epoch, every parameter, versions, device, throughput
"""

import contextlib
import os
import pathlib
import platform
import statistics
import time
from typing import Any

import pydantic

from components.core.dataset import DatasetInfo, read_info
from components.core.errors import PipelineError
from components.core.files import remove, whole_directory, write_json
from components.core.framework import load_keras
from components.core.progress import LIVE_VARIABLE
from components.core.reading import split_count
from components.train.architecture import parse_architecture
from components.train.data import training_feed, validation_feed
from components.train.device import choose_policy, device_errors, find_device
from components.train.model import build_model
from components.train.settings import TrainSettings

MODEL_FILE = "model.keras"
TRAINING_FILE = "training.json"


class TrainingResult(pydantic.BaseModel):
    """What came of it, in plain numbers."""

    best_epoch: int
    best_val_accuracy: float | None = pydantic.Field(description="None where the dataset has no validation split")
    loss: float = pydantic.Field(description="of the last epoch, on the training split")
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    epochs: int = pydantic.Field(description="that were trained")
    seconds: float = pydantic.Field(description="of training and validation, without start-up")
    images_per_second: float = pydantic.Field(
        description="the median of epochs, without the first where there are more"
    )
    parameters: int = pydantic.Field(description="weights in the model")
    device: str
    precision: str


def train(
    settings: TrainSettings, dataset_path: str, model_path: str, tensorboard_path: str, checkpoint_path: str = ""
) -> TrainingResult:
    """Trains on the dataset artifact and writes the model artifact, whole or not at all.

    Event files appear in `tensorboard_path` while it runs.

    Raises:
        PipelineError: the dataset, the architecture or the device is not what it should be, or the loss is NaN.
    """
    info = read_info(dataset_path)
    if not split_count(info, "train"):
        raise PipelineError(f"expected training pictures in {dataset_path}, received none; run preprocess again")
    keras = load_keras()
    device = find_device(settings.gpus)
    policy = choose_policy(settings.precision, device)
    keras.utils.set_random_seed(settings.seed)
    if settings.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    layers = parse_architecture(settings.architecture)
    model = build_model(layers, info.image_shape, len(info.class_names), policy)
    model.compile(
        optimizer=make_optimizer(settings),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    log, best, seconds = _fit(settings, model, info, dataset_path, tensorboard_path)

    last = log.history[-1]
    speeds = [entry["images_per_second"] for entry in log.history]
    result = TrainingResult(
        best_epoch=best.epoch,
        best_val_accuracy=best.accuracy,
        loss=last["loss"],
        accuracy=last["accuracy"],
        val_loss=last.get("val_loss"),
        val_accuracy=last.get("val_accuracy"),
        epochs=len(log.history),
        seconds=round(seconds, 3),
        images_per_second=statistics.median(speeds[1:] or speeds),
        parameters=model.count_params(),
        device=device.name,
        precision=policy,
    )
    final = build_model(layers, info.image_shape, len(info.class_names))
    final.set_weights(best.weights)
    with whole_directory(model_path) as directory:
        final.save(directory / MODEL_FILE)
        write_json(directory / TRAINING_FILE, training_record(settings, info, log.history, result))
    return result


def make_optimizer(settings: TrainSettings) -> Any:
    """The Keras optimizer that the settings name."""
    keras = load_keras()
    classes = {name.lower(): value for name, value in vars(keras.optimizers).items() if isinstance(value, type)}
    return classes[settings.optimizer](learning_rate=settings.learning_rate)


def training_record(
    settings: TrainSettings, info: DatasetInfo, history: list[dict[str, Any]], result: TrainingResult
) -> dict[str, Any]:
    """What training.json says."""
    import numpy as np
    import tensorflow as tf

    return {
        **result.model_dump(),
        "dataset": info.dataset,
        "dataset_fingerprint": info.fingerprint,
        "class_names": info.class_names,
        "image_shape": list(info.image_shape),
        "settings": settings.model_dump(),
        "history": history,
        "versions": {
            "python": platform.python_version(),
            "keras": load_keras().__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
        },
    }


def _fit(settings: TrainSettings, model: Any, info: DatasetInfo, dataset_path: str, tensorboard_path: str) -> tuple:
    from components.train.callbacks import BestWeights, EpochLog, EventFiles, StopAtNaN

    memory = settings.memory_mb * 10**6
    training = training_feed(dataset_path, info, settings.batch_size, settings.seed, memory)
    validation = validation_feed(dataset_path, info, settings.batch_size, memory)
    for run in ("train", "validation"):  # of an earlier try that was killed: its curves would be drawn over these
        remove(pathlib.Path(tensorboard_path) / run)
    bar, line = _verbosity(settings.verbose)
    log = EpochLog(settings.epochs, training.steps, training.count, settings.batch_size, bar, line)
    best = BestWeights(settings.early_stopping_patience)
    callbacks = [training.reorder, StopAtNaN(training.steps), log, best, EventFiles(tensorboard_path, log)]
    model.optimizer.build(model.trainable_variables)  # before the first step, which would otherwise be traced twice
    began = time.perf_counter()
    with contextlib.closing(log), device_errors(settings.batch_size):
        model.fit(
            training.dataset,
            epochs=settings.epochs,
            validation_data=validation and validation.dataset,
            callbacks=callbacks,
            verbose=0,
            shuffle=False,
        )
    return log, best, time.perf_counter() - began


def _verbosity(verbose: str) -> tuple[bool, bool]:
    """Whether to draw a bar, and whether to print a line an epoch."""
    import sys

    drawn = sys.stdout.isatty() or os.environ.get(LIVE_VARIABLE) == "1"
    return {"0": (False, False), "1": (True, True), "2": (False, True), "auto": (drawn, True)}[verbose]
