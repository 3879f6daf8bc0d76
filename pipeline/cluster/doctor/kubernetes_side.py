"""Checks of the cluster by its own API: names that must be there, GPU nodes, and whether training's pod fits one."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

from components.core.errors import nearest, one_line
from pipeline.cluster.doctor.check import Check, Setup, failed, ok, skipped, warning
from pipeline.console import option

TIMEOUT_S = (5, 15)


def check_cluster(setup: Setup) -> Check:
    """Whether the cluster of the kubeconfig, or of the pod this runs in, answers."""
    from kubernetes import client, config
    from urllib3.exceptions import HTTPError

    fix = "point KUBECONFIG at it, or: gcloud container clusters get-credentials, aws eks update-kubeconfig"
    host = ""
    try:
        api = setup.core.api_client
        host = api.configuration.host
        version = client.VersionApi(api).get_code(_request_timeout=TIMEOUT_S).git_version
    except (config.ConfigException, OSError, TypeError) as error:
        return failed(f"no usable kubeconfig: {one_line(error)[:150]}", fix)
    except HTTPError as error:
        return failed(f"nothing answers at {host}" if host else one_line(error, 150), fix)
    except client.ApiException as error:
        return failed(f"{host} answered {error.status}: {error.reason}", fix)
    return ok(f"Kubernetes {version} at {host}")


def check_namespace(setup: Setup) -> Check:
    fix = f"kubectl apply --server-side -k k8s/overlays/<yours>, or give your profile's with {option('namespace')}"
    return _there(setup.pods_in, lambda: setup.core.read_namespace(setup.pods_in), fix)


def check_service_account(setup: Setup) -> Check:
    name, another = setup.service_account, option("service-account")
    fix = f"kubectl apply --server-side -k k8s/overlays/<yours> makes conv2d-runner; or name another with {another}"
    return _there(name, lambda: setup.core.read_namespaced_service_account(name, setup.pods_in), fix)


def check_store_secret(setup: Setup) -> Check:
    """The key to KFP's own store. Where artifacts are in a bucket of one's own, there is none."""
    from pipeline.placement import STORE_SECRET

    fix = "it is KFP's own; not needed if kfp-launcher's defaultPipelineRoot is gs:// or s3:// with workload identity"
    found = _there(STORE_SECRET, lambda: _read_secret(setup, STORE_SECRET), fix)
    return dataclasses.replace(found, state="warning") if found.state == "failed" else found


def check_site(setup: Setup) -> Check:
    """The ConfigMap with what a company's own network takes: variables that pods are given, and the files they name."""
    from pipeline.placement import SITE, SITE_FOLDER, SITE_VARIABLES

    read = functools.partial(setup.core.read_namespaced_config_map, SITE, setup.pods_in, _request_timeout=TIMEOUT_S)
    site = unless_absent(read)
    if site is None:
        return skipped(f"no config map {SITE}: pods get no proxy, store or certificate authority of yours")
    data = site.data or {}
    fix = "k8s/components/site/kustomization.yaml has an example"
    files = {f"{SITE_FOLDER}/{name}" for name in data}
    for name, value in data.items():
        if "." not in name and name not in SITE_VARIABLES:
            found = f"{SITE} has {name}, which pods do not get; {nearest(name, list(SITE_VARIABLES))}"
            return failed(found, fix)
        if name.endswith("_BUNDLE") and value not in files:
            return failed(f"{SITE} has {name}={value}, and no such file: no certificate would be trusted", fix)
    return ok(f"{SITE} with {', '.join(sorted(data))}")


def check_webhook_secret(setup: Setup) -> Check:
    name = setup.webhook_secret
    if not name:
        return skipped(f"no {option('webhook-secret')} given: no message is sent when a run ends")
    fix = f"kubectl create secret generic {name} -n {setup.pods_in} --from-literal=url=... --from-literal=ui=..."

    def read() -> Any:
        secret = _read_secret(setup, name)
        return secret if "url" in (secret.data or {}) else None

    return _there(f"{name} with `url`", read, fix)


def check_cpu_nodes(setup: Setup) -> Check:
    """KFP's own driver pods tolerate no taints (kubeflow/pipelines#11309)."""
    nodes = all_nodes(setup)
    free = [node for node in nodes if not _hard_taints(node)]
    if free:
        return ok(f"{len(free)} of {len(nodes)} nodes without taints")
    found = f"all {len(nodes)} nodes have taints" if nodes else "there is no node"
    return failed(found, "keep an untainted pool: KFP's drivers run there")


