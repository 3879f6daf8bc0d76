"""Follows a run on a cluster to its end, whatever that is.

Polls by itself: the SDK's wait never ends where a run is cancelled, stuck, or the connection is gone.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from components.core.errors import PipelineError
from pipeline.cluster.kubeflow import Endpoint, patiently, quiet, run_link

if TYPE_CHECKING:
    import kfp

    from pipeline.cluster.pods import Pods

Say = Callable[[str], None]
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
WAITING = ("PENDING", "RUNTIME_STATE_UNSPECIFIED", "PAUSED")
LAST_LINES = 5


@dataclasses.dataclass(frozen=True)
class Watch:
    """How to follow, all in seconds.

    Attributes:
        interval: between two looks.
        patience: how long the connection may be gone.
        stuck_after: how long steps may wait to start, and none run. GPU nodes take up to ten minutes to come up.
        timeout: when to stop following; 0: never.
    """

    interval: float = 10.0
    patience: float = 600.0
    stuck_after: float = 1200.0
    timeout: float = 0.0


@dataclasses.dataclass
class _Seen:
    """What was last said, so that each thing is said once."""

    run: str = ""
    tasks: dict[str, str] = dataclasses.field(default_factory=dict)
    troubles: tuple[str, ...] = ()
    lines: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    moved: float = dataclasses.field(default_factory=time.monotonic)


def follow(
    client: "kfp.Client", endpoint: Endpoint, run_id: str, watch: Watch, pods: "Pods | None", say: Say = print
) -> None:
    """Says each change of state, the steps' log lines, and what keeps them from starting; returns on success.

    Raises:
        PipelineError: the run failed, was cancelled, is stuck or took too long, or the connection is lost for good.
    """
    began, seen = time.monotonic(), _Seen()
    how = f"follow it with: python -m pipeline follow {run_id}"
    while True:
        run = _look(client, endpoint, run_id, watch, how, say)
        _say_changes(run, seen, pods, say)
        if run.state in ENDED:
            _end(client, run, seen)
            say("the run succeeded")
            return
        if watch.timeout and time.monotonic() - began >= watch.timeout:
            raise PipelineError(f"the run did not end within {watch.timeout:g} s; it goes on; {how}")
        _check_stuck(run, seen, watch, pods, how, say)
        time.sleep(watch.interval)


def _look(client: "kfp.Client", endpoint: Endpoint, run_id: str, watch: Watch, how: str, say: Say) -> Any:
    said = []

    def again(error: Exception) -> None:
        if not said:
            said.append(error)
            say(f"lost the connection to {endpoint}; trying again for {watch.patience:g} s")

    def look() -> Any:
        with quiet():
            return client.get_run(run_id)

    try:
        run = patiently(look, endpoint, watch.patience, again)
    except PipelineError as error:
        raise PipelineError(f"{error}; the run, if there is one, goes on; {how}") from None
    if said:
        say("connected again")
    return run


def _say_changes(run: Any, seen: _Seen, pods: "Pods | None", say: Say) -> None:
    if run.state != seen.run:
        seen.run, seen.moved = run.state, time.monotonic()
        if run.state and run.state not in ENDED:
            say(f"run: {run.state.lower()}")
    for step, line in pods.new_lines() if pods else []:
        say(f"  {step}: {line}")
        seen.lines[step] = [*seen.lines.get(step, []), line][-LAST_LINES:]
        seen.moved = time.monotonic()
    for task in _steps(run):
        state = task.state or "PENDING"
        if seen.tasks.get(task.display_name) != state:
            seen.tasks[task.display_name], seen.moved = state, time.monotonic()
            say(f"{task.display_name}: {state.lower()}{_took(task)}")


def _check_stuck(run: Any, seen: _Seen, watch: Watch, pods: "Pods | None", how: str, say: Say) -> None:
    troubles = tuple(map(str, pods.troubles())) if pods else ()
    if troubles != seen.troubles:
        seen.troubles = troubles
        for trouble in troubles:
            say(f"can't start: {trouble}")
    waiting = any(state in WAITING for state in seen.tasks.values()) or run.state in WAITING or troubles
    running = any(state == "RUNNING" for state in seen.tasks.values()) and not troubles
    if waiting and not running and time.monotonic() - seen.moved >= watch.stuck_after:
        steps = ", ".join(name for name, state in seen.tasks.items() if state in WAITING) or "the first step"
        why = troubles[0] if troubles else (
            f"{steps} waits to start; see why with: kubectl describe pods -l pipeline/runid={run.run_id}"
        )  # fmt: skip
        raise PipelineError(
            f"the run is stuck, nothing has moved for {watch.stuck_after:g} s: {why}. It is left as it is: "
            f"end it in the UI, or {how}"
        )


def _end(client: "kfp.Client", run: Any, seen: _Seen) -> None:
    """Returns where the run succeeded."""
    if run.state == "SUCCEEDED":
        return
    if run.state in ("CANCELED", "SKIPPED"):
        raise PipelineError(f"the run was {'cancelled' if run.state == 'CANCELED' else 'skipped'}")
    failed = [task for task in _steps(run) if task.state == "FAILED"]
    step = failed[0].display_name if failed else ""
    lines = seen.lines.get(step, [])
    # The line that a component ends with says more than KFP's, which tells of an exit code.
    own = next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), "")
    errors = [task.error.message for task in failed if task.error and task.error.message]
    cause = own or next(iter(errors), "") or (run.error.message if run.error else "") or "KFP gives no reason"
    where = f"{step} failed" if step else "the run failed"
    raise PipelineError(f"{where}: {' '.join(cause.split())[:500]}; its log: {run_link(client, run.run_id)}")


def _steps(run: Any) -> list[Any]:
    """The tasks that run a container of ours; KFP lists its drivers and groups beside them."""
    tasks = (run.run_details.task_details if run.run_details else None) or []
    ours = _container_tasks(run.pipeline_spec or {})
    return sorted((task for task in tasks if task.display_name in ours), key=_started)


def _container_tasks(document: dict[str, Any]) -> set[str]:
    """The names of a compiled pipeline's tasks that have an executor, in whatever condition or handler they are."""
    pipeline = document.get("pipeline_spec", document)
    components = pipeline.get("components", {})
    return {
        name
        for group in (pipeline.get("root", {}), *components.values())
        for name, task in group.get("dag", {}).get("tasks", {}).items()
        if "executorLabel" in components.get(task["componentRef"]["name"], {})
    }


def _started(task: Any) -> float:
    moment = task.start_time or task.create_time
    # KFP gives the year 1 where there is no time yet.
    return moment.timestamp() if moment and moment.year > 1970 else float("inf")


def _took(task: Any) -> str:
    if task.state in ENDED and task.start_time and task.end_time and task.end_time.year > 1970:
        return f", {(task.end_time - task.start_time).total_seconds():.0f} s"
    return ""
