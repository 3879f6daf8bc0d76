"""Checks of the cluster by its own API: names that must be there, GPU nodes, and whether training's pod fits one."""

import dataclasses
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from components.core.errors import nearest, one_line
from pipeline.cluster.doctor.check import Check, failed, ok, skipped, warning
from pipeline.cluster.doctor.setup import Setup
from pipeline.cluster.kubeflow import NAMESPACE_VARIABLES, first_set
from pipeline.cluster.pods import kubernetes_api
from pipeline.console import option

if TYPE_CHECKING:
    from kubernetes import client


TIMEOUT_S = (5, 15)
STORE_SECRET = "mlpipeline-minio-artifact"  # noqa: S105 - a name, by which KFP finds its own store


@dataclasses.dataclass(frozen=True)
class KubernetesSide:
    """The API, and the namespace that runs are in."""

    core: "client.CoreV1Api"
    namespace: str


def reach_cluster(setup: Setup) -> tuple[KubernetesSide | None, Check]:
    """The cluster of the kubeconfig, or of the pod this runs in."""
    from kubernetes import client, config
    from urllib3.exceptions import HTTPError

    fix = "point KUBECONFIG at it, or: gcloud container clusters get-credentials, aws eks update-kubeconfig"
    try:
        configuration = client.Configuration()
        api = kubernetes_api(configuration)
        version = client.VersionApi(api).get_code(_request_timeout=TIMEOUT_S).git_version
    except (config.ConfigException, OSError, TypeError) as error:
        return None, failed("cluster", f"no usable kubeconfig: {one_line(error)[:150]}", fix)
    except HTTPError:
        return None, failed("cluster", f"nothing answers at {configuration.host}", fix)
    except client.ApiException as error:
        return None, failed("cluster", f"{configuration.host} answered {error.status}: {error.reason}", fix)
    namespace = setup.namespace or first_set(os.environ, NAMESPACE_VARIABLES) or "kubeflow"
    side = KubernetesSide(client.CoreV1Api(api), namespace)
    return side, ok("cluster", f"Kubernetes {version} at {configuration.host}")


def check_namespace(setup: Setup, kube: KubernetesSide) -> Check:
    """Whether the runs' namespace is there."""
    fix = f"kubectl apply -k k8s/overlays/<yours>, or give your profile's with {option('namespace')}"
    return _there("namespace", kube.namespace, lambda: kube.core.read_namespace(kube.namespace), fix)


def check_service_account(setup: Setup, kube: KubernetesSide) -> Check:
    """Whether the runs' identity is there."""
    name = setup.service_account
    another = option("service-account")
    fix = f"kubectl apply -k k8s/overlays/<yours> makes conv2d-runner; or name another with {another}"
    return _there("service account", name, lambda: kube.core.read_namespaced_service_account(name, kube.namespace), fix)


def check_store_secret(setup: Setup, kube: KubernetesSide) -> Check:
    """The key to KFP's own store. Where artifacts are in a bucket of one's own, there is none."""
    fix = "it is KFP's own; not needed if kfp-launcher's defaultPipelineRoot is gs:// or s3:// with workload identity"
    found = _there("store's secret", STORE_SECRET, lambda: _read_secret(kube, STORE_SECRET), fix)
    return dataclasses.replace(found, state="warning") if found.state == "failed" else found


def check_site(setup: Setup, kube: KubernetesSide) -> Check:
    """The ConfigMap with what a company's own network takes: variables that pods are given, and the files they name."""
    from kubernetes.client import ApiException

    from pipeline.placement import SITE, SITE_FOLDER, SITE_VARIABLES

    try:
        data = kube.core.read_namespaced_config_map(SITE, kube.namespace, _request_timeout=TIMEOUT_S).data or {}
    except ApiException as error:
        if error.status == 404:
            return skipped("site", f"no config map {SITE}: pods have no store, proxy or authority of your own")
        raise
    fix = "k8s/components/site/kustomization.yaml has an example"
    files = {f"{SITE_FOLDER}/{name}" for name in data}
    for name, value in data.items():
        if "." not in name and name not in SITE_VARIABLES:
            found = f"{SITE} has {name}, which no pod is given; {nearest(name, list(SITE_VARIABLES))}"
            return failed("site", found, fix)
        if name.endswith("_BUNDLE") and value not in files:
            return failed("site", f"{SITE} has {name}={value}, and no such file: no certificate would be trusted", fix)
    return ok("site", f"{SITE} with {', '.join(sorted(data))}")


def check_webhook_secret(setup: Setup, kube: KubernetesSide) -> Check:
    """The secret with the webhook's URL."""
    name = setup.webhook_secret
    if not name:
        return skipped("webhook's secret", f"no {option('webhook-secret')} given: nobody is told when a run ends")
    fix = f"kubectl create secret generic {name} -n {kube.namespace} --from-literal=url=... --from-literal=ui=..."

    def read() -> Any:
        secret = _read_secret(kube, name)
        return secret if "url" in (secret.data or {}) else None

    return _there("webhook's secret", f"{name} with `url`", read, fix)


