"""Runs the pipeline on this machine through kfp.local: in Docker, or as plain processes."""

import contextlib
import dataclasses
import functools
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any, Literal

from components.core.artifacts.evaluation import read_decision
from components.core.errors import PipelineError
from components.core.files import write_json
from pipeline.console import StepOutput, step_output
from pipeline.keras_side.check import check_model
from pipeline.local.board_links import BoardLinks
from pipeline.local.kfp_hooks import left_everything, observed_tasks, quiet_kfp
from pipeline.local.places import with_places
from pipeline.local.runner import RunnerChoice, RunnerName, choose_runner, kfp_runner, remove_containers
from pipeline.parameters.parameters import Configuration, Parameters
from pipeline.parameters.sweep import Sweep
from pipeline.summary import PLACES, closing_block

# Below the outputs directory: what `make tensorboard` shows.
BOARD = "tensorboard"


@dataclasses.dataclass
class Step:
    """What became of one step."""

    name: str
    status: Literal["succeeded", "failed", "skipped", "not run"] = "not run"
    cached: bool = False
    seconds: float = 0.0
    outputs: dict[str, Any] = dataclasses.field(default_factory=dict)


def run_local(
    configuration: Configuration, choice: RunnerChoice, outputs: pathlib.Path, sweep: Sweep | None = None
) -> pathlib.Path:
    """Runs all steps, prints what they print and a closing table, and writes summary.json.

    Args:
        configuration: checked parameters.
        choice: where the steps run; "auto" takes Docker where an engine answers.
        outputs: the directory of all local runs; `latest` in it points to this one.
        sweep: what to try where the best of several trainings is wanted.

    Returns:
        The run's directory.

    Raises:
        PipelineError: a step failed, or could not be started. summary.json then says "failed".
    """
    parameters = with_places(configuration.parameters)
    if parameters.nodes > 1:
        raise PipelineError(f"nodes: expected 1 on this machine, received {parameters.nodes}; several need a cluster")
    if sweep is None or "architecture" not in sweep.names:
        check_model(parameters)
    runner, image = choose_runner(choice, parameters)
    outputs = outputs.absolute()
    outputs.mkdir(parents=True, exist_ok=True)
    with quiet_kfp(), step_output() as console:
        run = _new_run(configuration, outputs, console, sweep)
        end = functools.partial(remove_containers, outputs) if runner == "docker" else _nothing
        try:
            with run.interruptible(end):
                failure = run.go(parameters, runner, image)
        finally:
            end()
    summary = run.summarize(configuration, runner, failure)
    _print_summary(summary, run.directory)
    if failure:
        raise PipelineError(failure)
    return run.directory


def _new_run(
    configuration: Configuration, outputs: pathlib.Path, console: StepOutput, sweep: Sweep | None
) -> "LocalRun":
    if sweep:
        from pipeline.local.sweep import SweepRun

        return SweepRun(outputs, console, configuration, sweep)
    return LocalRun(outputs, console, f"{pathlib.Path(configuration.profile).stem}-{time.strftime('%m-%d-%H%M%S')}")


def _nothing() -> None:
    """Ends nothing: processes end with this one."""


