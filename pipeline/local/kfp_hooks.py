"""kfp.local, task by task: it tells nobody what ran, and calls a container a success that is merely gone."""

import contextlib
import functools
import logging
import pathlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any


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
