"""Loads Keras and TensorFlow without their start-up chatter, in the processes that need them.

The import takes 4 seconds and 400 MB, so it happens inside functions, never at the head of a module.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType

# TensorFlow 2.21 logs these before its own log level is read (TF_CPP_MIN_LOG_LEVEL does not reach them): information
# lines of glog's shape, and the remark that comes in front of the first.
CHATTER = re.compile(rb"I\d{4} \d\d:\d\d:\d\d|WARNING: All log messages before absl::InitializeLog")


def load_keras() -> ModuleType:
    """Imports keras with its TensorFlow backend; information lines are dropped, warnings and errors are kept."""
    if "keras" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        with _without_chatter():
            import keras
            import tensorflow as tf

            tf.config.list_physical_devices()
    import keras

    return keras


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
