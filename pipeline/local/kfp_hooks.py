"""Gaps of kfp.local 2.17, worked around: it tells nobody what ran nor how that ended, and rewrites the values that a
step is given."""

import contextlib
import functools
import importlib
import logging
import os
import pathlib
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Iterator

# Starts a step's process and gives what waits for its exit status (WarmProcess.start).
StartStep = Callable[[str, list[str], dict[str, str], int], Callable[[], int]]


def import_kfp() -> None:
    """Imports kfp without its client of a cluster, which loads Kubernetes' own: 0.3 s of the second that a run takes
    whose steps are all cached."""
    if "kfp" in sys.modules:
        return
    stand_in = types.ModuleType("kfp.client")
    stand_in.Client = None  # type: ignore[attr-defined]
    sys.modules["kfp.client"] = stand_in
    try:
        importlib.import_module("kfp")
    finally:
        del sys.modules["kfp.client"]


@contextlib.contextmanager
def observed_tasks(execute_step: Callable) -> Iterator[None]:
    """Hands each task of kfp.local to `execute_step`, together with kfp's own way of executing it.

    kfp.local has no hook for this (2.17.0): the one function that both its orchestrators call is replaced meanwhile.
    """
    from kfp.local.orchestrator import task_executor

    original = task_executor.execute_single_task
    task_executor.execute_single_task = functools.partial(execute_step, original)
    try:
        yield
    finally:
        task_executor.execute_single_task = original


@contextlib.contextmanager
def own_steps(run: Callable[[list[str]], int]) -> Iterator[None]:
    """Has kfp.local's steps run by `run`, which takes a command, and gives an exit status as subprocess does.

    A command is sh -ec SCRIPT MODULE ARGUMENT...: KFP's script writes the module to a file and runs it. kfp.local
    writes this interpreter's path into it without quotes, and over the text `python3` wherever else it stands there, in
    the values of parameters too. Its DockerRunner takes a container that is merely gone for a success
    (kubeflow/pipelines#13332), fails at a letter that two pieces of output share, and takes no path with a colon.
    """
    from kfp.local import status, subprocess_task_handler

    handler = subprocess_task_handler.SubprocessTaskHandler
    original = handler.run
    handler.run = lambda task: status.Status.FAILURE if run(task.full_command) else status.Status.SUCCESS
    try:
        yield
    finally:
        handler.run = original


def run_process(start: StartStep, command: list[str]) -> int:
    """Runs a component's source in a process of its own, prints its lines as they come, and gives its exit status."""
    _, _, _, module, *arguments = command
    with tempfile.TemporaryDirectory(prefix="conv2d-step-") as directory:
        file = pathlib.Path(directory) / "ephemeral_component.py"
        file.write_text(module, encoding="utf-8")
        command = ["-m", "kfp.dsl.executor_main", "--component_module_path", str(file), *arguments]
        step = arguments[arguments.index("--function_to_execute") + 1]
        reading, writing = os.pipe()
        try:
            wait = start(step, command, {**os.environ, "_KFP_RUNTIME": "true"}, writing)
        finally:
            os.close(writing)
        with os.fdopen(reading, encoding="utf-8", errors="replace") as lines:
            try:
                for line in lines:
                    print(line, end="")
            except KeyboardInterrupt:  # which the step is told of, too
                wait()
                raise
        return wait()


@contextlib.contextmanager
def quiet_kfp() -> Iterator[None]:
    """Leaves out kfp.local's log below warnings, and its warnings about settings that only a cluster heeds."""

    def is_worth_reading(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING and not str(record.msg).startswith(("Task ", "Pipeline "))

    logger = logging.getLogger()
    logger.addFilter(is_worth_reading)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.filterwarnings("ignore", message=r"Task .*: settings .* have no effect")
            yield
    finally:
        logger.removeFilter(is_worth_reading)
