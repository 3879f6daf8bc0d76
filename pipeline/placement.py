"""Where and how each task runs on a cluster: image, CPU, memory, GPUs, nodes, time limit and retries.

Training, and on request evaluation, run on GPU nodes; all other tasks on small CPU nodes. Whatever a user may choose at
the start of a run is a pipeline parameter (PlacementSettings, and `gpus`), so that one compiled file serves an L4, an
H100, MIG slices or no GPU:

- gpus=0 puts `<accelerator>: 0` into the pod's limits. The scheduler skips a request of zero, so that any node will do.
- A count or type that KFP can't read stops the step's driver; so both are checked before submission.
- The images are fixed when the file is compiled (kfp.local can't run a parameter's image): compiled with gpus of 1 or
  more, train has the GPU image, which also trains on a CPU, given gpus=0; compiled with 0 it has the CPU image.
- Compiled with nodes of 2 or more, train is a small CPU step that has Kubeflow Trainer start its nodes. What those are
  (CPUs, memory, selector, tolerations) is in k8s/components/multi-node; how many, and how many GPUs each has, is
  chosen when a run is started.

KFP 2.17 has no field for a pod's priority class: priority is Kueue's, by two pod labels (ClusterOptions).

kfp.local ignores all of it but retries, which it would sleep through: it is given no ClusterOptions.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from kfp import dsl
from kfp.dsl.pipeline_channel import PipelineChannel

from components.notify.component import notify
from components.notify.message import SECRET_KEYS
from components.train.nodes.train_job import IMAGE_VARIABLE, LABELS_VARIABLE
from pipeline.parameters.cluster_options import ClusterOptions

HOUR = 3600


@dataclasses.dataclass(frozen=True)
class TaskLimits:
    """What one task gets.

    Attributes:
        hours: the bound of a pod's life from its first moment on a node. It also ends a run whose image can't be
            pulled: KFP itself would wait for ever.
        retries: tries after the first, which Argo makes if a pod vanishes.
        cpu: at most; empty: the step's parameters say, and what it asks for.
        memory: in Kubernetes notation; empty: the step's parameter says.
    """

    hours: int
    retries: int = 3
    cpu: str = ""
    memory: str = ""


# Every step is safe to run again, and goes on where it was. Tried again is what vanished: a pod whose node was drained
# or lost. One that is there, as failed (by its own status, evicted, on a node that shut down), is not: Kubeflow's Argo
# has `retryPolicy: OnError` as its default, and KFP's compiled file has no field for another. So what can be mended by
# going on (a store that is away, a node of several that is lost) is mended inside the step; what can't be, a second try
# would not mend.
TASK_LIMITS = {
    "check": TaskLimits(hours=1, cpu="500m", memory="512Mi"),
    "look": TaskLimits(hours=1, cpu="500m", memory="1Gi"),
    # What grows with the data has half a day, so that a night's run that waits for an image has ended by the next.
    "download": TaskLimits(hours=12),
    "preprocess": TaskLimits(hours=12),
    "train": TaskLimits(hours=48),
    "launch": TaskLimits(hours=48, cpu="500m", memory="1Gi"),  # train, if it only has others do it
    "choose": TaskLimits(hours=1),
    "evaluate": TaskLimits(hours=12),
    "export": TaskLimits(hours=12),
    "predict": TaskLimits(hours=24),
    "notify": TaskLimits(hours=1, retries=0, cpu="500m", memory="256Mi"),
}
# What a step asks for whose CPUs no parameter says.
SMALL_REQUEST = "100m"
# Argo waits out one back-off also before it gives a step up that failed.
BACKOFF = {"backoff_duration": "10s", "backoff_factor": 3.0, "backoff_max_duration": "600s"}
# Pictures go from loader processes to the training process, and gradients between GPUs (NCCL), through /dev/shm; a
# container's own is 64 MB. What is in it counts as the container's memory.
SHARED_MEMORY = "2Gi"
# Kubeflow's own store, minio://: our code reads and writes there itself, without the launcher's keys.
STORE_SECRET = "mlpipeline-minio-artifact"  # noqa: S105 - the name of one
STORE_KEYS = {"accesskey": "MINIO_ACCESS_KEY", "secretkey": "MINIO_SECRET_KEY"}
# What a company's own network takes (a store that speaks S3, a proxy, an authority): a ConfigMap and a Secret of this
# name in the pods' namespace, both optional, with the variables by their own names. The ConfigMap is a folder too, for
# the authority's certificate.
SITE = "conv2d-site"
SITE_FOLDER = "/etc/conv2d-site"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
SITE_VARIABLES = (
    "AWS_ENDPOINT_URL", "AWS_REGION", "MINIO_ENDPOINT_URL", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", *PROXIES,
)  # fmt: skip
# A proxy may ask who one is. It has another name here than the ConfigMap's, as of a variable that is there twice Argo
# makes one with two sources, and Kubernetes refuses the pod. Of both names Python goes by this, the launcher by that.
SITE_SECRETS = {
    "AWS_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY": "AWS_SECRET_ACCESS_KEY",
    "HTTP_PROXY": "http_proxy", "HTTPS_PROXY": "https_proxy",
}  # fmt: skip
# Labels that nodes with accelerators carry: the device plugin's, GKE's, EKS's.
ACCELERATOR_LABELS = ("nvidia.com/gpu.present", "cloud.google.com/gke-accelerator", "k8s.amazonaws.com/accelerator")


class Placement:
    """Places the tasks of one pipeline.

    Args:
        cluster: None for kfp.local: then a task gets its image and no more.
        on_nodes: whether train has nodes of its own started.
    """

    def __init__(
        self,
        image: Callable[[str], str],
        cluster: ClusterOptions | None,
        values: Mapping[str, Any],
        on_nodes: bool = False,
    ):
        self.image, self.cluster, self.values, self.on_nodes = image, cluster, values, on_nodes

    def place(self, task: dsl.PipelineTask, name: str) -> None:
        """Gives a task its image and, on a cluster, its kind of node, its share of it, time limit and retries."""
        # KFP's setters would each look up the source of every caller, to name one in an error that no step's task can
        # have: half the time of compiling.
        task._ensure_container_spec_exists = lambda: None
        task.set_container_image(self.image(name))
        if self.cluster is None:
            return
        if not self.cluster.cached:
            # Here and not by the SDK's enable_caching, which reaches no task below an exit handler or in a loop.
            task.set_caching_options(False)
        launches = name == "train" and self.on_nodes
        limits = TASK_LIMITS["launch" if launches else name]
        if name in gpu_steps(self.cluster) and not launches:
            _on_gpu_node(task, self.values, self.cluster)
        else:
            # A wish, not a rule: if there is no room elsewhere, an untainted GPU node will do.
            without = [{"key": label, "operator": "DoesNotExist"} for label in ACCELERATOR_LABELS]
            _kubernetes().add_node_affinity(task, match_expressions=without, weight=100)
        asked = SMALL_REQUEST if limits.cpu else self.values["cpu_request"]
        cpu, memory = limits.cpu or self.values[f"{name}_cpu"], limits.memory or self.values[f"{name}_memory"]
        _register(task, asked, cpu, memory)
        task.set_cpu_request(asked).set_cpu_limit(cpu)
        # Memory's request equals its limit, so that a node that takes the pod also keeps it.
        task.set_memory_request(memory).set_memory_limit(memory)
        if launches:
            task.set_env_variable(IMAGE_VARIABLE, self.image("node"))
            if labels := queue_labels(self.cluster):
                task.set_env_variable(LABELS_VARIABLE, ",".join(f"{key}={value}" for key, value in labels.items()))
        _kubernetes().set_timeout(task, limits.hours * HOUR)
        # What the namespace's Pod Security "restricted" asks for. As which user, the image says, by number, or the
        # namespace: OpenShift gives each a range of users, and refuses a pod that names one outside of it.
        _kubernetes().set_security_context(task, run_as_non_root=True)
        if name != "check":  # which reads its arguments alone
            # optional: a cluster whose store is GCS or S3 proper has no such secret.
            _kubernetes().use_secret_as_env(task, STORE_SECRET, STORE_KEYS, optional=True)
            left_out = PROXIES if self.cluster.proxy == "kubeflow" else ()
            variables = {name: name for name in SITE_VARIABLES if name not in left_out}
            secrets = {key: name for key, name in SITE_SECRETS.items() if key not in left_out}
            _kubernetes().use_config_map_as_env(task, SITE, variables, optional=True)
            _kubernetes().use_secret_as_env(task, SITE, secrets, optional=True)
            _kubernetes().use_config_map_as_volume(task, SITE, SITE_FOLDER, optional=True)
        if limits.retries:
            task.set_retry(limits.retries, **BACKOFF)


def _kubernetes() -> ModuleType:
    """kfp.kubernetes, which loads Kubernetes' own client: 0.3 s that a local run does without."""
    from kfp import kubernetes

    return kubernetes


