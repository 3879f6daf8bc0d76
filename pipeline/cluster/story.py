"""Tells a run's story as it happens, as a local run does: a step's name, its own lines below it, how it ended."""

import time
import types
from typing import Any

from components.core.artifacts.trial import TRIAL_ROW
from components.core.wording import listed
from pipeline.cluster.pods import Pods
from pipeline.cluster.tasks import (
    ENDED,
    StepName,
    StepState,
    has_running_pod,
    most_tries,
    step_states,
    tasks_of,
    trial_settings,
)
from pipeline.cluster.troubles import Trouble
from pipeline.console import option

WORDS = {"CANCELED": "cancelled", "COMPLETE": "succeeded", "RUNTIME_STATE_UNSPECIFIED": "not run", "": "not run"}


class Story:
    """What has been told of one run, so that each thing is told once.

    Attributes:
        moved: when something last changed.
        lines: each step's own lines so far.
    """

    def __init__(self, pods: Pods | None, verbose: bool = False):
        self.pods, self.verbose = pods, verbose
        self.moved = time.monotonic()
        self.states: list[StepState] = []
        self.lines: dict[StepName, list[str]] = {}
        self._told: dict[StepName, StepState] = {}
        self._kinds: dict[StepName, tuple[str, float]] = {}
        self._speaker: StepName | None = None
        self._lost, self._seen = "", False
        self._noted: set[str] = set()

    def tell(self, run: Any) -> None:
        """Says what is new: steps that began, their lines, lost pods, and how steps ended."""
        new: dict[StepName, list[str]] = {}
        if self.pods:
            self._look(self.pods, run)
        if self.pods:
            for step, line in self.pods.new_lines(self.verbose):
                if self.verbose or step.name != "choose" or not line.startswith(TRIAL_ROW):
                    new.setdefault(step, []).append(line)
                self.lines.setdefault(step, []).append(line)
            if self.pods.unread:
                self._note(f"the pods' logs can't be read: {self.pods.unread}; states only, without lines and figures")
            if self.pods.packed:
                run.run_details = types.SimpleNamespace(task_details=tasks_of(self.pods.packed))
        self.states = step_states(run)
        for state in self.states:
            self._tell_step(run, state, new.pop(state.step, []))
        for step, lines in new.items():  # of a step that KFP does not list yet
            self._tell_step(run, self._told.get(step, StepState(step)), lines)
        self._tell_rest()

    def troubles(self) -> list[tuple[Trouble, float]]:
        """What keeps steps from starting, each with the seconds since it began. Says each once, and each new kind."""
        found = self.pods.troubles() if self.pods else []
        now = time.monotonic()
        waiting = {trouble.step for trouble in found}
        for step in self.pods.started() - waiting if self.pods else ():  # what it waits for later is another wait
            self._kinds.pop(step, None)
        for trouble in found:
            if self._kinds.get(trouble.step, ("", 0.0))[0] != trouble.kind:
                self._kinds[trouble.step] = trouble.kind, now
                print(f"waiting: {trouble}")
        return [(trouble, now - self._kinds[trouble.step][1]) for trouble in found]

    def _look(self, pods: Pods, run: Any) -> None:
        """Looks at the pods; says once that they can't be seen any more, and that those seen are not this run's."""
        pods.look()
        if pods.lost and not self._lost:
            print(f"note: the cluster's pods can't be seen: {pods.lost}; states only, without logs, until they can")
        self._lost = pods.lost
        self._seen |= bool(pods.pods)  # a drained node takes all that ran there, the pods that had ended too
        if not pods.lost and not self._seen and has_running_pod(run):
            print(
                f"note: the kubeconfig's cluster has no pod of this run in namespace {pods.namespace}: states only, "
                f"without logs; look at its context, or give the run's {option('namespace')}"
            )
            self.pods = None

    def _note(self, said: str, more: str = "") -> None:
        """Says something once, whatever more there is to it."""
        if said not in self._noted:
            self._noted.add(said)
            print(f"note: {said}{more}")

    def _tell_rest(self) -> None:
        """Says once what a run that has failed waits for: Argo stops no step that runs beside the one that failed."""
        rest = [str(state.step) for state in self.states if state.state == "RUNNING" and state.step.name != "notify"]
        if rest and any(state.state == "FAILED" for state in self.states):
            self._note("no step begins any more", f"; the run has failed when {listed(rest)} has ended")

    def _tell_step(self, run: Any, state: StepState, lines: list[str]) -> None:
        step = state.step
        before = self._told.get(step, StepState(step))
        news = list(lines)
        if state.tries > max(before.tries, 1):
            news.append(self._loss(run, step, state.tries))
        if state.state in ENDED and before.state != state.state:
            news.append(f"{word(state)}, {'cached' if state.cached else f'{state.seconds:.1f} s'}")
        if news or (state.state and not before.state):
            self._speak(step, self._title(run, state), news)
        if state != before:
            self.moved = time.monotonic()
        self._told[step] = state

    def _speak(self, step: StepName, title: str, lines: list[str]) -> None:
        if self._speaker != step:
            self._speaker = step
            print(title)
        for line in lines:
            print(f"  {line}")
        if lines:
            self.moved = time.monotonic()

    def _title(self, run: Any, state: StepState) -> str:
        """In full when a step is first spoken of."""
        settings = trial_settings(run.pipeline_spec or {})
        if not 0 < state.step.trial <= len(settings) or state.step in self._told:
            return str(state.step)
        return f"{state.step} of {len(settings)}: {settings[state.step.trial - 1]}"

    def _loss(self, run: Any, step: StepName, tries: int) -> str:
        """A line about a pod that another one replaces."""
        most = most_tries(run.pipeline_spec or {}, step.name)
        said = self.pods.node_message(step, tries - 2) if self.pods else ""
        why = said or f"try {tries - 1} failed"
        return f"{step.name}: {why}; trying again{f' ({tries} of {most})' if most else ''}"


def word(state: StepState) -> str:
    """A state as people read it."""
    return WORDS.get(state.state, state.state.lower())
