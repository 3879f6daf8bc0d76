"""Train: trains a model on a dataset artifact and writes the model artifact (core/artifacts/model.py)."""

import contextlib
import pathlib
import platform
import re
import statistics
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pydantic

from components.core.artifacts.checkpoints import checkpoint_place
from components.core.artifacts.dataset import DatasetInfo, read_info
from components.core.artifacts.dataset_reading import split_count
from components.core.artifacts.model import MODEL_FILE, TRAINING_FILE
from components.core.artifacts.picture_hashes import LEARNED_FILE, learned_hashes, write_hashes
from components.core.errors import PipelineError
from components.core.files import whole_directory, write_json
from components.core.framework import load_keras
from components.core.revision import code_revision
from components.train.board.live import live_board
from components.train.checkpoint import Checkpoint
from components.train.class_weight import class_weights
from components.train.device import choose_policy, find_device, make_deterministic, set_seed
from components.train.errors import SettingsError
from components.train.fit import Fit, curve_of
from components.train.network.architecture import parse_architecture
from components.train.network.augment import make_augmentation
from components.train.network.backbone import load_backbone
from components.train.network.memory import check_memory
from components.train.network.model import build_model
from components.train.network.take_over import take_over
from components.train.network.training_model import training_model_class
from components.train.optimizer import LearningRate
from components.train.optimizer_spec import parse_optimizer
from components.train.phases import phases_after
from components.train.settings import OPERATIONAL, TrainSettings
from components.train.start import Ancestor, found_ancestor
from components.train.stored_checkpoint import open_checkpoint, run_key

if TYPE_CHECKING:
    import keras


class TrainingResult(pydantic.BaseModel):
    """What came of it, in plain numbers."""

    best_epoch: int
    best_val_accuracy: float | None = pydantic.Field(description="None if the dataset has no validation split")
    loss: float = pydantic.Field(description="of the training split in the kept epoch, as the next three")
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    val_balanced_accuracy: float | None = pydantic.Field(None, description="None unless gate_metric asks for it")
    epochs: int = pydantic.Field(description="that were trained")
    seconds: float = pydantic.Field(description="Time of training and validation, without start-up")
    images_per_second: float = pydantic.Field(description="the median of epochs, without the first if there are more")
    parameters: int = pydantic.Field(description="weights in the model")
    device: str
    precision: str


