"""Loads Keras and TensorFlow without their start-up chatter, in the processes that need them.

The import takes 4 seconds and 400 MB, so it happens inside functions, never at the head of a module.
"""

import contextlib
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from components.core.errors import PipelineError

# TensorFlow 2.21 logs these before its own log level is read (TF_CPP_MIN_LOG_LEVEL does not reach them): information
# lines of glog's shape, and the remark that comes in front of the first.
CHATTER = re.compile(rb"I\d{4} \d\d:\d\d:\d\d|WARNING: All log messages before absl::InitializeLog")


def load_keras(backend: str = "tensorflow") -> ModuleType:
    """Imports keras; information lines are dropped, warnings and errors are kept.

    Args:
        backend: of a process that has not loaded it yet. Only training may have another than TensorFlow's: what is
            measured and exported is what TensorFlow serves.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = backend
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        with _without_chatter(), _without_scikit_learn():
            import keras
            import tensorflow as tf

            tf.config.list_physical_devices()
    import keras

    return keras


def training_backend() -> str:
    """The Keras backend to train on: KERAS_BACKEND's, else TensorFlow's.

    Raises:
        PipelineError: one that training doesn't know, or that is not installed.
    """
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend not in ("tensorflow", "jax"):
        raise PipelineError(f"KERAS_BACKEND: expected tensorflow or jax, received {backend!r}")
    if importlib.util.find_spec(backend) is None:
        raise PipelineError(
            f"KERAS_BACKEND={backend}: the package {backend} is not installed here; try `make jax`, which adds it, or "
            "leave KERAS_BACKEND unset"
        )
    return backend


@contextlib.contextmanager
def _without_scikit_learn() -> Iterator[None]:
    """Hides scikit-learn from Keras, whose wrappers for it import it where it is installed: 1.1 s of 5.3 s here."""
    if "sklearn" in sys.modules:
        yield
        return
    modules: dict[str, Any] = sys.modules
    modules["sklearn"] = None  # what Python takes for "can't be imported"
    try:
        yield
    finally:
        del sys.modules["sklearn"]


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Holds back what C++ code writes to standard error, and lets out at the end what is not CHATTER."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            said = [line for line in held.read().splitlines(keepends=True) if not CHATTER.match(line)]
            os.write(2, b"".join(said))
