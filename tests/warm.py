"""Programs in processes of their own that need not import TensorFlow again, or JAX: forked from a process that has.

A run of the tests has one such process for each: the fixtures `warm` and `warm_jax` of conftest.py are their places.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple, TextIO

from pipeline import ROOT
from pipeline.local.warm import COUNT_AT_IMPORT, fork, warm_process

# The place of the process that has imported a backend, for the workers of one run.
SHARED = "_WARM_{backend}"

# What JAX reads when it first computes, and not when it is imported: a forked program may have its own.
READ_LATE = ("XLA_FLAGS", "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


@contextlib.contextmanager
def importing(backend: str) -> Iterator[str]:
    """The place of a process that imports "tensorflow" or "jax": the run's, or one that ends with the context."""
    if shared := os.environ.get(SHARED.format(backend=backend)):
        yield shared
        return
    with tempfile.TemporaryDirectory() as directory:
        place = f"{directory}/socket"
        with warm_process(place, environment() | {"_KFP_RUNTIME": "true"}, backend):
            yield place


@contextlib.contextmanager
def shared_by_workers() -> Iterator[None]:
    """One such process for each backend, for all workers that are started then.

    They are started when both have imported: in a fresh environment each of three would compile TensorFlow's Python,
    11 s of a core.
    """
    with contextlib.ExitStack() as ends:
        places = {backend: ends.enter_context(importing(backend)) for backend in ("tensorflow", "jax")}
        for backend, place in places.items():
            assert not run(place, "").returncode
            os.environ[SHARED.format(backend=backend)] = place
        yield


def run(place: str, code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Runs Python code as `python -c code arguments...` does; stdout has its output and its errors.

    Args:
        variables: set in its environment, besides this process's.
    """
    with tempfile.TemporaryFile() as output:
        late = {name: variables.pop(name) for name in READ_LATE if name in variables}
        forked = fork(place, command(code, *arguments, **late), environment() | variables, output.fileno())
        counted = {name: value for name, value in os.environ.items() if name.startswith(COUNT_AT_IMPORT)}
        assert forked, f"the warm process is there, and has imported under this environment: {counted}"
        status = forked.wait()
        output.seek(0)
        return subprocess.CompletedProcess([code, *arguments], status, output.read().decode())


class Program(NamedTuple):
    """Python code that runs in a process of its own; what it writes, errors too, comes from `stdout`."""

    pid: int
    wait: Callable[[], int]
    stdout: TextIO


def start(place: str, code: str, *arguments: str) -> Program:
    """Starts Python code as `run` does; under another backend than the warm process's, it imports for itself."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as output:
        forked = fork(place, command(code, *arguments), environment(), writing)
        process = forked or subprocess.Popen(
            [sys.executable, *command(code, *arguments)], stdout=output, stderr=subprocess.STDOUT, env=environment()
        )
    return Program(process.pid, process.wait, os.fdopen(reading))


def command(code: str, *arguments: str, **late: str) -> list[str]:
    """What follows `python` on the command line of a program.

    Args:
        late: variables that are set in it as it begins: some of READ_LATE.
    """
    return ["-m", "tests.warm", json.dumps(late), code, *arguments]


def environment() -> dict[str, str]:
    """This process's, in which our modules are found from any folder, but for what it holds since it loaded Keras."""
    own = {name: value for name, value in os.environ.items() if name not in ("KERAS_BACKEND", "TF2_BEHAVIOR")}
    return own | {"PYTHONPATH": str(ROOT)}


if __name__ == "__main__":
    os.environ.update(json.loads(sys.argv.pop(1)))
    source = sys.argv.pop(1)
    exec(compile(source, "<string>", "exec"), {"__name__": "__main__"})
