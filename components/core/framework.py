"""Loads Keras and its backend without their start-up chatter, in the processes that need them.

The import takes 4 seconds and 400 MB (3 and 250 on JAX), so it happens inside functions, never at the head of a module.
"""

import contextlib
import gc
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from components.core.errors import PipelineError
from components.core.machine import usable_cores

# TensorFlow 2.21 logs these before its own log level is read (TF_CPP_MIN_LOG_LEVEL does not reach them): information
# lines of glog's shape, and the remark that comes in front of the first.
CHATTER = re.compile(rb"I\d{4} \d\d:\d\d:\d\d|WARNING: All log messages before absl::InitializeLog")


def load_keras(backend: str = "") -> Any:
    """Imports keras; information lines are dropped, warnings and errors are kept.

    Args:
        backend: "tensorflow" or "jax"; empty: what this process has loaded already, else TensorFlow. Only training has
            another than TensorFlow's: what is measured and exported is what TensorFlow serves.

    Raises:
        PipelineError: the backend is not installed, or this process has loaded Keras with another.
    """
    if "keras" not in sys.modules:
        chosen = backend or "tensorflow"
        require_backend(chosen)
        os.environ["KERAS_BACKEND"] = chosen
        # A user's own keras.json would make other models (channels first, float16), and these two shorter trainings.
        os.environ["KERAS_HOME"] = os.devnull
        for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
            os.environ.pop(name, None)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        # Else TensorFlow takes all of a GPU, and the process that proves an export, or another trial, has none of it.
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        # Both start a thread for each core of the node, whatever the container's limit: 64 for a limit of 2 took a
        # quarter more of its CPU by TensorFlow, and 420 MB more of its memory by JAX, which has no variable of its own.
        # And how many there are decides a sum's last bits: a pod that is tried again may be on a larger node.
        for name in ("TF_NUM_INTRAOP_THREADS", "NPROC"):
            os.environ.setdefault(name, str(usable_cores()))
        if chosen != "tensorflow":
            sys.meta_path.insert(0, _WithoutTensorFlow())
        # 1.1 and 0.3 s for what nobody here uses: Keras's wrappers of scikit-learn, TensorFlow Lite's way from JAX.
        needless = ("sklearn", "jax") if chosen == "tensorflow" else ("sklearn",)
        with standard_error_held(CHATTER), _without(*needless), _not_collected():
            import keras

            if chosen == "tensorflow":
                import tensorflow as tf

                tf.config.list_physical_devices()
    import keras

    loaded = keras.backend.backend()
    if backend and backend != loaded:
        raise PipelineError(
            f"backend: expected Keras on {backend}, received a process that has loaded it on {loaded}; "
            "train in a process of its own"
        )
    return keras


class _WithoutTensorFlow:
    """Lets Python find no TensorFlow: Keras on JAX and TensorBoard would load it for small things they do without."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "tensorflow":
            raise ModuleNotFoundError(f"{name} is not used by this process, which trains on JAX", name=name)


def require_backend(backend: str) -> None:
    """Raises PipelineError if the backend is not installed here."""
    if importlib.util.find_spec(backend) is None:
        advice = "try `make jax`, which adds it, or backend=tensorflow" if backend == "jax" else "try backend=jax"
        raise PipelineError(f"backend={backend}: the package {backend} is not installed here; {advice}")


@contextlib.contextmanager
def _not_collected() -> Iterator[None]:
    """Leaves what is imported, which stays, out of garbage collection for good: 0.4 s of the import's 3 and, when the
    process ends, 1.2 s more."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _without(*packages: str) -> Iterator[None]:
    """Hides packages that are installed and that Keras or TensorFlow would import for parts of theirs."""
    modules: dict[str, Any] = sys.modules
    hidden = [name for name in packages if name not in modules]
    modules.update(dict.fromkeys(hidden))  # None is what Python takes for "can't be imported"
    try:
        yield
    finally:
        for name in hidden:
            del modules[name]


@contextlib.contextmanager
def standard_error_held(chatter: re.Pattern[bytes]) -> Iterator[None]:
    """Holds back what is written to standard error, by C++ code too, and lets out at the end all lines that do not
    begin with `chatter`."""
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
            said = [line for line in held.read().splitlines(keepends=True) if not chatter.match(line)]
            os.write(2, b"".join(said))
