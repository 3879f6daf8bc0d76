"""Whether what each step asks for can be had: on the largest node, under the namespace's quotas."""

import dataclasses
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from components.check.settings import SIZED
from pipeline.cluster.doctor.check import Check, Setup, failed, ok, skipped
from pipeline.cluster.doctor.kubernetes_side import TIMEOUT_S, all_nodes, nodes_for

Amounts = dict[str, Decimal]
# What Argo's own container takes beside a step, by the LimitRange of k8s/base.
BESIDE = {"cpu": Decimal("0.01"), "memory": Decimal(128 * 2**20)}


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a step asks for, in cores and bytes.

    Attributes:
        pod: what the whole pod requests.
        asked: that, its limits, the accelerators of all its nodes together, and itself, by the names of quotas.
    """

    step: str
    pod: Amounts
    asked: Amounts

    def parameter(self, what: str) -> str:
        given = {"memory": f"{self.step}_memory", "limits.memory": f"{self.step}_memory"}
        return {**given, "cpu": "cpu_request", "limits.cpu": f"{self.step}_cpu"}.get(what, "gpus")


def check_room(setup: Setup) -> Check:
    """Compares each step's requests with what the nodes have to give, whatever else runs there now."""
    nodes = all_nodes(setup)
    if not nodes:
        return skipped("no node to compare with")
    for wish in _wishes(setup.parameters):
        fitting = nodes_for(setup) if wish.step == "train" else nodes
        given = [_numbers({what: (node.status.allocatable or {}).get(what) for what in wish.pod}) for node in fitting]
        # A pool that an autoscaler has yet to make is the check of GPU nodes' to tell.
        if given and not any(all(wish.pod[what] <= some[what] for what in wish.pod) for some in given):
            largest = max(given, key=lambda some: some["memory"])
            fix = f"lower {wish.step}_memory or cpu_request, or add a larger node (an autoscaler may do so)"
            found = f"{wish.step} requests {_shown(wish.pod)}, the largest node has {_shown(largest)}"
            return failed(found, fix)
    return ok("every step fits on a node")


def check_quota(setup: Setup) -> Check:
    """Compares what each step asks for with what the namespace's quotas leave."""
    quotas = setup.core.list_namespaced_resource_quota(setup.pods_in, _request_timeout=TIMEOUT_S).items
    for quota in quotas:
        hard = _numbers(quota.status.hard or quota.spec.hard)
        used = _numbers(quota.status.used)
        for wish in _wishes(setup.parameters):
            for what, amount in wish.asked.items():
                name = f"requests.{what}" if f"requests.{what}" in hard else what
                if name in hard and amount > (left := hard[name] - used.get(name, Decimal(0))):
                    amounts = f"leaves {_amount(what, left)}, {wish.step} requests {_amount(what, amount)}"
                    less = "" if what == "pods" else f", or lower {wish.parameter(what)}"
                    fix = f"wait for other runs or ask for a higher quota{less}"
                    return failed(f"{quota.metadata.name} {amounts}", fix)
    return ok(f"{len(quotas)} leave room for every step" if quotas else "no quota")


CHECKS = {"room": check_room, "quota": check_quota}


def _wishes(parameters: Any) -> Iterator[Wish]:
    for step in SIZED:
        memory = getattr(parameters, f"{step}_memory")
        requests = _numbers({"cpu": parameters.cpu_request, "memory": memory})
        limits = _numbers({"limits.cpu": getattr(parameters, f"{step}_cpu"), "limits.memory": memory})
        pod = {what: amount + BESIDE[what] for what, amount in requests.items()}
        gpus = Decimal(int(parameters.gpus) * parameters.nodes) if step == "train" else Decimal(0)
        yield Wish(step, pod, pod | limits | {"pods": Decimal(1)} | ({parameters.accelerator: gpus} if gpus else {}))


def _numbers(quantities: Mapping[str, Any] | None) -> Amounts:
    from kubernetes.utils.quantity import parse_quantity

    return {what: parse_quantity(quantity or 0) for what, quantity in (quantities or {}).items()}


def _shown(amounts: Amounts) -> str:
    return " and ".join(_amount(what, amount) for what, amount in amounts.items())


def _amount(what: str, amount: Decimal) -> str:
    name = what.removeprefix("limits.")
    number = float(amount)
    said = f"{number / 2**30:.3g} GiB" if name == "memory" else f"{number:g} {'CPUs' if name == 'cpu' else name}"
    return said if name == what else f"{said} as a limit"
