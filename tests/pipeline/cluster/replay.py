"""A run that a real Kubeflow recorded, followed again."""

import contextlib
import copy
import dataclasses
import io
import json
import pathlib

from components.core.errors import PipelineError
from pipeline.cluster.follow import Watch, follow
from pipeline.cluster.kubeflow import Endpoint, connect
from pipeline.cluster.pods import find_pods
from tests.pipeline.golden import compiled
from tests.servers.kfp_api import KfpApi

RECORDED = pathlib.Path(__file__).parent / "recorded"


def recorded_run(name: str) -> dict:
    """What the API answered, with the compiled pipeline that the recording leaves out."""
    spec = copy.deepcopy(compiled("sweep" if "sweep" in name else "training")[0])
    del spec["root"]["dag"]["tasks"]["check"]  # there was none then
    if "webhook" in name:
        spec = _with_notice(spec)
    return {**json.loads((RECORDED / f"run-{name}.json").read_text()), "pipeline_spec": spec}


def _with_notice(spec: dict) -> dict:
    """The pipeline that was recorded: its steps below an exit handler, and what told of a failure, by its old name."""
    steps = {"dag": spec["root"]["dag"]}
    told = {"componentRef": {"name": "comp-notify-failure"}, "dependentTasks": ["exit-handler-1"]}
    tasks = {"exit-handler-1": {"componentRef": {"name": "comp-exit-handler-1"}}, "notify-failure": told}
    notice = {"executorLabel": "exec-notify-failure"}
    components = spec["components"] | {"comp-exit-handler-1": steps, "comp-notify-failure": notice}
    return {**spec, "components": components, "root": {"dag": {"tasks": tasks}}}


def recorded_pods(run: dict) -> list[dict]:
    pods = json.loads((RECORDED / "pods.json").read_text())
    return [pod for pod in pods if pod["metadata"]["labels"]["pipeline/runid"] == run["run_id"]]


def recorded_nodes(run: dict) -> list[tuple[str, str, str]]:
    """What Argo said of a run's pods, from its events."""
    names = {task.get("display_name") for task in run["run_details"]["task_details"]}
    nodes = []
    for event in json.loads((RECORDED / "events-warnings.json").read_text()):
        kind, _, rest = event["message"].partition(" node ")
        if event["object"] in names and rest:
            name, _, message = rest.partition(": ")
            nodes.append((name, kind, message))
    return nodes


def recorded_log(name: str) -> str:
    return (RECORDED / f"log-{name}.txt").read_text()


WATCH = Watch(interval=0.01, patience=0.5, stuck_after=0.05, timeout=1.0, hopeless_after=0.0)


def replay(name: str, kube=None, pages: bool = True, verbose: bool = False) -> list[str]:
    """What the client says of it, the error it ends with last; `KFP` stands for the address."""
    run = recorded_run(name)
    api, said = KfpApi([run], pages=pages), io.StringIO()
    api.runs[run["run_id"]] = run
    if kube is not None:
        kube.pods, kube.argo_nodes = recorded_pods(run), recorded_nodes(run)
    with api.serving() as url, contextlib.redirect_stdout(said):
        client = connect(Endpoint(url))
        try:
            pods = kube and find_pods(run["run_id"], "")
            follow(client, run["run_id"], dataclasses.replace(WATCH, verbose=verbose), pods)
        except PipelineError as error:
            print(f"error: {error}")
    return said.getvalue().replace(url, "KFP").split("\n")[:-1]
