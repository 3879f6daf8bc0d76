"""Whether what each step asks for can be had: on the largest node, under the namespace's quotas and limit ranges."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from pipeline.cluster.doctor.check import Check, failed, ok, skipped
from pipeline.cluster.doctor.kubernetes_side import TIMEOUT_S, Kube, all_nodes, nodes_for
from pipeline.cluster.doctor.setup import Setup
from pipeline.parameters.placement_settings import SIZED

Amounts = dict[str, Decimal]
# What Argo's own container takes beside a step, by the LimitRange of k8s/base.
BESIDE = {"cpu": Decimal("0.01"), "memory": Decimal(128 * 2**20)}


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a step asks for, in cores and bytes.

    Attributes:
        requests: of its own container.
        limits: the same.
        pod: what the whole pod requests.
        gpus: the accelerators that it asks for, those of all its nodes together.
    """

    step: str
    requests: Amounts
    limits: Amounts
    pod: Amounts
    gpus: Amounts

    def parameter(self, what: str) -> str:
        """The parameter that sets what is requested, or with `limits.` before it the limit."""
        given = {"memory": f"{self.step}_memory", "limits.memory": f"{self.step}_memory"}
        return {**given, "cpu": "cpu_request", "limits.cpu": f"{self.step}_cpu"}.get(what, "gpus")


def check_room(setup: Setup, kube: Kube) -> Check:
    """Compares each step's requests with what the nodes have to give, whatever else runs there now."""
    nodes = all_nodes(kube)
    if not nodes:
        return skipped("room", "no node to compare with")
    for wish in _wishes(setup.parameters):
        fitting = nodes_for(kube, setup.parameters) if wish.step == "train" else nodes
        given = [_numbers({what: (node.status.allocatable or {}).get(what) for what in wish.pod}) for node in fitting]
        # A pool that an autoscaler has yet to make is the check of GPU nodes' to tell.
        if given and not any(all(wish.pod[what] <= some[what] for what in wish.pod) for some in given):
            largest = max(given, key=lambda some: some["memory"])
            fix = (
                f"give {wish.step}_memory or cpu_request less, or add a larger node; an autoscaler may do so by itself"
            )
            found = f"{wish.step} asks for {_shown(wish.pod)}, the largest node gives {_shown(largest)}"
            return failed("room", found, fix)
    return ok("room", "each step fits on a node")


def check_quota(setup: Setup, kube: Kube) -> Check:
    """Compares what each step asks for with what the namespace's quotas leave."""
    quotas = _listed(kube.core.list_namespaced_resource_quota, kube)
    if quotas is None:
        return skipped("quota", "no permission to look for quotas")
    for quota in quotas:
        hard = _numbers(quota.status.hard or quota.spec.hard)
        used = _numbers(quota.status.used)
        for wish in _wishes(setup.parameters):
            for what, amount in (wish.pod | wish.gpus | _named("limits", wish.limits) | {"pods": Decimal(1)}).items():
                name = f"requests.{what}" if f"requests.{what}" in hard else what
                if name in hard and amount > (left := hard[name] - used.get(name, Decimal(0))):
                    amounts = f"leaves {_amount(what, left)}, {wish.step} asks for {_amount(what, amount)}"
                    less = "" if what == "pods" else f", or give {wish.parameter(what)} less"
                    fix = f"wait for other runs, or have it raised{less}"
                    return failed("quota", f"{quota.metadata.name} {amounts}", fix)
    return ok("quota", f"{len(quotas)} leave room for each step" if quotas else "there is none")


def check_limits(setup: Setup, kube: Kube) -> Check:
    """Compares each step's container with what the namespace's limit ranges let one have: others are refused."""
    ranges = _listed(kube.core.list_namespaced_limit_range, kube)
    if ranges is None:
        return skipped("limit ranges", "no permission to look for limit ranges")
    bounds = [(found.metadata.name, bound) for found in ranges for bound in found.spec.limits]
    for name, bound in bounds:
        for wish in _wishes(setup.parameters) if bound.type == "Container" else ():
            if beyond := _beyond(bound, wish):
                said, fix = beyond
                return failed("limit ranges", f"{name} {said}", fix)
    return ok("limit ranges", "allow what each step asks for" if bounds else "there is none")


CHECKS: dict[str, Callable[[Setup, Kube], Check]] = {
    "room": check_room,
    "quota": check_quota,
    "limit ranges": check_limits,
}


def _wishes(parameters: Any) -> Iterator[Wish]:
    for step in SIZED:
        memory = getattr(parameters, f"{step}_memory")
        requests = _numbers({"cpu": parameters.cpu_request, "memory": memory})
        limits = _numbers({"cpu": getattr(parameters, f"{step}_cpu"), "memory": memory})
        pod = {what: amount + BESIDE[what] for what, amount in requests.items()}
        gpus = Decimal(int(parameters.gpus) * parameters.nodes) if step == "train" else Decimal(0)
        yield Wish(step, requests, limits, pod, {parameters.accelerator: gpus} if gpus else {})


def _beyond(bound: Any, wish: Wish) -> tuple[str, str] | None:
    """What a limit range would refuse of a step's container, and what to do."""
    most, least, ratios = map(_numbers, (bound.max, bound.min, bound.max_limit_request_ratio))
    for what, limit in wish.limits.items():
        request, has = wish.requests[what], f"{wish.step} has {_amount(what, limit)}"
        if limit > most.get(what, limit):
            fix = f"give {wish.parameter(f'limits.{what}')} less, or have it raised"
            return f"allows {_amount(what, most[what])}, {has}", fix
        if request < least.get(what, request):
            said = f"wants {_amount(what, least[what])} at least, {wish.step} asks for {_amount(what, request)}"
            return said, f"give {wish.parameter(what)} more"
        if limit > request * ratios.get(what, limit / request):
            said = f"allows limits of {ratios[what]} times the request, {has} of {_amount(what, request)}"
            return said, f"give {wish.parameter(what)} more, or {wish.parameter(f'limits.{what}')} less"
    return None


def _listed(listing: Callable[..., Any], kube: Kube) -> list[Any] | None:
    """None if we may not look."""
    from kubernetes.client import ApiException

    try:
        return listing(kube.namespace, _request_timeout=TIMEOUT_S).items
    except ApiException as error:
        if error.status not in (401, 403):
            raise
        return None


def _named(kind: str, amounts: Amounts) -> Amounts:
    return {f"{kind}.{what}": amount for what, amount in amounts.items()}


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
