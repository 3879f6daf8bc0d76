"""Programs in processes of their own that need not import TensorFlow again: forked from a process that has.

A worker of the tests has one such process: the fixture `warm` of conftest.py is its place.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import NamedTuple, TextIO

from pipeline import ROOT
from pipeline.local.warm import COUNT_AT_IMPORT, fork


def run(place: str, code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Runs Python code as `python -c code arguments...` does; stdout has its output and its errors.

    Args:
        variables: set in its environment, besides this process's.
    """
    with tempfile.TemporaryFile() as output:
        forked = fork(place, ["-m", "tests.warm", code, *arguments], environment() | variables, output.fileno())
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
    command = ["-m", "tests.warm", code, *arguments]
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as output:
        forked = fork(place, command, environment(), writing)
        process = forked or subprocess.Popen(
            [sys.executable, *command], stdout=output, stderr=subprocess.STDOUT, env=environment()
        )
    return Program(process.pid, process.wait, os.fdopen(reading))


def environment() -> dict[str, str]:
    """This process's, in which our modules are found from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


if __name__ == "__main__":
    source = sys.argv.pop(1)
    exec(compile(source, "<string>", "exec"), {"__name__": "__main__"})
