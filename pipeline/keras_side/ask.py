"""Asks a process of its own what only Keras can tell, so that no command has to load it: four seconds and 400 MB.

The question and the answer are JSON; the process is answer.py.
"""

import json
import subprocess
import sys
from typing import Any

from components.core.errors import PipelineError
from pipeline import ROOT


def ask(question: str, **about: Any) -> dict[str, Any]:
    """The answer to a question.

    Args:
        question: "check", which fits the layers and the optimizer together (check.py), or "describe", which tells what
            the model is and costs (describe.py).
        about: JSON values.

    Raises:
        PipelineError: what the process said as it failed: the layer or the argument that can't be.
    """
    asked = subprocess.run(
        [sys.executable, "-m", "pipeline.keras_side.answer"],
        input=json.dumps({"question": question, "about": about}),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if asked.returncode:
        said = (asked.stderr.strip().splitlines() or [f"the process that loads Keras ended with {asked.returncode}"])[
            -1
        ]
        raise PipelineError(said.removeprefix("error: "))
    return json.loads(asked.stdout.splitlines()[-1])
