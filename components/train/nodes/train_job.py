"""The TrainJob that Kubeflow Trainer is asked for: https://www.kubeflow.org/docs/components/trainer."""

import dataclasses
import hashlib
import secrets
from typing import Any

from components.train.nodes.job import Job

TRAINER = "/apis/trainer.kubeflow.org/v1alpha1"
RUNTIME = "conv2d-jax"  # k8s/components/multi-node/runtime.yaml
# Given to the train step of a pipeline that is compiled for several nodes (pipeline/placement.py).
IMAGE_VARIABLE, LABELS_VARIABLE = "TRAIN_NODE_IMAGE", "TRAIN_NODE_LABELS"
# The container that Trainer gives image, command and place; and the pods' label that names their TrainJob.
CONTAINER = "node"
STEP_LABEL = "conv2d/training-of"  # of a TrainJob: which step of which run made it
JOB_LABEL = "jobset.sigs.k8s.io/jobset-name"
NUMBER_LABEL = "batch.kubernetes.io/job-completion-index"
GPU = "nvidia.com/gpu"  # JAX's packages in our image are NVIDIA's
# As long as the train step itself may take (pipeline/placement.py).
LONGEST_S = 48 * 3600


@dataclasses.dataclass(frozen=True)
class Nodes:
    """What the train step was given for its nodes.

    Attributes:
        image: the container image, with JAX in it.
        labels: for the TrainJob, such as Kueue's queue.
        owner: the step's pod as an ownerReference: when Kubernetes clears it away, so it does the TrainJob. None: not
            known.
    """

    count: int
    image: str
    labels: dict[str, str]
    owner: dict[str, str] | None = None


def job_name(job: Job) -> str:
    """How the TrainJobs of a step are known: the same whenever this step of this run is tried again, and no other's."""
    return f"conv2d-{hashlib.sha256(job.model_dump_json().encode()).hexdigest()[:16]}"


def train_job(job: Job, nodes: Nodes, runtime: dict[str, Any]) -> dict[str, Any]:
    """The object, for the runtime as Kubernetes has it, under a name of its own: pods of one before may still be there.

    What a TrainJob says of resources replaces all that the runtime says of them, so the runtime's are repeated.
    """
    name, gpus = f"{job_name(job)}-{secrets.token_hex(2)}", int(job.settings["gpus"])
    resources = _resources(runtime)
    if gpus:
        resources["limits"] = resources.get("limits", {}) | {GPU: str(gpus)}
    trainer = {
        "image": nodes.image,
        "command": ["python3", "-m", "components.train.nodes.node"],
        "args": [job.named(name).model_dump_json()],
        "numNodes": nodes.count,
    }
    if gpus and resources:
        trainer["resourcesPerNode"] = resources
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {
            "name": name,
            "labels": {"conv2d/part-of": "pipeline", STEP_LABEL: job_name(job), **nodes.labels},
            **({"ownerReferences": [nodes.owner]} if nodes.owner else {}),
        },
        "spec": {
            "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": RUNTIME},
            "trainer": trainer,
            "activeDeadlineSeconds": LONGEST_S,
        },
    }


def _resources(runtime: dict[str, Any]) -> dict[str, Any]:
    for replicated in runtime["spec"]["template"]["spec"]["replicatedJobs"]:
        for container in replicated["template"]["spec"]["template"]["spec"]["containers"]:
            if container["name"] == CONTAINER:
                return dict(container.get("resources", {}))
    return {}
