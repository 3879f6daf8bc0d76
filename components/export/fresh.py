"""A fresh process to prove an export in: one that has imported what it needs, and touched nothing of it."""

import multiprocessing
import os
import pathlib
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from components.core.framework import load_keras

# How a process starts that can't be forked from this one.
OTHERWISE = "spawn"


def start_fresh(work: Callable, *given: object) -> tuple[BaseProcess, Connection]:
    """Starts a process that calls work(connection, *given), and gives it with the other end of its connection.

    While this process has only imported TensorFlow itself, a fork of it is as fresh as one that imports it again, and
    4 seconds of a core earlier there.
    """
    load_keras()
    context = multiprocessing.get_context("fork" if _has_only_imported() else OTHERWISE)
    ours, theirs = context.Pipe()
    process: BaseProcess = context.Process(target=work, args=(theirs, *given))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    return process, ours


def _has_only_imported() -> bool:
    """Whether a fork of this process loses nothing: no operation has run yet, which would have started threads, and no
    GPU's driver has been asked, which takes no fork. A thread of Python's is not in the way: a container of a local run
    has one, which waits for the end of the run."""
    tasks = pathlib.Path("/proc/self/task")
    import tensorflow as tf

    if not tasks.is_dir() or tf.config.list_physical_devices("GPU"):
        return False
    # NumPy's OpenBLAS has threads once it is imported. It puts them away when there is a fork, so here is one first.
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return len(list(tasks.iterdir())) == threading.active_count()
