"""Which backend Keras is loaded with, and what comes with it."""

import importlib.util
import os
import subprocess
import sys

import pytest

from components.core.errors import PipelineError
from components.core.framework import load_keras
from pipeline import ROOT


@pytest.mark.parametrize(("asked", "found"), [("", "tensorflow"), ("tensorflow", "tensorflow"), ("jax", "jax")])
def test_the_parameter_decides_and_no_variable(asked: str, found: str) -> None:
    code = f"from components.core.framework import load_keras; print(load_keras({asked!r}).backend.backend())"
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.stdout == f"{found}\n", done.stderr


def test_a_backend_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError, match="backend=jax: the package jax is not installed here; try `make jax`"):
        load_keras("jax")


def test_one_process_has_one_backend() -> None:
    load_keras("tensorflow")
    assert load_keras().backend.backend() == "tensorflow"
    with pytest.raises(PipelineError, match="expected Keras on jax, received a process that has loaded it on tensorf"):
        load_keras("jax")