def check_gpu_nodes(setup: Setup) -> Check:
    """Whether a node has as many GPUs to give as a run asks for, and the labels it asks for."""
    parameters = setup.parameters
    asked, nodes = gpus_asked(setup), all_nodes(setup)
    total = sum(gpus_of(node, setup) for node in nodes)
    if not asked:
        return skipped(f"the run requests none; the cluster has {total} {parameters.accelerator}")
    fitting = [node for node in nodes_for(setup) if gpus_of(node, setup) >= asked]
    what = f"{asked} {parameters.accelerator} on a node with {json.dumps(parameters.node_selector)}"
    if fitting:
        return ok(f"{len(fitting)} can give {what}")
    fix = (
        "fine if an autoscaler makes such nodes from none; else check the pool, the device plugin "
        "(kubectl get pods -A | grep device-plugin), accelerator= and node_selector="
    )
    return warning(f"none can give {what}; {total} in the cluster", fix)


def check_tolerations(setup: Setup) -> Check:
    """Whether the run tolerates the taints of the nodes that it is for."""
    parameters = setup.parameters
    nodes = nodes_for(setup)
    if parameters.gpus != "0":
        nodes = [node for node in nodes if gpus_of(node, setup)]
    if not nodes:
        return skipped("no node to compare with")
    left = []
    for node in nodes:
        left = [
            taint for taint in _hard_taints(node) if not any(_tolerates(one, taint) for one in parameters.tolerations)
        ]
        if not left:
            return ok(f"fit the taints of {node.metadata.name}")
    missing = [{"key": t.key, "operator": "Equal", "value": t.value or "", "effect": t.effect} for t in left]
    found = f"{nodes[-1].metadata.name} has {', '.join(f'{t.key}={t.value or str()}:{t.effect}' for t in left)}"
    return failed(found, f"TOLERATIONS='{json.dumps([*parameters.tolerations, *missing])}'")


CHECKS: dict[str, Callable[[Setup], Check]] = {
    "cluster": check_cluster,
    "namespace": check_namespace,
    "service account": check_service_account,
    "store's secret": check_store_secret,
    "site": check_site,
    "webhook's secret": check_webhook_secret,
    "CPU nodes": check_cpu_nodes,
    "GPU nodes": check_gpu_nodes,
    "tolerations": check_tolerations,
}


def _there(name: str, read: Callable[[], Any], fix: str) -> Check:
    """Whether `read` finds it."""
    return ok(name) if unless_absent(read) else failed(f"{name} is not there", fix)


def unless_absent(read: Callable[[], Any]) -> Any:
    """What `read` finds; None if that is not there."""
    from kubernetes.client import ApiException

    try:
        return read()
    except ApiException as error:
        if error.status == 404:
            return None
        raise


def _read_secret(setup: Setup, name: str) -> Any:
    return setup.core.read_namespaced_secret(name, setup.pods_in, _request_timeout=TIMEOUT_S)


def all_nodes(setup: Setup) -> list[Any]:
    return setup.core.list_node(_request_timeout=TIMEOUT_S).items


def nodes_for(setup: Setup) -> list[Any]:
    """The nodes that carry the labels a run asks for."""
    labels = setup.parameters.node_selector.items()
    return [node for node in all_nodes(setup) if labels <= (node.metadata.labels or {}).items()]


def gpus_of(node: Any, setup: Setup) -> int:
    """How many of the run's accelerators a node has to give."""
    return int((node.status.allocatable or {}).get(setup.parameters.accelerator, "0"))


def gpus_asked(setup: Setup) -> int:
    return int(setup.parameters.gpus) if setup.parameters.gpus.isdecimal() else 0


def _hard_taints(node: Any) -> list[Any]:
    return [taint for taint in node.spec.taints or [] if taint.effect in ("NoSchedule", "NoExecute")]


def _tolerates(toleration: dict[str, Any], taint: Any) -> bool:
    """Kubernetes' own rule: key, effect and value match, the empty ones match all."""
    given = {"key": taint.key, "effect": taint.effect}
    return all(toleration.get(name) in (None, "", value) for name, value in given.items()) and (
        toleration.get("operator") == "Exists" or toleration.get("value", "") == (taint.value or "")
    )