class LocalRun:
    """One pass of kfp.local over the pipeline, observed task by task."""

    def __init__(self, outputs: pathlib.Path, console: StepOutput, title: str):
        from pipeline.training import STEPS

        self.outputs, self.console = outputs, console
        self.board = BoardLinks(outputs / BOARD / title)
        self.sweep: Sweep | None = None
        self.steps = {name: Step(name) for name in STEPS}
        self.directory = outputs / "no-run"

    def interruptible(self, end: Callable[[], None]) -> contextlib.AbstractContextManager:
        """What a run needs to end at an interrupt: nothing, unless it has a loop."""
        return contextlib.nullcontext()

    def go(self, parameters: Parameters, runner: RunnerName, image: Callable[[str], str]) -> str:
        """Runs the pipeline; returns why it failed, or an empty string."""
        from kfp import local

        from pipeline.training import training_pipeline

        local.init(
            runner=kfp_runner(runner, parameters, self.outputs),
            pipeline_root=str(self.outputs),
            enable_caching=True,
            # A process and a container of the same code are not the same environment: neither answers for the other.
            cache_root=str(self.outputs / ".cache" / runner),
        )
        pipeline = training_pipeline(parameters, image, sweep=self.sweep)
        try:
            with observed_tasks(self._step):
                pipeline()
        except RuntimeError as error:
            failed = next((step.name for step in self.steps.values() if step.status == "failed"), None)
            if failed is None:
                raise
            return f"{failed} failed: {self.console.last_error or first_line(error)}"
        for step in self.steps.values():
            if step.status == "not run":
                step.status = "skipped"
        return ""

    def _step(self, execute: Callable, task_name: str, pipeline_resource_name: str, **rest: Any) -> tuple[dict, Any]:
        """Executes one task in kfp.local's stead: times it, and believes its success only where its outputs exist."""
        from kfp.local import status

        # Steps inside a condition get a resource name below the run's.
        self.directory = self.outputs / pipeline_resource_name.split("/")[0]
        step = self.steps[self._name(task_name, pipeline_resource_name)]
        self.console.say(self._title(step))
        began = time.monotonic()
        task_directory = self.outputs / pipeline_resource_name / task_name
        if name := self._board_name(step):
            self.board.show(name, task_directory / "tensorboard")
        try:
            outputs, state = execute(task_name=task_name, pipeline_resource_name=pipeline_resource_name, **rest)
        except Exception as error:  # an engine that stopped answering, an image that went away
            self.console.last_error = first_line(error)
            outputs, state = {}, status.Status.FAILURE
        step.seconds = round(time.monotonic() - began, 2)
        step.cached = not task_directory.exists()
        if state == status.Status.SUCCESS and not step.cached and not left_everything(task_directory, outputs):
            # DockerRunner takes a container that is gone before it is asked for one that succeeded
            # (kubeflow/pipelines#13332): only what a task left behind tells.
            self.console.last_error = self.console.last_error or "the step ended without writing its outputs"
            outputs, state = {}, status.Status.FAILURE
        step.outputs = outputs
        step.status = "succeeded" if state == status.Status.SUCCESS else "failed"
        self.console.say(f"  {step.status}, {'cached' if step.cached else f'{step.seconds:.1f} s'}")
        return outputs, state

    def _name(self, task_name: str, pipeline_resource_name: str) -> str:
        """A task's name among the steps."""
        return task_name

    def _title(self, step: Step) -> str:
        """What is said when a step begins."""
        return step.name

    def _board_name(self, step: Step) -> str | None:
        """Under which name a step's event files are shown; None: it writes none."""
        return {"train": "fit", "evaluate": "final"}.get(step.name)

    def _facts(self) -> dict[str, Any]:
        """What summary.json says besides."""
        return {}

    def summarize(self, configuration: Configuration, runner: RunnerName, failure: str) -> dict[str, Any]:
        """Writes summary.json and points `latest` here."""
        self.board.tidy()
        self.directory.mkdir(parents=True, exist_ok=True)
        evaluated = self.steps["evaluate"].outputs.get("metrics")
        summary = {
            "status": "failed" if failure else "succeeded",
            "profile": configuration.profile,
            "runner": runner,
            "steps": [
                {"name": step.name, "status": step.status, "cached": step.cached, "seconds": step.seconds}
                for step in self.steps.values()
            ],
            "metrics": {name: evaluated.metadata[name] for name in ("loss", "accuracy")} if evaluated else {},
            "artifacts": self._artifacts(),
            **self._facts(),
        }
        if evaluated:
            decision = read_decision(self.steps["evaluate"].outputs["evaluation"].path)
            outcome = self.steps["export"].outputs.get("Output", "not exported")
            summary |= {"outcome": f"{outcome}; the model {decision.said}", "gate": decision.model_dump(mode="json")}
        if failure:
            summary["error"] = failure
        write_json(self.directory / "summary.json", summary)
        latest = self.outputs / "latest"
        beside = self.outputs / ".latest.partial"
        beside.unlink(missing_ok=True)
        beside.symlink_to(self.directory.name)
        beside.replace(latest)
        return summary

    def _artifacts(self) -> dict[str, str]:
        found = {}
        for name, (step, output, file) in PLACES.items():
            artifact = self.steps[step].outputs.get(output) if step in self.steps else None
            if artifact is not None:
                found[name] = str(pathlib.Path(artifact.path) / file)
        if "data_report" in found:
            found["data_report"] = str(_with_ending(found["data_report"]))
        return found


def _with_ending(page: str) -> pathlib.Path:
    """A link to an HTML page that KFP stored without an ending: browsers go by it."""
    link = pathlib.Path(f"{page}.html")
    if not link.exists():
        link.symlink_to(pathlib.Path(page).name)
    return link


def _print_summary(summary: dict[str, Any], directory: pathlib.Path) -> None:
    places = {**summary["artifacts"], "summary": directory / "summary.json"}
    shown = {**summary, "artifacts": {name: _shown(place) for name, place in places.items()}}
    if "trials" in summary:
        from pipeline.local.sweep import trial_table

        shown["trial_table"] = trial_table(summary)
    print(closing_block(shown))


def _shown(path: str | os.PathLike) -> str:
    """A path as a person would type it here: relative where it lies below the current directory."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
