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
from typing import Any

# Starts a step's process and gives what waits for its exit status (WarmProcess.start).
StartStep = Callable[[str, list[str], dict[str, str], int], Callable[[], int]]

# Runs a step's container and gives its exit status: StepContainers.run.
RunContainer = Callable[..., int]


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
def own_processes(ended: Callable[[int], None], start: StartStep, run_container: RunContainer) -> Iterator[None]:
    """Starts SubprocessRunner's steps without a shell, DockerRunner's by `run_container`, and tells how each step's
    process or container ended.

    kfp.local writes this interpreter's path into a shell's command line without quotes, and over the text `python3`
    wherever else it stands there, in the values of parameters too.

    Args:
        ended: called with an exit status as subprocess gives it: -9 for a process that was killed.
        start: starts a step's process.
        run_container: runs a step's container.
    """
    from kfp.local import docker_task_handler, status, subprocess_task_handler

    handler, containers = subprocess_task_handler.SubprocessTaskHandler, docker_task_handler
    originals = handler.run, containers.run_docker_container

    def run_process(task: Any) -> Any:
        # sh -ec SCRIPT MODULE ARGUMENT...: the script writes the module to a file and runs it.
        _, _, _, module, *arguments = task.full_command
        code = _run_module(module, arguments, task.env_vars, start)
        ended(code)
        return status.Status.SUCCESS if code == 0 else status.Status.FAILURE

    def run_docker_container(**options: Any) -> int:
        code = run_container(**options)
        ended(128 - code if code > 128 else code)  # a shell's 137 is -9
        return code

    handler.run, containers.run_docker_container = run_process, run_docker_container
    try:
        yield
    finally:
        handler.run, containers.run_docker_container = originals


def _run_module(module: str, arguments: list[str], variables: dict[str, str], start: StartStep) -> int:
    """Runs a component's source in a process of its own, prints its lines as they come, and gives its exit status."""
    with tempfile.TemporaryDirectory(prefix="conv2d-step-") as directory:
        file = pathlib.Path(directory) / "ephemeral_component.py"
        file.write_text(module, encoding="utf-8")
        command = ["-m", "kfp.dsl.executor_main", "--component_module_path", str(file), *arguments]
        step = arguments[arguments.index("--function_to_execute") + 1]
        reading, writing = os.pipe()
        try:
            wait = start(step, command, {**os.environ, **variables, "_KFP_RUNTIME": "true"}, writing)
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


def left_everything(task_directory: pathlib.Path, outputs: dict[str, Any]) -> bool:
    """Whether a task wrote its closing file and every artifact it declares."""
    artifacts = [pathlib.Path(output.path) for output in outputs.values() if hasattr(output, "path")]
    return (task_directory / "executor_output.json").is_file() and all(path.exists() for path in artifacts)


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