def train(
    settings: TrainSettings,
    dataset_path: str,
    model_path: str,
    tensorboard_path: str,
    tensorboard_artifact: str = "",
    varied: Collection[str] = (),
    keep_checkpoint: bool = False,
) -> TrainingResult:
    """Trains on the dataset artifact and writes the model artifact, whole or not at all.

    Event files appear in `tensorboard_path` while it runs, and in a store: in `settings.tensorboard_uri`, else at
    `tensorboard_artifact`, if that is a store's URI.

    A run that was killed goes on where it was (the rules are in checkpoint.py), from its checkpoint below
    `settings.checkpoints`, which is deleted once the model is there. With `keep_checkpoint` it stays, as the model has
    yet to be stored, and core/artifacts/checkpoints.py says who deletes it.
    `varied` names the settings that a sweep varies: what TensorBoard's HParams tab shows of them.

    Raises:
        SettingsError: the settings ask for what can't be done, or lead to a loss that is NaN.
        PipelineError: the dataset, the device or the checkpoint is not what it should be.
    """
    info = read_info(dataset_path)
    _check_pictures(settings, info, dataset_path)
    steps = -(-split_count(info, "train") // settings.batch_size)
    _check_gathered(settings, steps)
    weights = class_weights(settings.class_weight, info)
    load_keras(settings.backend)
    if settings.deterministic:
        make_deterministic(settings.backend)
    device = find_device(settings.gpus)
    policy = choose_policy(settings.precision, device)
    batch = min(settings.batch_size, split_count(info, "train"))
    check_memory(settings, info.image_shape, batch, policy, device)

    with found_ancestor(settings) as ancestor:
        this_run = training_identity(settings, info, policy, ancestor)
        key = run_key(this_run)
        place = checkpoint_place(settings.checkpoints, key)
        scratch = pathlib.Path(model_path).parent
        checkpoint = open_checkpoint(place, this_run, scratch, keep_checkpoint) if place else None
        saved = checkpoint.load() if checkpoint else None
        device.refuse_unlike(len(saved[1]["history"]) if saved else 0)
        rate = LearningRate.of(settings, settings.epochs * steps)
        fit = Fit(settings, info, device, policy, rate, key, varied, weights)
        set_seed(settings.seed)
        with device.scope():
            model = _training_model(fit)
            if not saved:
                load_backbone(model, parse_architecture(settings.architecture))
            started_from = _start(model, fit, ancestor) if ancestor else None

    folder = re.sub(r"[^\w.-]+", "-", info.called) + f"-{key}"
    board = settings.tensorboard_uri and f"{settings.tensorboard_uri.rstrip('/')}/{folder}"
    uploaded = (board, tensorboard_artifact) if device.leads else ("", "")
    done_with = _removed_at_the_end(checkpoint if device.leads else None, trial=bool(varied))
    with done_with, live_board(tensorboard_path, *uploaded) as upload_board:
        history, best = fit.run(model, dataset_path, tensorboard_path, upload_board, checkpoint, saved)
        _refuse_lost(best.weights)
        result = _result(fit, history, best, model.count_params())
        if device.leads:
            record = training_record(fit, history, result, started_from)
            _write_model(fit, model_path, best.weights, record, _learned(dataset_path, info, ancestor))
    return result


@contextlib.contextmanager
def _removed_at_the_end(checkpoint: Checkpoint | None, trial: bool) -> Iterator[None]:
    """Removes the checkpoint when the model is there, unless it is kept; a trial's also when its settings fail, as that
    is its result."""
    try:
        yield
    except SettingsError:
        if checkpoint and trial:
            checkpoint.delete()
        raise
    if checkpoint and not checkpoint.kept:
        checkpoint.delete()


def _check_pictures(settings: TrainSettings, info: DatasetInfo, dataset_path: str) -> None:
    if not split_count(info, "train"):
        raise PipelineError(f"expected training pictures in {dataset_path}, received none; run preprocess again")
    if (settings.early_stopping_patience or settings.end_below) and not split_count(info, "validation"):
        raise SettingsError(
            "early_stopping_patience: expected validation pictures to judge epochs by, received a data set without; "
            "set it to 0, or validation_split to a share above 0"
        )


def _check_gathered(settings: TrainSettings, steps: int) -> None:
    """Refuses an optimizer that gathers gradients over more steps than a phase has: no weight would ever change.

    Args:
        steps: of an epoch.
    """
    gathered = parse_optimizer(settings.optimizer)[1].get("gradient_accumulation_steps")
    there = steps * min(phase.end - phase.first for phase in phases_after(settings, 0))
    if isinstance(gathered, int) and gathered > there:
        raise SettingsError(
            f"optimizer: expected gradient_accumulation_steps of at most {there:,}, as many steps as there are, "
            f"received {gathered:,}; with it no weight would change: give fewer, or more epochs"
        )


def _training_model(fit: Fit) -> "keras.Model":
    """The model that trains; its weights are those of the settings' seed."""
    settings, info = fit.settings, fit.info
    augmentation = make_augmentation(settings, info.image_shape)
    return build_model(
        parse_architecture(settings.architecture),
        info.image_shape,
        len(info.class_names),
        fit.policy,
        model_class=training_model_class(augmentation, fit.class_weights, settings.average_mirrored),
        fused=True,
        logits=True,
    )


def _start(model: "keras.Model", fit: Fit, ancestor: Ancestor) -> dict[str, Any]:
    """Gives the model that trains what it takes over from a trained one; what training.json says of that."""
    plain = _plain_model(fit)
    plain.set_weights(model.get_weights())
    same_classes = ancestor.class_names in (None, fit.info.class_names)
    taken = take_over(plain, ancestor.file, ancestor.name, same_classes)
    model.set_weights(plain.get_weights())
    if fit.device.leads and fit.settings.verbose != "0":
        anew = f"; with new weights: {', '.join(taken.anew)}" if taken.anew else ""
        print(f"started from {ancestor.name}, sha256 {ancestor.sha256}: kept {', '.join(taken.kept)}{anew}", flush=True)
    return {"name": ancestor.name, "sha256": ancestor.sha256, **taken._asdict()}


def _plain_model(fit: Fit, average_mirrored: bool = False) -> "keras.Model":
    """The model without what only training has, in float32."""
    settings, info = fit.settings, fit.info
    layers = parse_architecture(settings.architecture)
    return build_model(layers, info.image_shape, len(info.class_names), average_mirrored=average_mirrored)


def _learned(dataset_path: str, info: DatasetInfo, ancestor: Ancestor | None) -> np.ndarray | None:
    """The hashes of the pictures that the model has learned from, what it was started from included; None if that one
    does not say."""
    before = ancestor.learned if ancestor else np.array([], np.uint64)
    return None if before is None else np.union1d(learned_hashes(dataset_path, info), before)


def _refuse_lost(weights: list[Any]) -> None:
    """Refuses weights that are no numbers: without validation pictures nothing is computed with what the last step made
    of them, so that no loss tells."""
    if not all(np.isfinite(weight).all() for weight in weights):
        raise SettingsError(
            "expected finite weights, received NaN or infinity after the last step; try a learning rate ten times "
            "smaller, or precision float32"
        )


def _write_model(fit: Fit, path: str, weights: list[Any], record: dict[str, Any], learned: np.ndarray | None) -> None:
    """Writes the model artifact, whole or not at all."""
    model = _plain_model(fit, fit.settings.average_mirrored)
    model.set_weights(weights)
    with whole_directory(path) as directory:
        model.save(directory / MODEL_FILE)
        write_json(directory / TRAINING_FILE, record)
        if learned is not None:
            write_hashes(directory / LEARNED_FILE, learned)


def _result(fit: Fit, history: list[dict[str, Any]], best: Any, parameters: int) -> TrainingResult:
    kept = history[best.epoch - 1]
    figures = ("loss", "accuracy", "val_loss", "val_accuracy", "val_balanced_accuracy")
    speeds = [entry["images_per_second"] for entry in history]
    return TrainingResult(
        best_epoch=best.epoch,
        best_val_accuracy=kept.get("val_accuracy"),
        **{name: kept.get(name) for name in figures},
        epochs=len(history),
        seconds=round(sum(entry["seconds"] for entry in history), 3),
        images_per_second=statistics.median(speeds[1:] or speeds),
        parameters=parameters,
        device=fit.device.name,
        precision=fit.policy,
    )


def training_identity(
    settings: TrainSettings, info: DatasetInfo, policy: str, ancestor: Ancestor | None = None
) -> dict[str, Any]:
    """All that decides what a run's weights become: settings, what it starts from, pictures, versions, our own code."""
    return {
        **settings.model_dump(exclude=OPERATIONAL),
        "started_from": ancestor.sha256 if ancestor else "",
        "precision": policy,
        "dataset_fingerprint": info.fingerprint,
        "code": code_revision("train", "core/artifacts"),
        **{name: version for name, version in library_versions().items() if name != "python"},
    }


def library_versions() -> dict[str, str]:
    """The versions of what the result depends on."""
    keras = load_keras()
    found = {"python": platform.python_version(), "keras": keras.__version__, "numpy": np.__version__}
    if keras.backend.backend() == "jax":
        import jax

        return found | {"jax": jax.__version__}
    import tensorflow as tf

    return found | {"tensorflow": tf.__version__}


def training_record(
    fit: Fit, history: list[dict[str, Any]], result: TrainingResult, started_from: dict[str, Any] | None
) -> dict[str, Any]:
    """What training.json says."""
    weights = fit.class_weights
    return {
        **result.model_dump(),
        "run": fit.key,
        "dataset": fit.info.dataset,
        "dataset_fingerprint": fit.info.fingerprint,
        "class_names": fit.info.class_names,
        "image_shape": list(fit.info.image_shape),
        "resize": fit.info.resize,
        "settings": fit.settings.model_dump(),
        **({"started_from": started_from} if started_from else {}),
        "class_weights": None if weights is None else dict(zip(fit.info.class_names, weights.tolist(), strict=True)),
        "history": history,
        "learning_rate": curve_of(fit.rate, len(history), fit.settings.epochs),
        "versions": library_versions(),
    }
