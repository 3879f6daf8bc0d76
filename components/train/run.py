"""The training step: from a dataset artifact to a model artifact (core/artifacts/model.py)."""

import contextlib
import os
import pathlib
import platform
import statistics
import sys
from collections.abc import Callable, Collection
from typing import Any

import pydantic

from components.core.artifacts.dataset import DatasetInfo, read_info
from components.core.artifacts.dataset_reading import split_count
from components.core.artifacts.model import MODEL_FILE, TRAINING_FILE
from components.core.errors import PipelineError
from components.core.files import whole_directory, write_json
from components.core.framework import load_keras, training_backend
from components.core.progress import LIVE_VARIABLE
from components.train.architecture import parse_architecture
from components.train.augment import make_augmentation
from components.train.board.live import live_board
from components.train.checkpoint import Checkpoint, restore_model_state
from components.train.data import Feed, training_feed, validation_feed
from components.train.device import Device, choose_policy, device_errors, find_device, make_deterministic
from components.train.loss import make_loss
from components.train.model import build_model
from components.train.optimizer import make_optimizer
from components.train.settings import OPERATIONAL, TrainSettings
from components.train.stored_checkpoint import checkpoint_place, open_checkpoint, run_key


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
    settings: TrainSettings,
    dataset_path: str,
    model_path: str,
    tensorboard_path: str,
    checkpoint_path: str = "",
    tensorboard_artifact: str = "",
    varied: Collection[str] = (),
) -> TrainingResult:
    """Trains on the dataset artifact and writes the model artifact, whole or not at all.

    Event files appear in `tensorboard_path` while it runs, and in a store: in `settings.tensorboard_uri`, else at
    `tensorboard_artifact`, where that is a store's URI.

    A run that was killed goes on where it was (the rules are in checkpoint.py), from the checkpoint in
    `checkpoint_path`, else below `settings.checkpoints`; it is deleted once the model is there.

    `varied` names the settings that a sweep varies: what TensorBoard's HParams tab shows of them.

    Raises:
        PipelineError: the dataset, the architecture, the device or the checkpoint is not what it should be, or the
            loss is NaN.
    """
    info = read_info(dataset_path)
    if not split_count(info, "train"):
        raise PipelineError(f"expected training pictures in {dataset_path}, received none; run preprocess again")
    keras = load_keras(training_backend())
    if settings.deterministic:
        make_deterministic()
    device = find_device(settings.gpus)
    device.share.check(settings.batch_size)
    policy = choose_policy(settings.precision, device)
    keras.utils.set_random_seed(settings.seed)

    this_run = identity(settings, info, policy)
    place = checkpoint_path or checkpoint_place(settings.checkpoints, this_run)
    checkpoint = open_checkpoint(place, this_run, pathlib.Path(model_path).parent) if place else None
    saved = checkpoint.load() if checkpoint else None
    layers = parse_architecture(settings.architecture)
    with device.strategy.scope():
        model = build_model(
            layers,
            info.image_shape,
            len(info.class_names),
            policy,
            augmentation=make_augmentation(settings),
            fused=keras.backend.backend() == "tensorflow",
        )
        steps = -(-device.share.whole(split_count(info, "train")) // settings.batch_size)
        model.compile(
            optimizer=make_optimizer(settings, settings.epochs * steps),
            loss=make_loss(settings.label_smoothing),
            metrics=["accuracy"],
            steps_per_execution=device.steps_a_call,
        )
        model.optimizer.build(model.trainable_variables)  # here, as the first step would be traced twice otherwise

    run = run_key(this_run)
    board = settings.tensorboard_uri and f"{settings.tensorboard_uri.rstrip('/')}/{info.dataset}-{run}"
    with live_board(tensorboard_path, *((board, tensorboard_artifact) if device.leads else ("", ""))) as upload_board:
        history, best = _fit(
            settings, model, info, device, dataset_path, tensorboard_path, run, checkpoint, saved, upload_board, varied
        )
    last = history[-1]
    speeds = [entry["images_per_second"] for entry in history]
    result = TrainingResult(
        best_epoch=best.epoch,
        best_val_accuracy=best.accuracy,
        loss=last["loss"],
        accuracy=last["accuracy"],
        val_loss=last.get("val_loss"),
        val_accuracy=last.get("val_accuracy"),
        epochs=len(history),
        seconds=round(sum(entry["seconds"] for entry in history), 3),
        images_per_second=statistics.median(speeds[1:] or speeds),
        parameters=model.count_params(),
        device=device.name,
        precision=policy,
    )
    if not device.leads:
        return result
    final = build_model(layers, info.image_shape, len(info.class_names), average_mirrored=settings.average_mirrored)
    final.set_weights(best.weights)
    with whole_directory(model_path) as directory:
        final.save(directory / MODEL_FILE)
        write_json(directory / TRAINING_FILE, training_record(settings, info, run, history, result))
    if checkpoint:
        checkpoint.delete()
    return result


def identity(settings: TrainSettings, info: DatasetInfo, policy: str) -> dict[str, Any]:
    """All that decides what a run's weights become."""
    return {
        **settings.model_dump(exclude=OPERATIONAL),
        "precision": policy,
        "dataset_fingerprint": info.fingerprint,
        **{name: version for name, version in versions().items() if name in ("keras", "tensorflow", "jax")},
    }


def versions() -> dict[str, str]:
    """Of what the result depends on."""
    import numpy as np
    import tensorflow as tf

    keras = load_keras()
    found = {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
    }
    if keras.backend.backend() == "jax":
        import jax

        found["jax"] = jax.__version__
    return found


def training_record(
    settings: TrainSettings, info: DatasetInfo, run: str, history: list[dict[str, Any]], result: TrainingResult
) -> dict[str, Any]:
    """What training.json says."""
    return {
        **result.model_dump(),
        "run": run,
        "dataset": info.dataset,
        "dataset_fingerprint": info.fingerprint,
        "class_names": info.class_names,
        "image_shape": list(info.image_shape),
        "settings": settings.model_dump(),
        "history": history,
        "versions": versions(),
    }


def _fit(
    settings: TrainSettings,
    model: Any,
    info: DatasetInfo,
    device: Device,
    dataset_path: str,
    tensorboard_path: str,
    run: str,
    checkpoint: Checkpoint | None,
    saved: tuple | None,
    upload_board: Callable[[], None],
    varied: Collection[str],
) -> tuple[list[dict[str, Any]], Any]:
    """Keras's fit with our callbacks: the history by epoch, and the best weights."""
    from components.train.board.events import EventFiles, hyperparameters
    from components.train.board.histograms import Histograms
    from components.train.board.pictures import validation_pictures
    from components.train.callbacks import BestWeights, EpochLog, SaveCheckpoint, StopAtNaN

    memory = settings.memory_mb * 10**6
    training = training_feed(dataset_path, info, settings.batch_size, settings.seed, memory, device.share)
    validation = validation_feed(dataset_path, info, settings.batch_size, memory, device.share)
    bar, line = _verbosity(settings.verbose if device.leads else "0")
    log = EpochLog(settings.epochs, training.steps, training.count, settings.batch_size, bar, line)
    best = BestWeights(settings.early_stopping_patience, device.leads)
    policy = choose_policy(settings.precision, device)
    board = EventFiles(tensorboard_path, log, hyperparameters(settings, policy, varied), run, upload_board)
    callbacks = [training.reorder, StopAtNaN(training.steps), log, best]
    if device.share.devices == 1:  # else no process holds the whole model to ask it about pictures
        callbacks += validation_pictures(board, settings.epochs, dataset_path, info)
    if device.leads:
        callbacks.append(board)
    if line:
        print(_what_is_ahead(settings, model, device, training), flush=True)
    if settings.histograms:
        callbacks.append(Histograms(board, settings.histograms))
    if saved:
        arrays, state = saved
        weights = {name: array for name, array in arrays.items() if not name.startswith("best/")}
        restore_model_state(model, weights, checkpoint.place)
        log.history, log.by_step = state["history"], state["by_step"]
        best.restore(model, state, [arrays[name] for name in sorted(arrays) if name.startswith("best/")])
        if line:
            print(f"resumed from {checkpoint.place} after epoch {len(log.history)}", flush=True)
    if checkpoint and device.leads:
        callbacks.append(SaveCheckpoint(checkpoint, log, best))
    done = len(log.history)
    ending = contextlib.closing
    with ending(log), ending(board), device_errors(settings.batch_size), device.strategy.scope():
        model.fit(
            training.dataset,
            initial_epoch=done,
            epochs=done if best.patience_lost(done) else settings.epochs,
            validation_data=validation and validation.dataset,
            callbacks=callbacks,
            verbose=0,
            shuffle=False,
        )
    return log.history, best


def _what_is_ahead(settings: TrainSettings, model: Any, device: Device, training: Feed) -> str:
    asked = " (auto)" if settings.precision == "auto" else ""
    return (
        f"train {model.count_params():,} parameters on {training.count:,} images, batch {settings.batch_size}, "
        f"{training.steps:,} steps an epoch; {device.name}, {choose_policy(settings.precision, device)}{asked}"
    )


def _verbosity(verbose: str) -> tuple[bool, bool]:
    """Whether to draw a bar, and whether to print a line an epoch."""
    drawn = sys.stdout.isatty() or os.environ.get(LIVE_VARIABLE) == "1"
    return {"0": (False, False), "1": (True, True), "2": (False, True), "auto": (drawn, True)}[verbose]
