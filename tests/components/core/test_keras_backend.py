"""Which backend Keras is loaded with."""

import importlib.util
import os
import subprocess
import sys

import pytest

from components.core.errors import PipelineError
from components.core.framework import training_backend


def test_only_training_takes_another_backend(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert training_backend() == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    code = "from components.core.framework import load_keras; print(load_keras().backend.backend())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.stdout == "tensorflow\n", done.stderr


def test_a_backend_that_is_unknown_or_missing_is_refused(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(PipelineError, match="KERAS_BACKEND: expected tensorflow or jax, received 'torch'"):
        training_backend()
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError, match="the package jax is not installed here; .*or leave KERAS_BACKEND unset"):
        training_backend()
