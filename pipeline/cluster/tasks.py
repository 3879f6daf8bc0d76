"""What KFP's API says of a run's steps.

KFP lists Argo's nodes: for a step `download` there are `download`, `download(0)`, `download-driver`,
`download-driver(0)`, `executor` and `executor(0)`, later `executor(1)` for a second try. A task that has not begun has
no state. Nothing says which task lies in which, nor why one failed; but a task names its children by Argo's ids, and an
id is made from the whole name of a node, `training-x7k2p(0).root(0).train(0).executor(1)`. So the names are found
from the top: of all that could be below a node, those exist whose id somebody names.
"""

import dataclasses
import datetime
import graphlib
import json
import re
import types
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

ENDED = ("SUCCEEDED", "COMPLETE", "FAILED", "CANCELED", "SKIPPED")
ITERATION = re.compile(r"\((\d+):")
NOT_BEGUN = ("", None, "RUNTIME_STATE_UNSPECIFIED")
MOST_TRIES = 10  # of one node, that are looked for
PHASES = {"Error": "FAILED", "Omitted": "SKIPPED"}  # of Argo's, those that KFP has another word for
# Node names without the tries' numbers, for people: `training-x7k2p(0).root(0).train(0)` is train.
TRY = re.compile(r"\(\d+\)")


class StepName(NamedTuple):
    """A step by its task's name in the pipeline, such as train, and the number of its trial, from 1; 0: of no loop."""

    name: str
    trial: int = 0

    def __str__(self) -> str:
        return f"{self.name} {self.trial}" if self.trial else self.name


@dataclasses.dataclass(frozen=True)
class StepState:
    """One step of a run, or one trial of a sweep's.

    Attributes:
        state: KFP's word; empty: not begun.
        cached: an earlier run answered for it.
        seconds: from its start to its end, the start of its pod included; 0.0 until it has ended.
        tries: pods that were made for it so far.
    """

    step: StepName
    state: str = ""
    cached: bool = False
    seconds: float = 0.0
    tries: int = 0


def step_states(run: Any) -> list[StepState]:
    """The steps of a run as KFP answers it, in the order of the pipeline; a sweep's trials by number."""
    tasks = _named(run)
    nodes = _node_names(tasks)
    states = []
    for name, _ in _container_tasks(run.pipeline_spec or {}):
        found = [
            _state(name, task, nodes) for task in tasks if task.display_name == name and task.state not in NOT_BEGUN
        ]
        if was_cancelled(run):  # KFP says that the step failed which ran then
            found = [dataclasses.replace(state, state=state.state.replace("FAILED", "CANCELED")) for state in found]
        states += sorted(found, key=lambda state: state.step) or [StepState(StepName(name))]
    return states


def tasks_of(nodes: Iterable[dict[str, Any]]) -> list[Any]:
    """A workflow's nodes as KFP lists them.

    Those of a larger sweep Argo compresses, which KFP does not read: it lists them for ever as they were before.
    """

    def moment(stamp: str | None) -> datetime.datetime | None:
        return datetime.datetime.fromisoformat(stamp) if stamp else None

    return [
        types.SimpleNamespace(
            display_name=node.get("displayName"),
            state=PHASES.get(phase := node.get("phase", ""), phase.upper()),
            start_time=moment(node.get("startedAt")),
            end_time=moment(node.get("finishedAt")),
            child_tasks=[types.SimpleNamespace(pod_name=child) for child in node.get("children") or []],
        )
        for node in nodes
    ]


def is_waiting(run: Any) -> bool:
    """Whether some pod of a run waits to start, and none runs."""
    pods = _pod_states(run)
    return "RUNNING" not in pods and ("PENDING" in pods or run.state in ("PENDING", "RUNTIME_STATE_UNSPECIFIED"))


def has_running_pod(run: Any) -> bool:
    """Whether some pod of a run runs now, as far as KFP knows."""
    return run.state == "RUNNING" and "RUNNING" in _pod_states(run)


def has_task_under_way(run: Any) -> bool:
    """Whether some task of a run waits or runs, as far as KFP knows."""
    return any(task.state in ("PENDING", "RUNNING") for task in _named(run))


def was_cancelled(run: Any) -> bool:
    """Whether somebody ended the run: its last state may be FAILED, the history knows better.

    What came before a retry, which begins a run again that had ended, is another end.
    """
    latest: list[str] = []
    for state in (*(entry.state for entry in run.state_history or []), run.state):
        if state not in ENDED and latest and latest[-1] in ENDED:
            latest = []
        latest.append(state)
    return "CANCELING" in latest or run.state == "CANCELED"


def failed_driver(run: Any) -> str:
    """The step that KFP could not start, its driver having failed; empty if there is none."""
    failed = (task.display_name for task in _named(run) if task.state == "FAILED")
    return next((name.removesuffix("-driver") for name in failed if name.endswith("-driver")), "")


