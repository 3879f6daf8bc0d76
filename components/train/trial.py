"""A trial of a sweep: trains with some settings changed, and takes a failure of its own for a result.

A sweep tries what may not work: a learning rate at which the loss is lost, layers that don't fit, a batch beyond the
GPU's memory. KFP ends the whole loop with the first task in it that fails (and heeds no retries there), so such a
trial's task succeeds, with trial.json saying why there is no model. What is wrong with the machine, the data set or a
store is no property of the trial, and fails the task.
"""

import pathlib
import traceback

from components.core.artifacts.dataset import read_info
from components.core.artifacts.trial import Trial, parse_changes, write_trial
from components.core.board.events import Events
from components.core.errors import PipelineError, one_line
from components.core.files import whole_directory
from components.core.storage import StorageError
from components.core.storage.errors import ascii_only
from components.train.device import find_device
from components.train.run import TrainingResult, train
from components.train.settings import TrainSettings


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
) -> TrainingResult | None:
    """Trains as fit.train does, with the settings changed; None where it failed as trials may.

    Writes trial.json into the model artifact, which holds nothing else then.

    Raises:
        PipelineError: the data set, the GPUs or a store are not what they should be.
    """
    settings = changed(settings, changes)
    read_info(dataset_path)
    find_device(settings.gpus)
    try:
        varied = parse_changes(changes)
        result = train(settings, dataset_path, model_path, tensorboard_path, "", tensorboard_artifact, varied)
    except (StorageError, OSError):
        raise
    except Exception as error:  # whatever a combination of settings leads to
        if not isinstance(error, PipelineError):
            traceback.print_exc()
        reason = one_line(error, 300)
        print(f"trial failed: {ascii_only(reason)}", flush=True)
        _show_failure(tensorboard_path, settings, changes)
        with whole_directory(model_path) as directory:
            write_trial(directory, Trial(changes=changes, failed=reason))
        return None
    figures = result.model_dump(include={"best_epoch", "epochs", "seconds"})
    write_trial(model_path, Trial(changes=changes, val_accuracy=result.best_val_accuracy, **figures))
    return result


def _show_failure(tensorboard_path: str, settings: TrainSettings, changes: str) -> None:
    """Gives a trial that failed before it trained its row in the HParams tab; one that failed later has it."""
    from components.train.board.events import hyperparameters

    directory = pathlib.Path(tensorboard_path) / "result"
    if not directory.exists():
        events = Events(directory)
        events.hyperparameters(hyperparameters(settings, settings.precision, parse_changes(changes)), trial=changes)
        events.ended(succeeded=False)
        events.close()
