"""Asks a process of its own what only Keras can tell, so that no command has to load it: four seconds and 400 MB.

The question and the answer are JSON; the process is answer.py.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from components.core.errors import ERROR_PREFIX, PipelineError
from pipeline import ROOT

# It looks for no module in the folder that it runs in: a user's own may hold a `components` too.
PYTHON = (sys.executable, "-P")
# Starts a process and gives what waits for its exit status.
StartPython = Callable[[list[str], Mapping[str, str], int], Callable[[], int]]


def python_process(command: list[str], environment: Mapping[str, str], output: int) -> subprocess.Popen:
    """Starts a Python of its own, which writes to the descriptor `output`; `command` is what follows `python`."""
    alone = [*PYTHON, *command]
    return subprocess.Popen(alone, stdout=output, stderr=subprocess.STDOUT, env=environment)


def start_python(command: list[str], environment: Mapping[str, str], output: int) -> Callable[[], int]:
    """The same; gives what waits for its exit status."""
    return python_process(command, environment, output).wait


def ask(question: str, start: StartPython = start_python, **about: Any) -> Any:
    """The answer to a question about JSON values.

    Args:
        question: "check", which fits the layers and the optimizer together (check.py), or "describe", which tells what
            the model is and costs (describe.py).
        start: how the process starts, if Keras is loaded somewhere already.

    Raises:
        PipelineError: what the process said as it failed: the layer or the argument that can't be.
    """
    asked = json.dumps({"question": question, "about": about})
    with tempfile.TemporaryFile() as output:
        command = ["-m", "pipeline.keras_side.answer", asked]
        code = start(command, {**os.environ, "PYTHONPATH": str(ROOT)}, output.fileno())()
        output.seek(0)
        said = output.read().decode(errors="replace").strip().splitlines()
    if code:
        reason = said[-1] if said else f"the process that loads Keras ended with {code}"
        raise PipelineError(reason.removeprefix(ERROR_PREFIX))
    return json.loads(said[-1])
