"""Whether what each step asks for can be had: on the largest node, and under the namespace's quotas."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from pipeline.cluster.doctor.check import Check, failed, ok, skipped
from pipeline.cluster.doctor.kubernetes_side import Kube, all_nodes, nodes_for
from pipeline.cluster.doctor.setup import Setup
from pipeline.parameters.placement_settings import SIZED

# What Argo's own container takes beside a step, by the LimitRange of k8s/base.
BESIDE = {"cpu": Decimal("0.01"), "memory": Decimal(128 * 2**20)}


def check_room(setup: Setup, kube: Kube) -> Check:
    """Compares each step's requests with what the nodes have to give, whatever else runs there now."""
    nodes = all_nodes(kube)
    if not nodes:
        return skipped("room", "no node to compare with")
    for step, asked in _requests(setup.parameters):
        fitting = nodes_for(kube, setup.parameters) if step == "train" else nodes
        given = [{what: _allocatable(node, what) for what in asked} for node in fitting]
        # A pool that an autoscaler has yet to make is the check of GPU nodes' to tell.
        if given and not any(all(asked[what] <= some[what] for what in asked) for some in given):
            largest = max(given, key=lambda some: some["memory"])
            fix = f"give {step}_memory or cpu_request less, or add a larger node; an autoscaler may do so by itself"
            return failed("room", f"{step} asks for {_shown(asked)}, the largest node gives {_shown(largest)}", fix)
    return ok("room", "each step fits on a node")


def check_quota(setup: Setup, kube: Kube) -> Check:
    """Compares each step's requests with what the namespace's quotas leave."""
    from kubernetes.client import ApiException

    try:
        quotas = kube.core.list_namespaced_resource_quota(kube.namespace).items
    except ApiException as error:
        if error.status not in (401, 403):
            raise
        return skipped("quota", "no permission to look for quotas")
    for quota in quotas:
        left = {name: _number(hard) - _number((quota.status.used or {}).get(name)) for name, hard in _hard(quota)}
        for step, asked in _requests(setup.parameters):
            for what, amount in (asked | _gpus(setup.parameters, step)).items():
                room = left.get(f"requests.{what}", left.get(what))
                if room is not None and amount > room:
                    name = {"memory": f"{step}_memory", "cpu": "cpu_request"}.get(what, "gpus")
                    leaves, asks = _amount(what, room), _amount(what, amount)
                    found = f"{quota.metadata.name} leaves {leaves}, {step} asks for {asks}"
                    return failed("quota", found, f"wait for other runs, have it raised, or give {name} less")
    return ok("quota", f"{len(quotas)} leave room for each step" if quotas else "there is none")


CHECKS: dict[str, Callable[[Setup, Kube], Check]] = {"room": check_room, "quota": check_quota}


def _requests(parameters: Any) -> Iterator[tuple[str, dict[str, Decimal]]]:
    """What the pod of each step asks for."""
    for step in SIZED:
        asked = {"cpu": parameters.cpu_request, "memory": getattr(parameters, f"{step}_memory")}
        yield step, {what: _number(amount) + BESIDE[what] for what, amount in asked.items()}


def _gpus(parameters: Any, step: str) -> dict[str, Decimal]:
    """The accelerators that a step asks for, those of all its nodes together."""
    gpus = int(parameters.gpus) * parameters.nodes
    return {parameters.accelerator: Decimal(gpus)} if step == "train" and gpus else {}


def _hard(quota: Any) -> list[tuple[str, Any]]:
    return list((quota.status.hard or quota.spec.hard or {}).items())


def _allocatable(node: Any, what: str) -> Decimal:
    return _number((node.status.allocatable or {}).get(what))


def _number(quantity: Any) -> Decimal:
    from kubernetes.utils.quantity import parse_quantity

    return parse_quantity(quantity or 0)


def _shown(amounts: dict[str, Decimal]) -> str:
    return " and ".join(_amount(what, amount) for what, amount in amounts.items())


def _amount(what: str, amount: Decimal) -> str:
    if what == "memory":
        return f"{float(amount) / 2**30:.3g} GiB"
    return f"{float(amount):g} {'CPUs' if what == 'cpu' else what}"
