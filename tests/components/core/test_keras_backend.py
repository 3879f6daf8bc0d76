"""Which backend Keras is loaded with, and what comes with it."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

from components.core.errors import PipelineError
from components.core.framework import load_keras
from pipeline import ROOT


@pytest.mark.parametrize(("asked", "found"), [("", "tensorflow"), ("jax", "jax")])
def test_the_parameter_decides_and_no_variable_nor_file(asked: str, found: str, tmp_path: pathlib.Path) -> None:
    """With such a file the article's convolutions take a picture's rows for its colours, and its loss is in float16."""
    own = {"floatx": "float16", "epsilon": 1e-3, "image_data_format": "channels_first", "backend": "torch"}
    (tmp_path / "keras.json").write_text(json.dumps(own))
    (tmp_path / "cpu.max").write_text("100000 100000")  # a container's limit of one CPU
    code = (
        f"import os, pathlib; from components.core import machine; machine.CGROUP = pathlib.Path({str(tmp_path)!r}); "
    )
    code += f"from components.core.framework import load_keras; keras = load_keras({asked!r}); b = keras.backend; "
    code += "print(b.backend(), b.floatx(), b.epsilon(), b.image_data_format(), keras.config.max_epochs(), "
    code += "os.environ['TF_NUM_INTRAOP_THREADS'], os.environ['NPROC'])"
    environment = os.environ | {"KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path), "KERAS_MAX_EPOCHS": "1"}
    for name in ("TF_NUM_INTRAOP_THREADS", "NPROC"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.stdout == f"{found} float32 1e-07 channels_last None 1 1\n", done.stderr


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