def step_of(node: str) -> StepName:
    """The step in a node's whole name: train 2 for `….iteration-iterations(1:1)….`"""
    iteration = ITERATION.search(node)
    parts = [TRY.sub("", part) for part in node.split(".")[1:]]
    steps = [part.removesuffix("-driver") for part in parts if part not in ("root", "executor", "driver", "")]
    return StepName(steps[-1] if steps else TRY.sub("", node), int(iteration[1]) + 1 if iteration else 0)


def most_tries(document: dict[str, Any], step: str) -> int:
    """How often a step is begun at most; 0 if the compiled pipeline does not say."""
    task = dict(_container_tasks(document)).get(step, {})
    retries = int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
    return retries + 1 if retries else 0


def trial_settings(document: dict[str, Any]) -> list[str]:
    """What each trial of a compiled sweep changes, in the order of their numbers; none for a plain training."""
    for _, task in _tasks(document):
        items = task.get("parameterIterator", {}).get("items", {}).get("raw")
        if items:
            return [str(item) for item in json.loads(items)]
    return []


def node_id(name: str) -> str:
    """Argo's hash of a node's whole name (FNV-1a, 32 bits): its id and its pod's name end with it."""
    return str(_digest(name))


def _state(name: str, task: Any, nodes: dict[str, str]) -> StepState:
    node = next((nodes[number][: -len("(0)")] for _, number in _children(task) if number in nodes), "")
    tries = sum(node_id(f"{node}(0).executor({number})") in nodes for number in range(MOST_TRIES)) if node else 0
    # An executed step takes seconds at least, and is seen running.
    cached = task.state in ("SUCCEEDED", "COMPLETE") and task.start_time == task.end_time
    seconds = (task.end_time - task.start_time).total_seconds() if task.state in ENDED and task.start_time else 0.0
    step = StepName(name, step_of(node).trial if node else 0)
    return StepState(step, task.state, cached, max(seconds, 0.0), tries)


def _node_names(tasks: Iterable[Any]) -> dict[str, str]:
    """The whole names of the nodes that are some task's children, by the number in their id."""
    ids = {child for task in tasks for child in _children(task)}
    children, workflows = {number for _, number in ids}, {workflow for workflow, _ in ids}
    shown = {task.display_name for task in tasks}
    parts = {f".{TRY.sub('', name)}" for name in shown if not ITERATION.search(name)}
    iterations = {f"({name.partition('(')[2]}" for name in shown if ITERATION.search(name) and not TRY.search(name)}
    tries = {f"({number})" for number in range(MOST_TRIES)}
    found: dict[str, str] = {}
    rest = [(name, _digest(name)) for workflow in workflows for name in (workflow, f"{workflow}(0)")]
    while rest:
        name, digest = rest.pop()
        for below in tries | parts | (iterations if name.endswith("-iterations") else set()):
            number = _digest(below, digest)
            if str(number) in children and str(number) not in found:
                found[str(number)] = name + below
                rest.append((name + below, number))
    return found


def _digest(text: str, digest: int = 0x811C9DC5) -> int:
    """FNV-1a of what `digest` stands for and `text` after it."""
    for byte in text.encode():
        digest = (digest ^ byte) * 0x01000193 & 0xFFFFFFFF
    return digest


def _named(run: Any) -> list[Any]:
    """KFP lists executions without a name too, as its metadata store counts them."""
    tasks = (run.run_details.task_details if run.run_details else None) or []
    return [task for task in tasks if task.display_name]


def _pod_states(run: Any) -> list[str]:
    """Those of the innermost tasks, which have a number: each is one pod."""
    return [task.state for task in _named(run) if re.fullmatch(r"(executor|.+-driver)\(\d+\)", task.display_name)]


def _children(task: Any) -> list[tuple[str, str]]:
    """Of each child the workflow and the number, which its id is made of."""
    ids = (child.pod_name.rpartition("-") for child in task.child_tasks or [] if child.pod_name)
    return [(workflow, number) for workflow, _, number in ids]


def _container_tasks(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The tasks that have a container with their names, in an order in which they can run, loops' and handlers' too."""
    components = document.get("components", {})
    return [
        (name, task)
        for name, task in _tasks(document)
        if "executorLabel" in components.get(task["componentRef"]["name"], {})
    ]


def _tasks(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """All tasks with their names, each after those that it waits for, and after the group that it lies in."""
    components = document.get("components", {})

    def within(group: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        tasks = group.get("dag", {}).get("tasks", {})
        # Sorted, as KFP's SDK hands them on in an order of chance.
        waits = {name: sorted(tasks.keys() & set(tasks[name].get("dependentTasks", []))) for name in sorted(tasks)}
        for name in graphlib.TopologicalSorter(waits).static_order():
            yield name, tasks[name]
            yield from within(components.get(tasks[name]["componentRef"]["name"], {}))

    return list(within(document.get("root", {})))
