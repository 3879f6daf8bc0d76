"""Runs as KFP answers for them: Argo's nodes for tasks, in no order, no reason anywhere.

They have the fields of the recorded ones (tests/pipeline/cluster/recorded): test_doubles.py compares each.
"""

import dataclasses
import datetime
import hashlib
import itertools
from typing import Any

from pipeline.cluster.tasks import ENDED, node_id

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
WORKFLOW = "training-x7k2p"
# The end of a task and of a run that go on. They differ.
NO_END = "0001-01-01T00:00:00Z"
NO_END_OF_RUN = "1970-01-01T00:00:00Z"
# Which steps wait for each: their drivers are its children too.
AFTER = {
    "download": ("preprocess",),
    "preprocess": ("train", "evaluate", "export"),
    "train": ("evaluate", "export"),
    "evaluate": ("export",),
    "export": (),
}


@dataclasses.dataclass
class Moment:
    """What a run looks like at one look.

    Attributes:
        state: the run's.
        tasks: each step's state; PENDING: its pod waits. A step that is not in it has not begun.
        tries: of a step, if its first pod was lost.
        cached: the steps that an earlier run answers for.
        history: states that the run went through before, such as CANCELING.
        undriven: the step whose driver failed; it never begins.
    """

    state: str
    tasks: dict[str, str] = dataclasses.field(default_factory=dict)
    tries: dict[str, int] = dataclasses.field(default_factory=dict)
    cached: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    undriven: str = ""


def shown(moment: Moment, run_id: str) -> dict[str, Any]:
    """What changes in a run's answer from look to look."""
    root = f"{WORKFLOW}(0).root(0)"
    outer = "RUNNING" if moment.state == "CANCELING" else "FAILED" if moment.state == "CANCELED" else moment.state
    tasks = [
        _task(WORKFLOW, outer, [f"{WORKFLOW}(0)"]),
        _task(f"{WORKFLOW}(0)", outer, [f"{WORKFLOW}(0).root-driver"]),
        _task("root-driver", "SUCCEEDED", [f"{WORKFLOW}(0).root-driver(0)"]),
        _task("root-driver(0)", "SUCCEEDED", [f"{WORKFLOW}(0).root"]),
        _task("root", outer, [root]),
        _task("root(0)", outer, [f"{root}.download-driver"]),
    ]
    for place, (name, state) in enumerate(moment.tasks.items()):
        tasks += _begun(f"{root}.{name}", name, state, place, moment.tries.get(name, 1), name in moment.cached)
    if moment.state in ("FAILED", "CANCELED"):
        # What will never begin is listed once the run is over, without a state.
        for name in (name for name in AFTER if name not in moment.tasks):
            tasks += [
                _task(f"{name}-driver", "FAILED" if name == moment.undriven else "", [f"{root}.{name}"], 9, 0),
                _task(name, "", [f"{root}.{later}-driver" for later in AFTER[name]], 9, 0),
            ]
    states = [state for state, _ in itertools.groupby(("PENDING", *moment.history, moment.state))]
    return {
        "state": moment.state,
        "state_history": [{"state": state, "update_time": START.isoformat()} for state in states],
        "finished_at": START.isoformat() if moment.state in ENDED else NO_END_OF_RUN,
        "scheduled_at": START.isoformat(),
        "storage_state": "AVAILABLE",
        "run_details": {"task_details": sorted(({**task, "run_id": run_id} for task in tasks), key=_identity)},
    }


def _begun(node: str, name: str, state: str, place: int, tries: int, cached: bool) -> list[dict[str, Any]]:
    """The tasks of a step that has begun: its driver, itself, its pods, and the metadata store's word of it."""
    root, outer = node.rpartition(".")[0], "RUNNING" if state == "PENDING" else state
    seconds = 0 if cached else 30
    later = [f"{root}.{step}-driver" for step in AFTER.get(name, ())]
    tasks = [
        _task(f"{name}-driver", "SUCCEEDED", [f"{node}-driver(0)"], place),
        _task(f"{name}-driver(0)", "SUCCEEDED", [node], place),
        _task(name, outer, [f"{node}(0)"], place, seconds),
        _task(f"{name}(0)", outer, [f"{node}(0).executor", *later], place, seconds),
    ]
    if cached:
        return [*tasks, _task("executor", "SKIPPED", [], place, 0)]
    states = ["FAILED"] * (tries - 1) + [state]
    tasks.append(_task("executor", outer, [f"{node}(0).executor({number})" for number in range(tries)], place))
    tasks += [_task(f"executor({number})", one, [], place) for number, one in enumerate(states)]
    if state == "SUCCEEDED" and name in AFTER:  # what makes no artifact is not in the metadata store
        plain = _task(name, state, [], place)
        kept = ("task_id", "create_time", "start_time", "end_time")
        tasks.append({key: plain[key] for key in kept} | {"task_id": f"10{place}", "execution_id": f"10{place}"})
    return tasks


def _task(name: str, state: str, children: list[str], place: int = 0, seconds: int = 30) -> dict[str, Any]:
    began = START + datetime.timedelta(minutes=place)
    ended = began + datetime.timedelta(seconds=seconds)
    entry = {"state": state} if state else {}
    task: dict[str, Any] = {
        "display_name": name,
        "task_id": hashlib.sha256(f"{name} {place}".encode()).hexdigest()[:36],
        "create_time": START.isoformat(),
        "start_time": began.isoformat(),
        "end_time": NO_END if state in ("RUNNING", "PENDING") else ended.isoformat(),
        "state_history": [{**entry, "update_time": began.isoformat()}],
        **entry,
    }
    if children:
        task["child_tasks"] = [{"pod_name": f"{WORKFLOW}-{node_id(child)}"} for child in children]
    return task


def _identity(task: dict[str, Any]) -> str:
    return task["task_id"]


# The run's own first pod finds no node: nothing is known of steps yet.
ROOT_WAITS = {
    "state": "RUNNING",
    "run_details": {
        "task_details": [
            _task("root-driver", "RUNNING", [f"{WORKFLOW}(0).root-driver(0)"]),
            _task("root-driver(0)", "PENDING", []),
        ]
    },
}
