"""What every object of ours must keep to, beyond being valid. Each rule yields one line a violation."""

import re
from collections.abc import Iterator

from tests.k8s.manifests import Pod, matches, name_of, pods

CONTENT_TAG = re.compile(r"(.+-)?[0-9a-f]{12}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
# Where a node hands out its own credentials: the ports, and by the block of all addresses those that are in it.
AT = {80, 988}
CREDENTIALS = {"0.0.0.0/0": "169.254.0.0/16", "::/0": "fd00:ec2::/32"}


def violations(objects: list[dict]) -> list[str]:
    """All of them, in the objects' order."""
    found = [f"{pod.owner}: {said}" for pod in pods(objects) for said in _pod(pod)]
    found += [f"{name_of(thing)}: {said}" for thing in objects for said in _object(thing)]
    return found + list(_isolation(objects))


def quantity(text: str) -> float:
    """A Kubernetes quantity as a number: cores or bytes."""
    number, unit = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text)).groups()
    return float(number) * UNITS[unit]


def _pod(pod: Pod) -> Iterator[str]:
    security = pod.spec.get("securityContext", {})
    if security.get("runAsNonRoot") is not True:
        yield "runs as root: securityContext.runAsNonRoot is not true"
    # Our images name a user by number, which is enough, and OpenShift takes no other than its own; others' may be root.
    ours = all(_is_ours(container.get("image", "").partition(":")[0]) for container in pod.containers)
    if not ours and not security.get("runAsUser"):
        yield "its user is the image's: securityContext.runAsUser is not set"
    if ours and security.get("runAsUser") is not None:
        yield "OpenShift refuses it: securityContext.runAsUser is set"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "its system calls are not filtered: seccompProfile is not RuntimeDefault"
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(shared):
            yield f"shares the node's: {shared}"
    if pod.spec.get("serviceAccountName", "default") == "default":
        yield "has no service account of its own"
    # In a profile's namespace Istio adds its proxy: our policies cut that off, and it outlives the node of a training.
    if pod.namespace != "conv2d-serving" and pod.labels.get("sidecar.istio.io/inject") != "false":
        yield "takes the proxy of a profile's mesh: label sidecar.istio.io/inject is not false"
    if pod.spec.get("automountServiceAccountToken") is not False:
        yield "carries a token to the API server"
    for volume in pod.spec.get("volumes", []):
        if "hostPath" in volume:
            yield f"mounts the node's files: volume {volume['name']}"
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield f"may fill the node's disk: volume {volume['name']} has no sizeLimit"
    for container in pod.containers:
        yield from (f"container {container['name']}: {said}" for said in _container(container, pod))


def _container(container: dict, pod: Pod) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("readOnlyRootFilesystem") is not True:
        yield "its root file system is writable"
    if security.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if security.get("privileged"):
        yield "is privileged"
    capabilities = security.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield "keeps capabilities"
    if security.get("runAsNonRoot") is False or security.get("runAsUser") == 0:
        yield "runs as root"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "takes a port of the node"
    yield from _resources(container.get("resources", {}))
    if pod.kind != "InferenceService":
        yield from _image(container.get("image", ""))
    if container.get("ports"):
        yield from (
            f"is a server without a {probe}"
            for probe in ("readinessProbe", "livenessProbe")
            if not container.get(probe)
        )


def _resources(resources: dict) -> Iterator[str]:
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    yield from (f"requests no {resource}" for resource in ("cpu", "memory") if resource not in requests)
    if "memory" not in limits:
        yield "has no limit on memory"
    elif quantity(requests.get("memory", 0)) > quantity(limits["memory"]):
        yield "requests more memory than its limit"


def _image(image: str) -> Iterator[str]:
    name, _, digest = image.partition("@")
    repository, _, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "")
    if digest:
        if not DIGEST.fullmatch(digest):
            yield f"image {image} has an odd digest"
    elif tag in ("", "latest"):
        yield f"image {image} is whatever is newest"
    elif _is_ours(repository) and not CONTENT_TAG.fullmatch(tag):
        yield f"image {image} is ours, and its tag is no hash of its content"


def _is_ours(repository: str) -> bool:
    return repository.rpartition("/")[2].startswith("conv2d-")


def _object(thing: dict) -> Iterator[str]:
    kind = thing["kind"]
    if kind in ("ClusterRole", "ClusterRoleBinding"):
        yield "reaches beyond its namespace"
    if kind == "Role":
        for rule in thing["rules"]:
            yield from _rule(rule)
    if kind == "Service" and thing["spec"].get("type", "ClusterIP") != "ClusterIP":
        yield f"is published: type {thing['spec']['type']}"
    if kind == "Secret":
        yield "is a secret in a manifest"
    if kind == "Namespace":
        labels = thing["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield "does not enforce the restricted Pod Security Standard"
        # Not app.kubernetes.io/part-of, by which Kubeflow knows its profiles; nor istio-injection.
        foreign = [key for key in labels if not key.startswith(("pod-security.kubernetes.io/", "conv2d/"))]
        yield from (f"sets a label that is Kubeflow's to set: {key}" for key in foreign)
        kept = {"argocd.argoproj.io/sync-options", "kustomize.toolkit.fluxcd.io/prune"}
        if thing["metadata"]["name"] == "kubeflow" and not kept <= set(thing["metadata"].get("annotations", {})):
            yield "is removed by GitOps with our manifests, and all of Kubeflow with it"
    if kind == "NetworkPolicy":
        for rule in thing["spec"].get("egress", []):
            if "to" not in rule and AT & {entry["port"] for entry in rule.get("ports", [])}:
                yield "lets pods ask the node for its credentials, or anybody"
            for peer in rule.get("to", []):
                block = peer.get("ipBlock", {})
                given = CREDENTIALS.get(block.get("cidr", ""), "")
                if given and given not in block.get("except", []):
                    yield f"lets pods ask the node for its credentials{' by IPv6' if ':' in given else ''}"


def _rule(rule: dict) -> Iterator[str]:
    for part in ("apiGroups", "resources", "verbs"):
        if "*" in rule.get(part, []):
            yield f"has a wildcard in {part}"
    if "secrets" in rule.get("resources", []) and not rule.get("resourceNames"):
        yield "may read every secret"
    if {"pods", "pods/exec", "rolebindings", "serviceaccounts/token"} & set(rule["resources"]) and not set(
        rule["verbs"]
    ) <= {"get", "list", "watch"}:
        yield f"may do more than look at {', '.join(rule['resources'])}"


def _isolation(objects: list[dict]) -> Iterator[str]:
    """Each pod is held by some policy of its namespace, both ways; none of them lets everything through."""
    policies = [thing for thing in objects if thing["kind"] == "NetworkPolicy"]
    for pod in pods(objects):
        held = {
            way
            for policy in policies
            if policy["metadata"]["namespace"] == pod.namespace and matches(policy["spec"]["podSelector"], pod.labels)
            for way in policy["spec"]["policyTypes"]
        }
        yield from (f"{pod.owner}: no policy holds its {way}" for way in sorted({"Ingress", "Egress"} - held))
    for policy in policies:
        open_ways = [way for way in ("ingress", "egress") if {} in policy["spec"].get(way, [])]
        yield from (f"{name_of(policy)}: lets every {way} through" for way in open_ways)
