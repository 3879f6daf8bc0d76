"""Checks of all that a run on a cluster needs: what was found, and what to do about it. Works with any part missing."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping

from components.core.errors import PipelineError, one_line
from pipeline.cluster.doctor import kubeflow, kubernetes_side, machine, room, stores, workloads
from pipeline.cluster.doctor.check import Check, Setup, State, failed, skipped
from pipeline.cluster.refusals import said
from pipeline.console import option

MARKS: dict[State, str] = {"ok": "ok     ", "warning": "warning", "failed": "FAILED ", "skipped": "skipped"}


def show(found: list[Check], as_json: bool) -> None:
    """Prints the checks, for people or as a JSON list."""
    if as_json:
        print(json.dumps([dataclasses.asdict(check) for check in found], indent=2))
        return
    width = max(len(check.name) for check in found)
    for check in found:
        print(f"{MARKS[check.state]}  {check.name.ljust(width)}  {check.found}")
        if check.fix and check.state in ("failed", "warning"):
            print(f"{' ' * (len(MARKS['ok']) + width + 4)}{check.fix}")
    bad = sum(check.state == "failed" for check in found)
    print(f"\n{bad} of {len(found)} checks failed" if bad else "\nno check failed")


def examine(setup: Setup) -> Iterator[Check]:
    """Makes all checks, one after the other; if no cluster is named, those of what is local."""
    for name, check in (machine.CHECKS | stores.CHECKS).items():
        yield guarded(name, check, setup)
    if not setup.names_a_cluster:
        how = f"give {option('endpoint', 'http://...')}, set KFP_ENDPOINT, or point KUBECONFIG at one"
        yield skipped(f"no cluster is configured, so none was checked; {how}", name="cluster")
        return
    yield from _if_reached(setup, kubeflow.CHECKS, "can't reach Kubeflow Pipelines")
    on_it = kubernetes_side.CHECKS | room.CHECKS | workloads.CHECKS
    yield from _if_reached(setup, on_it, "can't reach the cluster")


def _if_reached(setup: Setup, checks: Mapping[str, Callable[[Setup], Check]], else_why: str) -> Iterator[Check]:
    """The checks, of which the first is whether there is anything to look at."""
    (name, check), *others = checks.items()
    reached = guarded(name, check, setup)
    yield reached
    for name, check in others:
        yield guarded(name, check, setup) if reached.state == "ok" else skipped(else_why, name=name)


def guarded(name: str, check: Callable[[Setup], Check], setup: Setup) -> Check:
    """One check must not keep the others from being made."""
    try:
        found = check(setup)
    except PipelineError as error:
        what, _, fix = str(error).partition("; ")
        found = failed(what, fix.removeprefix("try "))
    except Exception as error:  # a doctor that dies of what it examines is no doctor
        found = _unexpected(error)
    return dataclasses.replace(found, name=name)


def _unexpected(error: Exception) -> Check:
    status = getattr(error, "status", None)  # Kubernetes' own
    if status == 403:  # most people may look into their namespace alone, and not at the nodes
        return skipped(f"no permission to look: {said(error)}")
    if status == 401:
        return failed("the cluster does not accept the kubeconfig's login", "log in again")
    return failed(f"{type(error).__name__}: {one_line(error, 200)}", "this is unexpected: report it, with this line")
