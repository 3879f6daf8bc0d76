"""Does everything that an object names exist? Each rule yields one line a name that leads nowhere."""

from collections.abc import Iterator

from tests.k8s.manifests import Pod, matches, name_of, pods

# Made by Kubeflow Pipelines (its base/seaweedfs and base/pipeline manifests), by Argo, and by Kubernetes.
KUBEFLOW_SECRETS = {("kubeflow", "mlpipeline-minio-artifact"): {"accesskey", "secretkey"}}
FOREIGN_LABELS = {
    *("application-crd-id", "workflows.argoproj.io/workflow", "app=seaweedfs", "conv2d/may-predict=true"),
    "component=model-registry-server",  # Kubeflow Hub's manifests/kustomize/base
    "component=data-science-pipelines",  # OpenShift AI's: data-science-pipelines-operator, config/internal
}
FOREIGN_NAMESPACES = {"kubeflow", "mlflow"}


def dangling(objects: list[dict]) -> list[str]:
    """All of them, in the objects' order."""
    found = [f"{pod.owner}: {said}" for pod in pods(objects) for said in _pod(pod, objects)]
    return found + [f"{name_of(thing)}: {said}" for thing in objects for said in _object(thing, objects)]


def _named(objects: list[dict], kind: str, namespace: str) -> dict[str, dict]:
    return {
        thing["metadata"]["name"]: thing
        for thing in objects
        if thing["kind"] == kind and thing["metadata"].get("namespace", "") == namespace
    }


def _pod(pod: Pod, objects: list[dict]) -> Iterator[str]:
    maps = _named(objects, "ConfigMap", pod.namespace)
    if pod.spec["serviceAccountName"] not in _named(objects, "ServiceAccount", pod.namespace):
        yield f"no service account {pod.spec['serviceAccountName']}"
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
    for volume in volumes.values():
        if not _there(volume.get("configMap"), maps):
            yield f"no config map {volume['configMap']['name']}"
    mounted = {mount["name"] for container in pod.containers for mount in container.get("volumeMounts", [])}
    yield from (f"no volume {name}" for name in sorted(mounted - set(volumes)))
    yield from (f"volume {name} is mounted nowhere" for name in sorted(set(volumes) - mounted))
    for spread in pod.spec.get("topologySpreadConstraints", []):
        if not matches(spread["labelSelector"], pod.labels):
            yield "spreads pods that are not its own"
    for container in pod.containers:
        ports = {value for port in container.get("ports", []) for value in (port.get("name"), port["containerPort"])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for way in ("httpGet", "tcpSocket"):
                port = container.get(probe, {}).get(way, {}).get("port")
                if port is not None and port not in ports:
                    yield f"{probe} asks port {port}, which is none of the container's"
        environment = container.get("env", [])
        for source in container.get("envFrom", []):
            if not _there(source.get("configMapRef"), maps):
                yield f"no config map {source['configMapRef']['name']}"
            if not _there(source.get("secretRef"), {}):
                yield f"no secret {source['secretRef']['name']}"
        for secret in (
            entry["valueFrom"]["secretKeyRef"] for entry in environment if "secretKeyRef" in entry.get("valueFrom", {})
        ):
            if secret.get("optional"):
                continue
            keys = KUBEFLOW_SECRETS.get((pod.namespace, secret["name"]))
            if keys is None:
                yield f"no secret {secret['name']}"
            elif secret["key"] not in keys:
                yield f"no key {secret['key']} in secret {secret['name']}"
        yield from _variables(container, maps)


def _there(named: dict | None, known: dict[str, dict]) -> bool:
    """Whether what is named is there, need not be there, or nothing is named."""
    return named is None or named.get("optional", False) or named["name"] in known


def _variables(container: dict, maps: dict[str, dict]) -> Iterator[str]:
    """Kubernetes leaves $(NAME) as it is where nothing sets NAME."""
    known = {entry["name"] for entry in container.get("env", [])}
    for source in container.get("envFrom", []):
        known |= set(maps.get(source.get("configMapRef", {}).get("name"), {}).get("data", {}))
    for argument in container.get("args", []):
        start, _, rest = argument.partition("$(")
        if rest and rest.partition(")")[0] not in known:
            yield f"nothing sets $({rest.partition(')')[0]})"


def _object(thing: dict, objects: list[dict]) -> Iterator[str]:
    kind, spec, namespace = thing["kind"], thing.get("spec", {}), thing["metadata"].get("namespace", "")
    ours = [pod for pod in pods(objects) if pod.namespace == namespace]
    if kind != "Namespace" and namespace not in _named(objects, "Namespace", ""):
        yield f"no namespace {namespace or '(none)'}"
    if kind == "Deployment" and not matches(spec["selector"], spec["template"]["metadata"]["labels"]):
        yield "does not select its own pods"
    if kind == "Service":
        chosen = [pod for pod in ours if spec["selector"].items() <= pod.labels.items()]
        if not chosen:
            yield "selects no pod"
        for port in spec["ports"]:
            for pod in chosen:
                known = {
                    value
                    for container in pod.containers
                    for had in container.get("ports", [])
                    for value in (had.get("name"), had["containerPort"])
                }
                if port.get("targetPort", port["port"]) not in known:
                    yield f"port {port.get('targetPort', port['port'])} is none of {pod.owner}'s"
    if kind == "PodDisruptionBudget" and not any(matches(spec["selector"], pod.labels) for pod in ours):
        yield "selects no pod"
    if kind == "HorizontalPodAutoscaler":
        target = spec["scaleTargetRef"]
        if target["name"] not in _named(objects, target["kind"], namespace):
            yield f"no {target['kind']} {target['name']}"
    if kind == "RoleBinding":
        if thing["roleRef"]["name"] not in _named(objects, thing["roleRef"]["kind"], namespace):
            yield f"no {thing['roleRef']['kind']} {thing['roleRef']['name']}"
        for subject in thing["subjects"]:
            if subject["name"] not in _named(objects, subject["kind"], subject.get("namespace", "")):
                yield f"no {subject['kind']} {subject['name']} in namespace {subject.get('namespace', '(none)')}"
    if kind == "NetworkPolicy":
        peers = [
            peer
            for way in ("ingress", "egress")
            for rule in spec.get(way, [])
            for peer in rule.get("from", rule.get("to", []))
        ]
        for selector in [spec["podSelector"], *(peer["podSelector"] for peer in peers if "podSelector" in peer)]:
            if selector and not _foreign(selector) and not any(matches(selector, pod.labels) for pod in ours):
                yield f"selects no pod by {selector}"
        for selector in (peer["namespaceSelector"] for peer in peers if "namespaceSelector" in peer):
            name = selector.get("matchLabels", {}).get("kubernetes.io/metadata.name")
            if not (_foreign(selector) or name in FOREIGN_NAMESPACES):
                yield f"selects no namespace by {selector}"


def _foreign(selector: dict) -> bool:
    """Whether what it selects is made by others."""
    labels = selector.get("matchLabels", {})
    keys = {*labels, *(f"{key}={value}" for key, value in labels.items())}
    keys |= {expression["key"] for expression in selector.get("matchExpressions", [])}
    return bool(keys & FOREIGN_LABELS)
