"""One run of the pipeline through kfp.local, observed task by task."""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from components.core.errors import one_line
from components.core.files import whole_file
from pipeline import ROOT
from pipeline.closing_block import PLACES
from pipeline.console import StepOutput
from pipeline.local import kept
from pipeline.local.kfp_hooks import observed_tasks, own_steps, run_process
from pipeline.local.links import BOARD, BoardLinks, lead
from pipeline.local.places import is_as_seen
from pipeline.local.runner import RunnerName, container_options, host_variables
from pipeline.local.step_containers import StepContainers
from pipeline.local.warm import WarmProcess
from pipeline.parameters.parameters import Parameters
from pipeline.parameters.sweep import Sweep

MEMORY_ADVICE = "close other programs, or try a smaller BATCH_SIZE or IMAGE_SIZE"


@dataclasses.dataclass
class Step:
    """What became of one step."""

    name: str
    status: Literal["succeeded", "failed", "not run"] = "not run"
    cached: bool = False
    seconds: float = 0.0
    outputs: dict[str, Any] = dataclasses.field(default_factory=dict)
    failure: str = ""


class LocalRun:
    """One pass of kfp.local over the pipeline; TensorBoard shows it under its title."""

    def __init__(self, outputs: pathlib.Path, console: StepOutput, title: str):
        from pipeline.training import STEPS

        self.outputs, self.console = outputs, console
        self.board = BoardLinks(outputs / BOARD / title)
        self.sweep: Sweep | None = None
        self.steps = {name: Step(name) for name in STEPS}
        self.directory = outputs / "no-run"
        # How the process or container of the step that runs has ended, as subprocess says it.
        self.exit_status = 0
        self.stopped = False
        self.cache = outputs / ".cache"
        self.tags: dict[str, str] = {}  # of the steps that are processes: their code's when the run began

    @contextlib.contextmanager
    def interruptible(self, ends: Mapping[int, Callable[[], None]]) -> Iterator[None]:
        """Lets Ctrl-C and other signals end the run: kfp.local runs a loop on a thread, and would first run all that is
        left; a container would train on when the terminal is closed."""

        def stop(number: int, _: Any) -> None:
            self.stopped = True
            ends[number]()
            raise KeyboardInterrupt

        before = {number: signal.getsignal(number) for number in ends}
        before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}  # as nohup has it
        for number in before:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def go(
        self,
        parameters: Parameters,
        runner: RunnerName,
        image: Callable[[str], str],
        warm: WarmProcess,
        cached: bool,
        looked: set[str],
    ) -> str:
        """Runs the pipeline; returns why it failed, or an empty string.

        Args:
            warm: starts a step that is to be a process.
            cached: whether steps may take earlier runs' results.
            looked: the steps whose source, or model to start from, was looked at, and has no version of the user's own.
        """
        from kfp import local

        from pipeline.training import training_pipeline

        self.image, self.parameters, self.looked = image, parameters, looked
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(self.outputs),
            # A process and a container of the same code are not the same environment: neither answers for the other.
            cache_root=str(self.cache / runner),
            enable_caching=cached,
        )
        # By the tag alone: a repository's name is nothing that a step's result follows from.
        pipeline = training_pipeline(parameters, lambda step: image(step).rpartition(":")[2], sweep=self.sweep)
        try:
            with contextlib.ExitStack() as stack:
                run: Callable[[list[str]], int] = functools.partial(run_process, warm.start)
                if runner == "docker":  # a container has the code of the run's begin
                    options = container_options(parameters, self.outputs, self.sweep.trials if self.sweep else ())
                    run = stack.enter_context(StepContainers(image, steps_with_tensorflow(parameters), options)).run
                else:
                    os.environ.update(host_variables(self.outputs), PYTHONPATH=str(ROOT))
                    self.tags = {step: image(step) for step in {name.split()[0] for name in self.steps}}
                stack.enter_context(observed_tasks(self._step))
                stack.enter_context(own_steps(functools.partial(self._run, run)))
                pipeline()
        except RuntimeError:
            failed = next((step for step in self.steps.values() if step.status == "failed"), None)
            if failed is None:
                raise
            return failed.failure
        return ""

    def _step(self, execute: Callable, task_name: str, pipeline_resource_name: str, **rest: Any) -> tuple[dict, Any]:
        """Executes one task in kfp.local's stead: times it, and believes its success only if its outputs exist."""
        from kfp.local import status

        # Steps inside a condition get a resource name below the run's.
        self.directory = self.outputs / pipeline_resource_name.split("/")[0]
        step = self.steps[self._name(task_name, pipeline_resource_name)]
        self.console.begin(self._title(step))
        its_code = self._has_its_code(task_name)
        self.exit_status = 0
        began = time.monotonic()
        task_directory = self.outputs / pipeline_resource_name / task_name
        if name := self._board_name(step):
            self.board.show(name, task_directory / "tensorboard")
        execute = functools.partial(execute, task_name=task_name, pipeline_resource_name=pipeline_resource_name, **rest)
        try:
            outputs, state = execute()
            if not task_directory.exists() and (earlier := _earlier(outputs, task_name)) and not kept.is_whole(earlier):
                self.console.say(f"  note: {earlier} is no longer complete; running the step again")
                kept.forget(self.cache, earlier)
                outputs, state = execute()
        except Exception as error:  # an engine that stopped answering, an image that went away
            self.console.last_error = one_line(error)
            outputs, state = {}, status.Status.FAILURE
        step.seconds = round(time.monotonic() - began, 2)
        step.cached = state == status.Status.SUCCESS and not task_directory.exists()
        if step.cached:
            if name:
                self.board.hide(name)
            if earlier := _earlier(outputs, task_name):  # `latest` has what a run came to
                lead(task_directory, earlier)
        elif outputs:
            kept.note(task_directory)
            changed = "" if its_code and self._has_its_code(task_name) else "code"
            if task_name in self.looked and not is_as_seen(self.parameters, task_name):
                changed = "source" if task_name == "download" else "model to start from"
            if changed:
                # The cache takes what comes of it for what the old one came to.
                self.console.say(f"  note: its {changed} changed since the run began; no later run takes the result")
                kept.forget(self.cache, task_directory)
        step.outputs = outputs
        step.status = "succeeded" if state == status.Status.SUCCESS else "failed"
        if step.status == "failed":
            step.failure = f"{step.name} {self._why()}"
        self.console.say(f"  {self._result(step)}, {'cached' if step.cached else f'{step.seconds:.1f} s'}")
        return outputs, state

    def _run(self, run: Callable[[list[str]], int], command: list[str]) -> int:
        """Runs a step, which has succeeded only if it wrote KFP's closing file: kfp.local would keep nothing as its
        result."""
        self.exit_status = run(command)
        closing = json.loads(command[command.index("--executor_input") + 1])["outputs"]["outputFile"]
        if self.exit_status == 0 and not pathlib.Path(closing).is_file():
            self.console.last_error = self.console.last_error or "the step ended without writing its outputs"
            return 1
        return self.exit_status

    def _has_its_code(self, step: str) -> bool:
        """Whether a step's code is what it was when the run began."""
        try:
            return step not in self.tags or self.image(step) == self.tags[step]
        except OSError:  # a file that goes this moment
            return False

    def _result(self, step: Step) -> str:
        """What is said when a step has ended."""
        return step.status

    def _why(self) -> str:
        """Why the step that just ended failed: its own error line, else how its process ended, else its last line."""
        if self.console.last_error:
            return f"failed: {self.console.last_error}"
        if self.exit_status == -signal.SIGKILL:
            return f"was killed (signal 9), probably out of memory: {MEMORY_ADVICE}"
        if self.exit_status < 0:
            return f"was ended by signal {-self.exit_status}; its last lines are above"
        return f"failed: {self.console.last_line.strip() or f'it ended with exit status {self.exit_status}'}"

    def _name(self, task_name: str, pipeline_resource_name: str) -> str:
        """A task's name among the steps."""
        return task_name

    def _title(self, step: Step) -> str:
        """The line that a step begins with."""
        return step.name

    def _board_name(self, step: Step) -> str | None:
        """Under which name a step's event files are shown; None: it writes none."""
        return {"train": "fit", "evaluate": "final"}.get(step.name)

    def facts(self) -> dict[str, Any]:
        """What summary.json says besides."""
        return {}

    def artifacts(self) -> dict[str, str]:
        """Where the run's results lie, by name."""
        found = {}
        for name, (step, output, file) in PLACES.items():
            artifact = self.steps[step].outputs.get(output) if step in self.steps else None
            if artifact is not None and (place := pathlib.Path(artifact.path) / file).exists():
                found[name] = str(place)
        if "data_report" in found:
            found["data_report"] = str(page_with_ending(found["data_report"]))
        return found


def steps_with_tensorflow(parameters: Parameters) -> frozenset[str]:
    """The steps that load TensorFlow, which takes seconds."""
    return frozenset({"evaluate", "export", *(["train"] if parameters.backend == "tensorflow" else [])})


def _earlier(outputs: dict[str, Any], task_name: str) -> pathlib.Path | None:
    """The directory of the step of an earlier run that answers for this one's."""
    paths = (pathlib.Path(found.path) for found in outputs.values() if hasattr(found, "path"))
    return next((path.parent for path in paths if path.parent.name == task_name), None)


def page_with_ending(page: str) -> pathlib.Path:
    """The path of a copy of an HTML page that KFP stored without an ending: browsers go by it, through a link too. The
    page's own path if a full disk, for one, takes no copy."""
    copy = pathlib.Path(f"{page}.html")
    if not copy.exists():
        try:
            with whole_file(copy) as partial:
                shutil.copyfile(page, partial)
        except OSError:
            return pathlib.Path(page)
    return copy
