"""Every name leads somewhere, and one that does not is told."""

import copy
import json
import re

import pytest
import yaml

from tests.k8s.manifests import K8S, container, find, pod
from tests.k8s.references import dangling


def test_every_name_leads_somewhere(overlay):
    assert dangling(overlay) == []


def policy(objects, name):
    return find(objects, "NetworkPolicy", name)["spec"]


# By the words that tell it: what is done to good manifests, of overlays/local and of overlays/serving.
LOCAL = {
    "no service account tensorbord": lambda o: pod(o).update(serviceAccountName="tensorbord"),
    "no config map settings": lambda o: container(o)["envFrom"][0]["configMapRef"].update(name="settings"),
    "no secret minio": lambda o: container(o)["env"][0]["valueFrom"]["secretKeyRef"].update(name="minio"),
    "no key user in secret": lambda o: container(o)["env"][0]["valueFrom"]["secretKeyRef"].update(key="user"),
    "nothing sets $(BUCKET)": lambda o: container(o)["args"].append("--logdir=$(BUCKET)"),
    "readinessProbe asks port web": lambda o: container(o)["readinessProbe"]["httpGet"].update(port="web"),
    "no volume cache": lambda o: container(o)["volumeMounts"].append({"name": "cache", "mountPath": "/cache"}),
    "volume cache is mounted nowhere": lambda o: pod(o)["volumes"].append({"name": "cache", "emptyDir": {}}),
    "does not select its own pods": lambda o: find(o, "Deployment")["spec"]["selector"]["matchLabels"].update(app="x"),
    "Service/tensorboard: selects no pod": lambda o: find(o, "Service")["spec"]["selector"].update(app="x"),
    "port 80 is none of": lambda o: find(o, "Service")["spec"]["ports"][0].pop("targetPort"),
    "no Role runner": lambda o: find(o, "RoleBinding")["roleRef"].update(name="runner"),
    "no ServiceAccount runner": lambda o: find(o, "RoleBinding")["subjects"][0].update(name="runner"),
    "conv2d-runner in namespace elsewhere": lambda o: find(o, "RoleBinding")["subjects"][0].update(
        namespace="elsewhere"
    ),
    "no namespace elsewhere": lambda o: find(o, "Service")["metadata"].update(namespace="elsewhere"),
    "conv2d-tensorboard: selects no pod": lambda o: policy(o, "conv2d-tensorboard").update(
        podSelector={"matchLabels": {"app": "x"}}
    ),
    "selects no namespace": lambda o: policy(o, "conv2d-runs")["egress"][1]["to"][2]["namespaceSelector"].update(
        matchLabels={"kubernetes.io/metadata.name": "kubeflows"}
    ),
}
SERVING = {
    "no config map models": lambda o: pod(o, "tensorflow-serving")["volumes"][0]["configMap"].update(name="models"),
    "no Deployment serving": lambda o: find(o, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(
        name="serving"
    ),
    "PodDisruptionBudget/tensorflow-serving: selects no pod": lambda o: find(o, "PodDisruptionBudget")["spec"][
        "selector"
    ].update(matchLabels={"app": "x"}),
    "spreads pods that are not its own": lambda o: pod(o, "tensorflow-serving")["topologySpreadConstraints"][0].update(
        labelSelector={"matchLabels": {"app": "x"}}
    ),
}


@pytest.mark.parametrize(
    ("path", "words", "deed"),
    [
        *(pytest.param("overlays/local", words, deed, id=words) for words, deed in LOCAL.items()),
        *(pytest.param("overlays/serving", words, deed, id=words) for words, deed in SERVING.items()),
    ],
)
def test_a_name_that_leads_nowhere_is_told(rendered, path, words, deed):
    objects = copy.deepcopy(rendered[path])
    deed(objects)
    told = dangling(objects)
    assert any(words in line for line in told), told


@pytest.mark.parametrize("cloud", ["gke", "eks"])
def test_a_run_and_a_multi_node_training_go_to_the_same_gpus(rendered, cloud):
    lines = [line for line in (K8S / f"overlays/{cloud}/runs.env").read_text().splitlines() if not line.startswith("#")]
    assert all(" " not in line for line in lines), "a shell would take it apart"
    parameters = dict(line.split("=", 1) for line in lines)
    assert isinstance(json.loads(parameters["gpus"]), str), "kfp would make a number of it, and Kubeflow no GPU"
    job = find(rendered[f"overlays/{cloud}"], "TrainingRuntime")["spec"]["template"]["spec"]["replicatedJobs"][0]
    node = job["template"]["spec"]["template"]["spec"]
    assert json.loads(parameters["node_selector"]) == node["nodeSelector"]
    assert json.loads(parameters["tolerations"]) == node["tolerations"]


@pytest.mark.parametrize("cloud", ["gke", "eks"])
def test_the_runtime_is_the_one_that_the_train_step_asks_for(rendered, cloud):
    """Its name and its container's, rights to it, the store's keys by the names that our code reads."""
    from components.train.nodes.train_job import CONTAINER, RUNTIME
    from pipeline.placement import STORE_KEYS, STORE_SECRET

    objects = rendered[f"overlays/{cloud}"]
    replicated = find(objects, "TrainingRuntime", RUNTIME)["spec"]["template"]["spec"]["replicatedJobs"][0]
    job = replicated["template"]["spec"]
    (container,) = [one for one in job["template"]["spec"]["containers"] if one["name"] == CONTAINER]
    keys = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in container["env"]}
    assert {keys[name]["key"]: name for name in keys} == STORE_KEYS
    assert {secret["name"] for secret in keys.values()} == {STORE_SECRET}
    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (0, "Never")
    rights = {
        (resource, verb)
        for rule in find(objects, "Role", "conv2d-multi-node")["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    # What components/train/nodes asks of Kubernetes.
    assert rights >= {
        *(("trainjobs", verb) for verb in ("create", "get", "delete")),
        ("trainingruntimes", "get"),
        ("pods", "get"),
        ("pods", "list"),
        ("pods/log", "get"),
        ("events", "list"),
    }


def test_tensorflow_serving_reads_the_model_that_common_names(rendered):
    objects = rendered["overlays/serving"]
    uri = next(t["data"]["URI"] for t in objects if t["kind"] == "ConfigMap" and "URI" in t["data"])
    config = find(objects, "ConfigMap", "tensorflow-serving")["data"]["models.config"]
    assert f'base_path: "{uri}"' in config
    served = re.search(r'name: "(\w+)"', config)[1]
    probe = pod(objects, "tensorflow-serving")["containers"][0]["readinessProbe"]["httpGet"]
    assert probe["path"] == f"/v1/models/{served}/metadata"


def test_another_namespace_is_one_line(tmp_path, kustomize_at_hand):
    """As an overlay of one's own does it: everything moves, and still finds everything."""
    from tests.k8s.manifests import render

    (tmp_path / "k8s").symlink_to(K8S)
    overlay = tmp_path / "mine"
    overlay.mkdir()
    content = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    content |= {"namespace": "team-a", "resources": ["../k8s/base"], "components": ["../k8s/components/multi-node"]}
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(content))
    objects = render(overlay)
    assert {thing["metadata"].get("namespace") for thing in objects if thing["kind"] != "Namespace"} == {"team-a"}
    assert dangling(objects) == []


def test_what_is_to_be_edited_says_so():
    """Names that stand in for the user's own occur only in lines marked EDIT."""
    for path in (K8S / "overlays").rglob("*.yaml"):
        for line in path.read_text().splitlines():
            if re.search(r"my-project|my-bucket|111122223333", line):
                assert "# EDIT" in line, f"{path}: {line}"