def check_cpu_nodes(setup: Setup, kube: KubernetesSide) -> Check:
    """KFP's own driver pods tolerate no taints (kubeflow/pipelines#11309)."""
    nodes = all_nodes(kube)
    free = [node for node in nodes if not _hard_taints(node)]
    if free:
        return ok("CPU nodes", f"{len(free)} of {len(nodes)} nodes without taints")
    found = f"each of {len(nodes)} nodes has a taint" if nodes else "there is no node"
    return failed("CPU nodes", found, "keep an untainted pool: KFP's drivers run there")


def check_gpu_nodes(setup: Setup, kube: KubernetesSide) -> Check:
    """Whether a node has as many GPUs to give as a run asks for, and the labels it asks for."""
    parameters = setup.parameters
    asked = int(parameters.gpus) if parameters.gpus.isdecimal() else 0
    nodes = all_nodes(kube)
    total = sum(gpus_of(node, parameters) for node in nodes)
    if not asked:
        return skipped("GPU nodes", f"the run asks for none; the cluster has {total} {parameters.accelerator}")
    fitting = [node for node in nodes_for(kube, parameters) if gpus_of(node, parameters) >= asked]
    what = f"{asked} {parameters.accelerator} on a node with {json.dumps(parameters.node_selector)}"
    if fitting:
        return ok("GPU nodes", f"{len(fitting)} can give {what}")
    fix = (
        "fine if an autoscaler makes such nodes from none; else check the pool, the device plugin "
        "(kubectl get pods -A | grep device-plugin), accelerator= and node_selector="
    )
    return warning("GPU nodes", f"none can give {what}; {total} in the cluster", fix)


def check_tolerations(setup: Setup, kube: KubernetesSide) -> Check:
    """Whether the run tolerates the taints of the nodes that it is for."""
    parameters = setup.parameters
    nodes = nodes_for(kube, parameters)
    if parameters.gpus != "0":
        nodes = [node for node in nodes if gpus_of(node, parameters)]
    if not nodes:
        return skipped("tolerations", "no node to compare with")
    left = []
    for node in nodes:
        left = [taint for taint in _hard_taints(node) if not any(map(_tolerates(taint), parameters.tolerations))]
        if not left:
            return ok("tolerations", f"fit the taints of {node.metadata.name}")
    missing = [{"key": t.key, "operator": "Equal", "value": t.value or "", "effect": t.effect} for t in left]
    found = f"{nodes[-1].metadata.name} has {', '.join(f'{t.key}={t.value or str()}:{t.effect}' for t in left)}"
    return failed("tolerations", found, f"TOLERATIONS='{json.dumps([*parameters.tolerations, *missing])}'")


CHECKS: dict[str, Callable[[Setup, KubernetesSide], Check]] = {
    "namespace": check_namespace,
    "service account": check_service_account,
    "store's secret": check_store_secret,
    "site": check_site,
    "webhook's secret": check_webhook_secret,
    "CPU nodes": check_cpu_nodes,
    "GPU nodes": check_gpu_nodes,
    "tolerations": check_tolerations,
}


def _there(what: str, name: str, read: Callable[[], Any], fix: str) -> Check:
    """Whether `read` finds it."""
    from kubernetes.client import ApiException

    try:
        return ok(what, name) if read() else failed(what, f"{name} is not there", fix)
    except ApiException as error:
        if error.status == 404:
            return failed(what, f"{name} is not there", fix)
        raise


def _read_secret(kube: KubernetesSide, name: str) -> Any:
    return kube.core.read_namespaced_secret(name, kube.namespace, _request_timeout=TIMEOUT_S)


def all_nodes(kube: KubernetesSide) -> list[Any]:
    """Every node of the cluster."""
    return kube.core.list_node(_request_timeout=TIMEOUT_S).items


def gpus_of(node: Any, parameters: Any) -> int:
    """How many of the run's accelerators a node has to give."""
    return int((node.status.allocatable or {}).get(parameters.accelerator, "0"))


def nodes_for(kube: KubernetesSide, parameters: Any) -> list[Any]:
    """The nodes that carry the labels a run asks for."""
    labels = parameters.node_selector.items()
    return [node for node in all_nodes(kube) if labels <= (node.metadata.labels or {}).items()]


def _hard_taints(node: Any) -> list[Any]:
    return [taint for taint in node.spec.taints or [] if taint.effect in ("NoSchedule", "NoExecute")]


def _tolerates(taint: Any) -> Callable[[dict[str, Any]], bool]:
    """Kubernetes' own rule: key, effect and value match, the empty ones match all."""

    def tolerated(toleration: dict[str, Any]) -> bool:
        if toleration.get("key") and toleration["key"] != taint.key:
            return False
        if toleration.get("effect") and toleration["effect"] != taint.effect:
            return False
        return toleration.get("operator") == "Exists" or toleration.get("value", "") == (taint.value or "")

    return tolerated
