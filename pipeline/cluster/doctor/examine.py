"""Checks of all that a run on a cluster needs: what was found, and what to do about it. Works with any part missing."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Literal

from components.core.errors import PipelineError, one_line
from pipeline.cluster.doctor import kubeflow, kubernetes_side, machine, room, stores, workloads
from pipeline.cluster.doctor.check import Check, failed, skipped
from pipeline.cluster.doctor.setup import Setup
from pipeline.cluster.refusals import said
from pipeline.console import option

MARKS: dict[Literal["ok", "warning", "failed", "skipped"], str] = {
    "ok": "ok     ",
    "warning": "look   ",
    "failed": "FAILED ",
    "skipped": "skipped",
}


def examine(setup: Setup) -> list[Check]:
    """Makes all checks, one after the other; if no cluster is named, those of what is local."""
    return list(_all(setup))


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
    print(f"\n{bad} of {len(found)} checks failed" if bad else "\nnothing failed")


def _all(setup: Setup) -> Iterator[Check]:
    for name, check in (machine.CHECKS | stores.CHECKS).items():
        yield guarded(name, check, setup)
    if not setup.names_a_cluster:
        how = f"give {option('endpoint', 'http://...')}, set KFP_ENDPOINT, or point KUBECONFIG at one"
        yield skipped("cluster", f"none is named here, so nothing was checked on one; {how}")
        return
    client, first = kubeflow.reach_kubeflow(setup)
    yield first
    for name, asks in kubeflow.CHECKS.items():
        yield guarded(name, asks, setup, client) if client else skipped(name, "Kubeflow Pipelines is not reached")
    kube, first = kubernetes_side.reach_cluster(setup)
    yield first
    for name, looks in (kubernetes_side.CHECKS | room.CHECKS | workloads.CHECKS).items():
        yield guarded(name, looks, setup, kube) if kube else skipped(name, "the cluster is not reached")


def guarded(name: str, check: Callable[..., Check], *arguments: object) -> Check:
    """One check must not keep the others from being made."""
    try:
        return check(*arguments)
    except PipelineError as error:
        return failed(name, str(error))
    except Exception as error:  # a doctor that dies of what it examines is no doctor
        # Kubernetes' own: most people may look into their namespace alone, and not at the nodes.
        if getattr(error, "status", None) == 403:
            return skipped(name, f"no permission to look: {said(error)}")
        if getattr(error, "status", None) == 401:
            return failed(name, "the cluster does not accept the kubeconfig's login", "log in again")
        words = one_line(error, 200)
        return failed(name, f"{type(error).__name__}: {words}", "this is unexpected: report it, with this line")
