"""A sweep on this machine: the same pipeline as a cluster's, one trial after another."""

import hashlib
import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

from components.core.artifacts.model import model_file
from components.core.artifacts.trial import read_trial
from pipeline.console import StepOutput
from pipeline.local import kept
from pipeline.local.run import LocalRun, Step
from pipeline.parameters.parameters import Configuration
from pipeline.parameters.sweep import Sweep

ITERATION = re.compile(r"-iteration-(\d+)(/|$)")
LONGEST_NAME = 60


class SweepRun(LocalRun):
    """One pass of kfp.local over the pipeline of a sweep.

    TensorBoard shows a sweep's trials in one folder, named for what is tried: the same sweep again has the same one,
    with the trials in it that kfp's cache answers for. So have all passes of a search, and the sweep that ends it.
    """

    sweep: Sweep

    def __init__(self, outputs: pathlib.Path, console: StepOutput, configuration: Configuration, sweep: Sweep):
        from pipeline.training import SWEEP_STEPS

        tried = json.dumps([configuration.parameters.model_dump(), sweep.search or sweep.trials], sort_keys=True)
        digest = hashlib.sha256(tried.encode()).hexdigest()[:6]
        super().__init__(outputs, console, f"{configuration.title}-sweep-{digest}")
        self.sweep = sweep
        trains = [f"train {sweep.first + place}" for place in range(len(sweep.trials))]
        names = [name for step in SWEEP_STEPS for name in (trains if step == "train" else [step])]
        self.steps = {name: Step(name) for name in names}

    def _name(self, task_name: str, pipeline_resource_name: str) -> str:
        within = ITERATION.search(pipeline_resource_name)
        return f"{task_name} {self.sweep.first + int(within[1])}" if within else task_name

    def _title(self, step: Step) -> str:
        number = _number(step)
        if not number or self.sweep.trains_only:  # what is searched is told by the search
            return step.name
        return f"{step.name} of {len(self.sweep.trials)}: {self._changes(number)}"

    def _result(self, step: Step) -> str:
        tried = _number(step) and step.status == "succeeded"
        return "no model" if tried and read_trial(step.outputs["model"].path).failed else step.status

    def _board_name(self, step: Step) -> str | None:
        if step.name == "evaluate":
            return f"{self._folder(self._chosen())}/final"
        number = _number(step)
        return f"{self._folder(number)}/fit" if number else None

    def _step(self, execute: Callable, task_name: str, pipeline_resource_name: str, **rest: Any) -> tuple[dict, Any]:
        from kfp.local import status

        if self.stopped or (self.sweep.trains_only and task_name == "choose"):
            return {}, status.Status.FAILURE
        outputs, state = super()._step(execute, task_name, pipeline_resource_name, **rest)
        step = self.steps[self._name(task_name, pipeline_resource_name)]
        if state != status.Status.SUCCESS:
            self.stopped = True
            return outputs, state
        if step.cached and (name := self._board_name(step)):
            self.board.show(name, pathlib.Path(outputs["tensorboard"].path))
        if _number(step) and read_trial(model := outputs["model"].path).lacked_memory:
            kept.forget(self.cache, pathlib.Path(model).parent)  # there may be more of it next time
        return outputs, state

    def go(self, *arguments: Any, **named: Any) -> str:
        try:
            return super().go(*arguments, **named)
        except RuntimeError:  # kfp's, for the step that was kept from running
            if self.sweep.trains_only and all(step.status == "succeeded" for step in self._trains()):
                return ""
            raise

    def facts(self) -> dict[str, Any]:
        """What summary.json says of the trials."""
        listed = [
            {"name": step.name, **read_trial(path).model_dump(), "cached": step.cached, "model": path}
            for step in self._trains()
            if "model" in step.outputs and (path := step.outputs["model"].path)
        ]
        best = {"best": f"train {chosen}"} if (chosen := self._chosen()) else {}
        return {"grid": list(self.sweep.names), "trials": listed, **best}

    def artifacts(self) -> dict[str, str]:
        found = super().artifacts()
        if chosen := self.steps["choose"].outputs.get("model"):
            found["model"] = str(model_file(chosen.path))
        return {**found, "tensorboard": str(self.board.directory)}

    def _chosen(self) -> int:
        """The number of the trial that was chosen; 0: none was, so far."""
        metrics = self.steps["choose"].outputs.get("metrics")
        return int(metrics.metadata["trial"]) if metrics else 0

    def _trains(self) -> list[Step]:
        return [step for step in self.steps.values() if _number(step)]

    def _changes(self, number: int) -> str:
        return self.sweep.trials[number - self.sweep.first]

    def _folder(self, number: int) -> str:
        changes = re.sub(r"[^A-Za-z0-9_=.,+-]+", " ", self._changes(number)).strip()
        return f"{number:02d} {changes[:LONGEST_NAME].strip()}"


def _number(step: Step) -> int:
    """The number of a step's trial, from 1; 0 for other steps."""
    name, _, number = step.name.partition(" ")
    return int(number) if name == "train" else 0
