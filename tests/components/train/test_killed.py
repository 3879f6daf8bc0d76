"""Killed at any moment, in processes of their own, or two at once: same result."""

import contextlib
import itertools
import os
import pathlib
import signal
import time

import numpy as np
import pytest

from tests.components.train.conftest import STATEFUL, same, weights_below
from tests.warm import Program, start

PROGRAM = f"""
import sys
from components.train import callbacks
from components.train.run import train
from components.train.settings import TrainSettings
callbacks.EVERY_S = 0
dataset, place, checkpoints = sys.argv[1:]
settings = TrainSettings.checked(
    architecture={STATEFUL!r}, epochs=8, batch_size=100, gpus="auto", deterministic=True, checkpoints=checkpoints
)
train(settings, dataset, place + "/model", place + "/board")
"""


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory, unjudged_digits: str, warm: str) -> pathlib.Path:
    """The folder of two runs of PROGRAM, `one` and `two`, at the same time and with one place for checkpoints."""
    folder = tmp_path_factory.mktemp("runs")
    places = [folder / "one", folder / "two"]
    runs = [start(warm, PROGRAM, unjudged_digits, str(place), str(folder / "shared")) for place in places]
    said = [run.stdout.read() for run in runs]
    assert [run.wait() for run in runs] == [0, 0], said
    return folder


def test_two_runs_of_one_job_end_alike(two_runs: pathlib.Path) -> None:
    """At the same time, with one place for checkpoints, written after every epoch."""
    assert same(*(weights_below(two_runs / name) for name in ("one", "two")))
    assert not list((two_runs / "shared").rglob("*.npz"))


def test_killed_and_started_again_is_the_same_to_the_last_bit(
    two_runs: pathlib.Path, tmp_path: pathlib.Path, unjudged_digits: str, warm: str
) -> None:
    """SIGKILL after two epochs and a moment that differs from run to run, whatever is done just then."""
    whole = weights_below(two_runs / "one")

    def run() -> Program:
        return start(warm, PROGRAM, unjudged_digits, str(tmp_path), str(tmp_path / "checkpoints"))

    process = run()
    epochs = (line for line in process.stdout if line.startswith("epoch"))
    assert len(list(itertools.islice(epochs, 2))) == 2
    time.sleep(np.random.default_rng().uniform(0, 0.1))
    with contextlib.suppress(ProcessLookupError):  # it was quicker
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "model").exists() or same(weights_below(tmp_path), whole)
    process = run()
    said = process.stdout.read()
    assert process.wait() == 0, said
    assert same(weights_below(tmp_path), whole)
