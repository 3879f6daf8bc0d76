"""Epoch checkpoints: training that is killed at any moment and started again ends with the same result.

The rules of resuming, in this order:

1. Without a checkpoint path, or if no checkpoint lies there, training starts with epoch 1.
2. A checkpoint that can't be read whole is refused by name. It is never skipped: who deletes it decides to lose it.
3. A checkpoint of another run (other settings, other pictures, other versions of Keras or TensorFlow) is refused by
   name, and the difference is said.
4. Otherwise training goes on with the epoch after the checkpoint's, or straight to the model if none is left.

Nothing else is state. Weights, the optimizer's slots and step, the seeds of dropout, the best weights and the history
are in the checkpoint; the learning rate is a function of the step, what is frozen of the epoch, the order of pictures
of seed and epoch, early stopping of the history. So on the CPU the resumed run's weights equal the uninterrupted run's
to the last bit.

A checkpoint is one .npz file, written beside and renamed, flushed to the disk before that: there is always a whole one.
"""

import contextlib
import json
import os
import pathlib
import zipfile
import zlib
from typing import Any

import numpy as np

from components.core.errors import PipelineError, one_line
from components.core.files import whole_file
from components.core.framework import load_keras

FILE = "checkpoint.npz"
HEADER = "header"
OPTIMIZER = "optimizer/"


class Checkpoint:
    """The checkpoint file in a directory.

    Args:
        directory: where it lies; a run that is started again is given the same one.
        identity: all that makes a run this run, as plain values by name; a checkpoint of another identity is foreign.

    Attributes:
        place: where it lies, for people.
        kept: whether it stays when training has ended, as the model has yet to be stored.
    """

    def __init__(self, directory: str | os.PathLike, identity: dict[str, Any]):
        self.path = pathlib.Path(directory) / FILE
        self.place = str(self.path)
        self.identity = json.loads(json.dumps(identity))
        self.kept = False

    def save(self, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
        """Writes arrays and plain values, whole or not at all."""
        header = np.array(json.dumps({"identity": self.identity, "state": state}))
        named: dict[str, Any] = {HEADER: header, **arrays}
        with whole_file(self.path) as partial, partial.open("wb") as file:
            np.savez(file, **named)
            file.flush()
            os.fsync(file.fileno())

    def load(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The arrays and values last saved; None if there is no checkpoint.

        Raises:
            PipelineError: it can't be read whole, or is another run's.
        """
        try:
            with np.load(self.path) as archive:
                header = json.loads(str(archive[HEADER]))
                self._compare(header["identity"])
                return {name: archive[name] for name in archive.files if name != HEADER}, header["state"]
        except FileNotFoundError:  # none, or another run of the same job has ended this moment
            return None
        except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, EOFError, OSError) as error:
            raise PipelineError(
                f"expected a whole checkpoint in {self.place}, received one that can't be read ({one_line(error)}); "
                "delete it to train from the start"
            ) from None

    def delete(self) -> None:
        """Removes it, and its directory: what it was leading to is there."""
        with contextlib.suppress(OSError):  # another run of the same job may be writing there, or it is another user's
            self.path.unlink(missing_ok=True)
            self.path.parent.rmdir()

    def _compare(self, theirs: dict[str, Any]) -> None:
        for name in sorted({*self.identity, *theirs}):
            if self.identity.get(name) != theirs.get(name):
                raise PipelineError(
                    f"expected a checkpoint of this run in {self.place}, received one with {name} "
                    f"{theirs.get(name)!r} where this run has {self.identity.get(name)!r}; "
                    "delete it to train from the start, or choose another checkpoint path"
                )


def model_state(model: Any) -> dict[str, np.ndarray]:
    """Every value that training changes, by a name that says where it belongs: weights, running statistics, seeds, and
    the optimizer's variables. Metrics begin anew each epoch and are left out."""
    ops = load_keras().ops
    return {name: ops.convert_to_numpy(variable) for name, variable in _variables(model).items()}


def restore_model_state(model: Any, arrays: dict[str, np.ndarray], place: str, with_optimizer: bool = True) -> None:
    """Puts back what model_state() gave; the model has been built and compiled in the same way.

    Args:
        with_optimizer: False if the model has been compiled for the next phase, which has another one.

    Raises:
        PipelineError: the arrays are of another model.
    """
    variables = _variables(model)
    if not with_optimizer:
        variables, arrays = (
            {name: value for name, value in found.items() if not name.startswith(OPTIMIZER)}
            for found in (variables, arrays)
        )
    if {name: tuple(variable.shape) for name, variable in variables.items()} != {
        name: array.shape for name, array in arrays.items()
    }:
        raise PipelineError(
            f"expected a checkpoint of this model in {place}, received other weights; delete it to train from the start"
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _variables(model: Any) -> dict[str, Any]:
    metrics = {id(variable) for variable in model.metrics_variables}
    own = [variable for variable in model.variables if id(variable) not in metrics]
    named = {f"model/{place:04d}": variable for place, variable in enumerate(own)}
    return named | {f"{OPTIMIZER}{place:04d}": value for place, value in enumerate(model.optimizer.variables)}
