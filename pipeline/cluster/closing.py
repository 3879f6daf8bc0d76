"""The end of a run on a cluster: the block that a local run ends with too, and why a run failed.

KFP's API hands on neither figures, nor places, nor reasons. Figures and the gate's verdict are in the lines that the
steps print, places in the input that the KFP executor logs, reasons in a step's log and its pod's status.
"""

import re
from typing import Any

from components.core.artifacts.trial import TRIAL_ROW
from components.core.wording import listed
from pipeline.closing_block import PLACES
from pipeline.cluster.endings import ONLY_STATUS, killed
from pipeline.cluster.pods import Pods
from pipeline.cluster.story import Story, word
from pipeline.cluster.tasks import StepName, failed_driver
from pipeline.console import table
from pipeline.step_log import KILLED

FIGURES = re.compile(r"Test loss: (\S+) / Test accuracy: (\S+)(?: / Balanced accuracy: (\S+))?")
VERDICT = re.compile(r"(passes|does not pass) the gate: ")
ANSWERED = re.compile(r"answered [\d,]+ pictures|nothing new")
OUTCOME = re.compile(r"(not )?exported\b")
ALL_CACHED = "every step came from the cache: its figures and places are in the run that made them"
LACKING = re.compile(r"expected an? .*artifact with ")
# A run without the cache leaves nothing in it; what a run left in it goes with that run.
ANEW = "run with CACHE=0 (--no-cache but for make), or for good, delete the run that made them: kfp run delete ID"
LOGS_GONE = "figures and places are in the UI only: the logs of its pods are gone"
NO_ACCESS = "figures and places are in the UI only: there is no access to the pods' logs from here"


def summary(story: Story) -> dict[str, Any]:
    """What pipeline.closing_block prints, as far as it is known."""
    steps = [
        {"name": str(state.step), "status": word(state), "cached": state.cached, "seconds": state.seconds}
        for state in story.states
    ]
    chosen, evaluated, exported, predicted = (
        story.lines.get(StepName(name), []) for name in ("choose", "evaluate", "export", "predict")
    )
    known: dict[str, Any] = {"steps": steps, "trial_table": _trial_table(chosen)}
    if figures := _last(FIGURES, evaluated):
        names = ("loss", "accuracy", "balanced_accuracy")
        known["metrics"] = {name: float(found) for name, found in zip(names, figures.groups(), strict=True) if found}
    verdict, outcome = _last(VERDICT, evaluated), _last(OUTCOME, exported)
    answered = _last(ANSWERED, predicted)
    said = [found.string for found in (answered, outcome) if found]
    said += [f"the model {verdict.string}"] if verdict else []
    known["outcome"] = "; ".join(said)
    if story.pods:
        succeeded = {state.step.name for state in story.states if word(state) == "succeeded"}
        known["artifacts"] = _places(story.pods, succeeded)
        if outcome and outcome[1]:
            known["artifacts"].pop("saved_model", None)
    if not known["outcome"] and story.states and all(state.cached for state in story.states):
        known["outcome"] = ALL_CACHED
    elif not story.pods or story.pods.unread:
        known["outcome"] = NO_ACCESS
    elif not story.pods.logs and all(word(state) == "succeeded" for state in story.states):
        known["outcome"] = LOGS_GONE
    return known


def why(story: Story, run: Any) -> str:
    """Why a run failed: the step, and the most telling of what is known of it."""
    failed = next((state for state in story.states if state.state == "FAILED"), None)
    if failed is None and (name := failed_driver(run)):
        said = story.pods.driver_error(name) if story.pods else ""
        return f"{name} failed: Kubeflow's driver could not start it{': ' if said else ''}{said}"
    if failed is None:
        said = run.error.message if run.error else story.pods.message if story.pods else ""
        return f"the run failed: {said or 'KFP does not say in which step, nor why'}"
    cause = _cause(story.pods, failed.step)
    cached = [str(state.step) for state in story.states if state.cached]
    if cached and LACKING.match(cause):
        # Kubeflow looks at no artifact that it takes from its cache.
        cause += f"; {listed(cached)} came from the cache, and what earlier runs made may be deleted: {ANEW}"
    return f"{failed.step} failed: {cause}"


def _cause(pods: Pods | None, step: StepName) -> str:
    if pods is None:
        return "KFP's API does not say why, and there is no access to its pod from here"
    log = pods.log(step)
    ending = pods.ending(step)
    only_status = ONLY_STATUS.search(ending)
    if log.last_error or (ending and not only_status):
        return log.last_error or ending
    if log.exit_status == KILLED:
        return killed(step.name)
    if log.launcher:
        return f"Kubeflow's launcher: {log.launcher[:300]}"
    if log.traced:
        return log.last_line[:300]
    unread = f"its log can't be read from here ({pods.unread})" if pods.unread else ""
    if code := log.exit_status or pods.exit_code(step) or (int(only_status[1]) if only_status else 0):
        more = f"its last line: {log.last_line[:200]}" if log.last_line else unread
        return f"its container ended with exit code {code}{more and '; '}{more}"
    return next(reversed(pods.events()), f"Kubernetes does not say why, and {unread or 'it left no log'}")


def _places(pods: Pods, succeeded: set[str]) -> dict[str, str]:
    """Of steps that succeeded: what another was to make is not stored."""
    found = {}
    for name, (step, output, file) in PLACES.items():
        made = pods.log(StepName(step)).uris.get(output, "") or _as_input(pods, output)
        uri = made if step in succeeded else ""
        if uri:
            found[name] = f"{uri.rstrip('/')}/{file}" if file else uri
    return found


def _as_input(pods: Pods, output: str) -> str:
    """An artifact of a step that did not run, or ran several times, as a later step was given it."""
    if output == "tensorboard":  # two steps write one, nobody reads it
        return ""
    uris = [pods.log(StepName(step)).uris.get(output, "") for step in ("export", "evaluate", "choose", "train")]
    return next(filter(None, uris), "")


def _trial_table(lines: list[str]) -> str:
    rows = [tuple(map(str.strip, line.strip().strip("|").split(" | "))) for line in lines if line.startswith(TRIAL_ROW)]
    whole = [row for row in rows if len(row) == len(rows[0])]
    return table(whole[1:], whole[0]) if whole else ""


def _last(pattern: re.Pattern[str], lines: list[str]) -> re.Match[str] | None:
    return next((found for line in reversed(lines) if (found := pattern.match(line))), None)
