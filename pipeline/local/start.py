"""The story of a run on this machine: check, choose a runner, run, sum up."""

import contextlib
import dataclasses
import datetime
import functools
import pathlib
import signal
import sys
import tempfile
import threading
from collections.abc import Callable

from components.core.errors import PipelineError
from pipeline.console import StepOutput, option
from pipeline.keras_side.check import check_model
from pipeline.local.kfp_hooks import import_kfp, quiet_kfp
from pipeline.local.places import with_places
from pipeline.local.run import LocalRun, steps_with_tensorflow
from pipeline.local.runner import RunnerChoice, RunnerName, choose_runner
from pipeline.local.step_containers import remove_containers
from pipeline.local.summary import print_summary, summarize, write_summary
from pipeline.local.sweep import SweepRun
from pipeline.local.warm import WarmProcess
from pipeline.parameters.parameters import Configuration, Parameters
from pipeline.parameters.sweep import Sweep

# What the warm process knows the check of the model by, among the steps.
CHECK = "check"
# How long a step has for its end after Ctrl-C.
PATIENCE_S = 3.0


@dataclasses.dataclass(frozen=True)
class LocalJob:
    """What to run on this machine: `outputs` is the directory of all local runs, absolute."""

    configuration: Configuration[Parameters]
    choice: RunnerChoice
    outputs: pathlib.Path
    sweep: Sweep | None = None
    cached: bool = True


def run_local(job: LocalJob, warm: WarmProcess | None = None) -> pathlib.Path:
    """Runs all steps, prints what they print and a closing table, and writes summary.json.

    Args:
        warm: what has TensorFlow already, of `warm_for`; None: one for this run alone.

    Returns:
        The run's directory, to which `latest` beside it points.

    Raises:
        PipelineError: a step failed, or could not be started. summary.json then says "failed".
    """
    run, runner, failure = one_pass(job, warm)
    summary = summarize(run, job.configuration, runner, failure)
    print_summary(summary, run.directory)
    try:
        write_summary(summary, run.directory)
    except OSError:  # a full disk, for one: then it is what failed the run too
        if not failure:
            raise
    if failure:
        raise PipelineError(failure)
    return run.directory


def one_pass(job: LocalJob, warm: WarmProcess | None = None) -> tuple[LocalRun, RunnerName, str]:
    """Runs the steps as run_local does, without a summary.

    Returns:
        The run, where its steps ran, and why it failed, or an empty string.
    """
    outputs = job.outputs
    parameters = with_places(job.configuration.parameters, outputs)
    if parameters.nodes > 1:
        raise PipelineError(f"nodes: expected 1 on this machine, received {parameters.nodes}; several need a cluster")
    with contextlib.nullcontext(warm) if warm else warm_for(parameters) as warm:
        if job.sweep is None or "architecture" not in job.sweep.names:
            check_model(parameters, functools.partial(warm.start, CHECK), outputs / ".fitting")
        _make(outputs)
        runner, image = choose_runner(job.choice, parameters)
        if runner == "docker":
            warm.close()
        import_kfp()
        with quiet_kfp(), contextlib.redirect_stdout(StepOutput(sys.stdout)) as console:
            run = _new_run(job, console)
            own = job.configuration.parameters
            versions = {"download": own.source_version, "train": own.start_version}
            looked = {step for step, version in versions.items() if not version}
            end = functools.partial(remove_containers, outputs) if runner == "docker" else warm.interrupt_step
            try:
                end()
                # Ctrl-C reaches a step that is a process by itself, and an interrupt of this process alone does not.
                interrupted = end if runner == "docker" else functools.partial(_soon, end)
                with run.interruptible({signal.SIGTERM: end, signal.SIGHUP: end, signal.SIGINT: interrupted}):
                    failure = run.go(parameters, runner, image, warm, job.cached, looked)
            finally:
                end()
    return run, runner, failure


def _soon(end: Callable[[], None]) -> None:
    """Ends the step that runs if it has not ended by itself."""
    timer = threading.Timer(PATIENCE_S, end)
    timer.daemon = True
    timer.start()


def _make(outputs: pathlib.Path) -> None:
    """Makes the directory, and sees that it and what is kept in it can be written to: not so after a run by sudo."""
    folder = outputs
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        for folder in (outputs, *outputs.glob(".c*/"), *outputs.glob(".cache/*/")):  # the cache's and the checkpoints'
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        raise PipelineError(
            f"expected to write to {folder}, received: {error.strerror}; change its rights, or name another folder: "
            + option("outputs", "FOLDER")
        ) from None


def warm_for(parameters: Parameters) -> WarmProcess:
    """The warm process of a run, or of several with the same parameters, one after another."""
    return WarmProcess({CHECK, *steps_with_tensorflow(parameters)})


def _new_run(job: LocalJob, console: StepOutput) -> LocalRun:
    if job.sweep:
        return SweepRun(job.outputs, console, job.configuration, job.sweep)
    return LocalRun(job.outputs, console, f"{job.configuration.title}-{datetime.datetime.now():%m-%d-%H%M%S-%f}")