def gpu_steps(cluster: ClusterOptions) -> set[str]:
    """The steps that go to GPU nodes."""
    return {"train", "evaluate"} if cluster.evaluate_on == "gpu" else {"train"}


def queue_labels(cluster: ClusterOptions) -> dict[str, str]:
    """The labels by which Kueue knows where a pod or a TrainJob has to queue, and before whom."""
    queued = {"queue-name": cluster.queue, "priority-class": cluster.priority}
    return {f"kueue.x-k8s.io/{name}": value for name, value in queued.items() if value}


def _on_gpu_node(task: dsl.PipelineTask, values: Mapping[str, Any], cluster: ClusterOptions) -> None:
    _register(task, values["accelerator"], values["gpus"])
    task.set_accelerator_type(values["accelerator"]).set_accelerator_limit(values["gpus"])
    _kubernetes().add_node_selector_json(task, values["node_selector"])
    _kubernetes().add_toleration_json(task, values["tolerations"])
    _kubernetes().add_node_affinity_json(task, values["node_affinity"])
    _kubernetes().empty_dir_mount(task, "shared-memory", "/dev/shm", medium="Memory", size_limit=SHARED_MEMORY)  # noqa: S108
    for key, value in queue_labels(cluster).items():
        _kubernetes().add_pod_label(task, key, value)


def _register(task: dsl.PipelineTask, *values: Any) -> None:
    """Tells KFP that a task uses these parameters.

    Its setters of resources don't (2.17.0): below an exit handler the step would refer to a parameter that the handler
    is not given, and fail as it starts.
    """
    task.register_pipeline_channels([value for value in values if isinstance(value, PipelineChannel)])


@contextlib.contextmanager
def told_at_its_end(placement: Placement, group: str = "Training") -> Iterator[None]:
    """Has the steps in its body end in one message to the team's webhook, whatever the end.

    Args:
        group: the name of the group that the steps lie in.

    Off (no secret named, or not on a cluster) it adds nothing at all; on, it costs three pods a run: the steps then lie
    in a group of their own, below an exit handler, since KFP has no other way to start a task after a failure.
    """
    secret = placement.cluster.webhook_secret if placement.cluster else ""
    if not secret:
        yield
        return
    told = notify(run_name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER, run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
    placement.place(told.set_display_name("Tell of the end"), "notify")
    told.set_caching_options(False)
    # optional: a secret that is not there means that nobody is told, not that the run fails.
    _kubernetes().use_secret_as_env(told, secret, SECRET_KEYS, optional=True)
    with dsl.ExitHandler(told, name=group):
        yield
