"""A trial of a sweep: trains with some settings changed, and takes a failure of its own for a result.

A sweep tries what may not work: a learning rate at which the loss is lost, layers that don't fit, a batch beyond the
GPU's memory. KFP ends the whole loop with the first task in it that fails (and heeds no retries there), so such a
trial's task succeeds, with trial.json saying why there is no model.

Only what the settings themselves are the cause of is a result (SettingsError). All else fails the task, as KFP would
keep it in its cache as the trial's result otherwise: a damaged checkpoint or shard, a store, a driver, our own defect.
"""

import pathlib
from collections.abc import Collection

from components.core.artifacts.dataset import DatasetInfo, read_info
from components.core.artifacts.dataset_reading import split_count
from components.core.artifacts.trial import Trial, parse_changes, write_trial
from components.core.board.events import Events
from components.core.errors import PipelineError, one_line
from components.core.files import whole_directory
from components.core.framework import load_keras
from components.core.wording import printable
from components.train.errors import SettingsError, TooLittleMemoryError
from components.train.run import TrainingResult, train, training_identity
from components.train.settings import TrainSettings
from components.train.stored_checkpoint import run_key


def changed(settings: TrainSettings, changes: str) -> TrainSettings:
    """The settings with some of them changed, `learning_rate=0.003 batch_size=50`, and checked."""
    return TrainSettings.checked(**{**settings.model_dump(), **parse_changes(changes)})


def run_trial(
    settings: TrainSettings,
    changes: str,
    dataset_path: str,
    model_path: str,
    tensorboard_path: str,
    tensorboard_artifact: str = "",
    keep_checkpoint: bool = False,
) -> TrainingResult | None:
    """Trains as fit.train does, with the settings changed; None if the settings were the cause that it failed.

    Writes trial.json into the model artifact, which holds nothing else then.

    Raises:
        PipelineError: the data set, the GPUs, a checkpoint or a store are not what they should be.
    """
    settings = changed(settings, changes)
    if settings.nodes > 1:
        raise PipelineError(f"nodes: expected 1 of a sweep, whose trials each have one, received {settings.nodes}")
    info, varied = read_info(dataset_path), parse_changes(changes)
    if not split_count(info, "validation"):
        raise PipelineError(
            "expected validation pictures to compare trials by, received a data set without; set validation_split, or "
            "bring a validation folder"
        )
    places = dataset_path, model_path, tensorboard_path, tensorboard_artifact
    try:
        result = train(settings, *places, varied=varied, keep_checkpoint=keep_checkpoint)
    except SettingsError as error:
        reason = one_line(error, 300)
        print(f"trial failed: {printable(reason)}", flush=True)
        _show_failure(tensorboard_path, settings, info, varied)
        with whole_directory(model_path) as directory:
            lacked = isinstance(error, TooLittleMemoryError)
            write_trial(directory, Trial(changes=changes, failed=reason, lacked_memory=lacked))
        return None
    write_trial(model_path, Trial(changes=changes, **result.model_dump(include={*Trial.model_fields})))
    return result


def _show_failure(tensorboard_path: str, settings: TrainSettings, info: DatasetInfo, varied: Collection[str]) -> None:
    """Gives a trial that failed before it trained its row in the HParams tab; one that failed later has it."""
    load_keras(settings.backend)
    from components.train.board.events import hyperparameters

    directory = pathlib.Path(tensorboard_path) / "result"
    if not directory.exists():
        events = Events(directory)
        key = run_key(training_identity(settings, info, settings.precision))
        events.hyperparameters(hyperparameters(settings, settings.precision, varied), trial=key)
        events.ended(succeeded=False)
        events.close()
