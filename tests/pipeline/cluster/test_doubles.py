"""The doubles are no kinder than the real thing: what they answer has the fields that were recorded, and no others."""

import json
import re
from typing import Any

import pytest

from tests.pipeline.cluster.replay import RECORDED, recorded_run
from tests.servers.kfp_api import KfpApi
from tests.servers.kfp_runs import NO_END, Moment
from tests.servers.kube_api import pod

RUNS = sorted(path.stem.removeprefix("run-") for path in RECORDED.glob("run-*.json"))
# Groups of an older pipeline, of a loop and of an exit handler; a group's tasks look as a step's.
GROUPS = re.compile(r"root|condition|for-loop|iteration|exit-handler")
LEFT_OUT = {"runtime_config", "pipeline_spec"}


def kind(name: str) -> str:
    """What a task is to Argo, by its name."""
    number = "(n)" if name.endswith(")") else ""
    plain = name.split("(")[0]
    return ("driver" if plain.endswith("-driver") else "executor" if plain == "executor" else "task") + number


def shapes(run: dict) -> set[tuple]:
    """The kinds of tasks that a run lists: of each its state, its fields, and whether it has an end."""
    found = set()
    for task in run["run_details"]["task_details"]:
        fields = tuple(sorted(set(task) - {"display_name", "state"}))
        if "display_name" not in task:
            found.add(("no name", fields))
            continue
        (*_, last) = task["state_history"]
        assert last.get("state") == task.get("state")
        at_once = task["start_time"] == task["end_time"]
        end = "none" if task["end_time"] == NO_END else "at once" if at_once else "later"
        found.add((kind(task["display_name"]), task.get("state", ""), fields, end))
    return found


def moment(run: dict) -> Moment:
    """The moment of the double that a recorded run is like."""
    told, tries, cached = {}, {}, []
    for task in run["run_details"]["task_details"]:
        name = task.get("display_name", "")
        if (
            "state" not in task
            or kind(name) != "task"
            or GROUPS.match(name)
            or name.startswith(("training-", "sweep-"))
        ):
            continue
        told[name] = task["state"]
        if task["start_time"] == task["end_time"]:
            cached.append(name)
    states = {task.get("display_name"): task.get("state") for task in run["run_details"]["task_details"]}
    if states.get("executor(0)") == "PENDING":
        told["download"] = "PENDING"
    if "executor(1)" in states:
        tries["train"] = 2
    history = tuple(entry["state"] for entry in run["state_history"])
    return Moment(run["state"], told, tries, tuple(cached), history[1:-1])


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_answered_as_the_recorded_one_was(name):
    recorded = recorded_run(name)
    api = KfpApi([moment(recorded)])
    _, made = api.handle("POST", "/apis/v2beta1/runs", {}, {"display_name": "x", "experiment_id": "1"}, {})
    _, answered = api.handle("GET", f"/apis/v2beta1/runs/{made['run_id']}", {}, None, {})
    assert set(answered) == set(recorded) - LEFT_OUT
    assert [entry["state"] for entry in answered["state_history"]] == [
        entry["state"] for entry in recorded["state_history"]
    ]
    assert (answered["finished_at"] < answered["created_at"]) == (recorded["finished_at"] < recorded["created_at"])
    assert shapes(answered) == shapes(recorded)


@pytest.mark.parametrize(
    ("given", "status"), [({"epochs": 3, "gpus": "1"}, 200), ({"gpus": 1}, 400), ({"x": "1"}, 400)]
)
@pytest.mark.parametrize("made", ["runs", "recurringruns"])
def test_parameters_are_refused_as_kubeflow_refuses_them(made, given, status):
    run = {"display_name": "x", "pipeline_spec": recorded_run("succeeded")["pipeline_spec"]}
    body = run | {"runtime_config": {"parameters": given}}
    assert KfpApi().handle("POST", f"/apis/v2beta1/{made}", {}, body, {})[0] == status


PODS = [
    entry
    for entry in json.loads((RECORDED / "pods.json").read_text())
    if "-driver-" not in entry["metadata"]["name"]  # which nobody here reads
]


def fields(value: Any, within: str = "") -> Any:
    """What a value is made of: fields by name, entries in order, and of a condition what it says."""
    if isinstance(value, dict):
        return {name: fields(entry, name) for name, entry in value.items() if name != "resources"}
    if isinstance(value, list):
        return [fields(entry) for entry in value]
    return value if within in ("name", "type", "status", "phase", "ready") else type(value).__name__


@pytest.mark.parametrize("recorded", PODS, ids=lambda entry: entry["metadata"]["name"])
def test_a_pod_has_the_fields_of_the_recorded_one(recorded):
    phase = recorded["status"]["phase"]
    waiting = ("ImagePullBackOff", "Back-off pulling image") if phase == "Pending" else None
    like = pod("train", phase, waiting)
    assert like["metadata"].pop("name").partition("impl-")[0].split("-")[2:] == ["retry", "system", "container", ""]
    name = recorded["metadata"]["name"]
    recorded = {**recorded, "metadata": {key: entry for key, entry in recorded["metadata"].items() if key != "name"}}
    assert name.partition("impl-")[0].split("-")[2:] == ["retry", "system", "container", ""]
    assert fields(like) == fields(recorded)
