"""The compiled pipeline read back: what each step's pod gets, and that one file serves any GPU or none."""

import copy
import re

import pytest
from kubernetes.utils.quantity import parse_quantity

from components.check.settings import SIZED, PlacementSettings
from components.core.errors import PipelineError
from components.notify.message import SECRET_KEYS
from components.train.nodes.train_job import IMAGE_VARIABLE, LABELS_VARIABLE
from pipeline.cluster.compile import step_images
from pipeline.cluster.tasks import trial_settings
from pipeline.images.names import image
from pipeline.parameters.parameters import configure
from pipeline.parameters.sweep import Sweep
from pipeline.placement import SITE, SITE_FOLDER, SITE_SECRETS, SITE_VARIABLES, STORE_SECRET, TASK_LIMITS
from pipeline.training import STEPS
from tests.pipeline.pipelines import documents, groups, tasks, training

EVERYTHING = {"evaluate_on": "gpu", "queue": "team", "priority": "urgent", "webhook_secret": "conv2d-webhook"}


def compiled(*settings: str, **options) -> tuple[dict, dict]:
    """The pipeline's document, and its executors' Kubernetes settings by step."""
    pipeline, platform = documents(training(*settings, **options))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return pipeline, {name.removeprefix("exec-"): executor for name, executor in executors.items()}


@pytest.fixture(scope="module")
def plain():
    return compiled("GPUS=1")


def parameter(name: str) -> str:
    """What stands for a run's parameter in a step's resources."""
    return f"{{{{$.inputs.parameters['pipelinechannel--{name}']}}}}"


def container(pipeline: dict, step: str) -> dict:
    return pipeline["deploymentSpec"]["executors"][f"exec-{step}"]["container"]


def test_the_training_pods_gpus_are_run_time_parameters(plain):
    pipeline, _ = plain
    resources = container(pipeline, "train")["resources"]
    assert resources["accelerator"] == {"resourceCount": parameter("gpus"), "resourceType": parameter("accelerator")}
    inputs = pipeline["root"]["inputDefinitions"]["parameters"]
    # KFP drops a count that is a number, and refuses tolerations that are a string.
    types = {"gpus": "STRING", "accelerator": "STRING", "node_selector": "STRUCT", "tolerations": "LIST"}
    assert {name: inputs[name]["parameterType"] for name in types} == types
    assert inputs["gpus"]["defaultValue"] == "1"


def test_the_training_pods_nodes_are_run_time_parameters(plain):
    train = plain[1]["train"]
    assert train["nodeSelector"] == {"nodeSelectorJson": {"componentInputParameter": "node_selector"}}
    assert train["tolerations"] == [{"tolerationJson": {"componentInputParameter": "tolerations"}}]
    assert train["nodeAffinity"] == [{"nodeAffinityJson": {"componentInputParameter": "node_affinity"}}]


def test_the_training_pod_has_shared_memory(plain):
    mount = {"volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": "2Gi"}  # noqa: S108
    assert plain[1]["train"]["emptyDirMounts"] == [mount]


@pytest.mark.parametrize("step", STEPS)
def test_what_a_step_asks_for_is_a_parameter(plain, step):
    resources = container(plain[0], step)["resources"]
    asked = {name: value for name, value in resources.items() if name.startswith(("resourceCpu", "resourceMemory"))}
    assert asked == {
        "resourceCpuRequest": parameter("cpu_request"),
        "resourceCpuLimit": parameter(f"{step}_cpu"),
        "resourceMemoryRequest": parameter(f"{step}_memory"),
        "resourceMemoryLimit": parameter(f"{step}_memory"),
    }


def test_no_pod_asks_for_more_cpus_than_it_may_use():
    """Kubernetes refuses it when it is made: with CPU_REQUEST=2, as k8s/README.md advises, each run failed at check."""
    pipeline, _ = compiled("CPU_REQUEST=2", "SOURCE=gs://bucket/x.gz", **EVERYTHING)
    values = {name: one["defaultValue"] for name, one in pipeline["root"]["inputDefinitions"]["parameters"].items()}
    for executor in pipeline["deploymentSpec"]["executors"].values():
        resources = executor["container"]["resources"]
        asked, most = (
            re.sub(r".*pipelinechannel--(\w+)'.*", lambda name: values[name[1]], resources[what])
            for what in ("resourceCpuRequest", "resourceCpuLimit")
        )
        assert parse_quantity(asked) <= parse_quantity(most), executor["container"]["image"]
    with pytest.raises(PipelineError, match="cpu_request: expected at most download_cpu, 2, received 2500m"):
        PlacementSettings.checked(cpu_request="2500m")


# What one node of 2 CPUs and 8 GB (7.6 GiB to give) has left beside a cluster's own pods (0.85 CPU, 0.2 GiB) and those
# of Kubeflow Pipelines (0.95 CPU, 3.7 GiB, with the LimitRange of k8s/base for containers that ask for nothing).
SMALL_NODE = {"cpu": 0.2, "memory": 3.7}
ARGO = {"cpu": 0.01, "memory": 0.125}  # beside each step, by the same LimitRange


def test_the_quickstart_fits_one_small_node_beside_kubeflow():
    parameters = configure("quickstart", environment={}).parameters
    assert float(parse_quantity(parameters.cpu_request)) + ARGO["cpu"] <= SMALL_NODE["cpu"]
    for step in SIZED:
        asked = float(parse_quantity(getattr(parameters, f"{step}_memory"))) / 2**30
        assert asked + ARGO["memory"] <= SMALL_NODE["memory"], step


@pytest.mark.parametrize("step", [step for step in STEPS if step != "train"])
def test_every_other_step_is_small_and_keeps_off_gpu_nodes(plain, step):
    pipeline, platform = plain
    resources = container(pipeline, step)["resources"]
    assert "accelerator" not in resources
    assert "tolerations" not in platform[step]
    (wish,) = platform[step]["nodeAffinity"]
    assert wish["weight"] == 100
    assert {"key": "nvidia.com/gpu.present", "operator": "DoesNotExist"} in wish["matchExpressions"]


@pytest.mark.parametrize("step", STEPS)
def test_every_step_runs_as_the_user_of_its_image_or_of_its_namespace(plain, step):
    """OpenShift gives each namespace a range of users, and admits no pod that names one outside of it."""
    assert plain[1][step]["securityContext"] == {"runAsNonRoot": True}


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_a_time_limit_and_retries_with_backoff(plain, step):
    pipeline, platform = plain
    assert platform[step]["activeDeadlineSeconds"] == str(TASK_LIMITS[step].hours * 3600)
    policy = tasks(pipeline)[step]["retryPolicy"]
    assert policy == {
        "maxRetryCount": TASK_LIMITS[step].retries,
        "backoffDuration": "10s",
        "backoffFactor": 3.0,
        "backoffMaxDuration": "600s",
    }


@pytest.mark.parametrize(
    ("settings", "evaluate_on", "on_gpu_image"),
    [
        ([], "cpu", set()),
        (["GPUS=0"], "gpu", set()),
        (["GPUS=1"], "cpu", {"train"}),
        (["GPUS=1"], "gpu", {"train", "evaluate"}),
    ],
)
def test_the_gpu_image_goes_to_gpu_steps_of_a_pipeline_compiled_for_gpus(settings, evaluate_on, on_gpu_image):
    pipeline, _ = compiled(*settings, evaluate_on=evaluate_on)
    assert {step for step in STEPS if f":{step}-gpu-" in container(pipeline, step)["image"]} == on_gpu_image


def test_compiled_for_jax_train_has_the_image_with_jax():
    pipeline, _ = compiled("BACKEND=jax", "GPUS=8")
    assert {step for step in STEPS if f":{step}-jax-" in container(pipeline, step)["image"]} == {"train"}


def test_compiled_for_several_nodes_train_is_a_small_step_that_has_others_train():
    """Its nodes are not this pod: the pod asks for no GPU, and tells Kubeflow Trainer which image they run."""
    asked = ("NODES=2", "GPUS=1")
    pipeline, platform = compiled(*asked, queue="team", priority="urgent")
    executor = container(pipeline, "train")
    assert executor["image"] == image("train")
    assert "accelerator" not in executor["resources"]
    assert executor["resources"]["resourceMemoryLimit"] == TASK_LIMITS["launch"].memory
    assert "tolerations" not in platform["train"] and "podMetadata" not in platform["train"]
    assert platform["train"]["activeDeadlineSeconds"] == str(TASK_LIMITS["train"].hours * 3600)
    environment = {entry["name"]: entry["value"] for entry in executor["env"]}
    assert environment == {
        IMAGE_VARIABLE: image("train", "jax"),
        LABELS_VARIABLE: "kueue.x-k8s.io/queue-name=team,kueue.x-k8s.io/priority-class=urgent",
    }
    assert dict(step_images(training(*asked)))["node"] == image(
        "train", "jax"
    )  # so that submission asks the registry for it
    assert "env" not in container(compiled("GPUS=1")[0], "train")


def test_one_file_serves_every_kind_of_gpu_and_none():
    """Only defaults differ, which a run overrides; not a line of what is executed does."""
    settings = (
        ["BACKEND=jax", "GPUS=1"],
        [
            "BACKEND=jax",
            "GPUS=8",
            'NODE_SELECTOR={"gpu": "h100"}',
            'TOLERATIONS=[{"key": "x", "operator": "Exists"}]',
        ],
        ["BACKEND=jax", "GPUS=2", "ACCELERATOR=nvidia.com/mig-1g.10gb", "TRAIN_CPU=12", "TRAIN_MEMORY=85Gi"],
    )
    files = [copy.deepcopy(compiled(*some)) for some in settings]
    for pipeline, _ in files:
        for parameter in pipeline["root"]["inputDefinitions"]["parameters"].values():
            parameter.pop("defaultValue")
    assert files[0] == files[1] == files[2]


def test_evaluation_on_request_goes_where_training_goes():
    pipeline, platform = compiled("GPUS=1", evaluate_on="gpu")
    for what in ("nodeSelector", "tolerations", "nodeAffinity", "emptyDirMounts"):
        assert platform["evaluate"][what] == platform["train"][what]
    assert container(pipeline, "evaluate")["resources"]["accelerator"]
    assert "evaluate_memory" in container(pipeline, "evaluate")["resources"]["resourceMemoryLimit"]


def test_queue_and_priority_are_kueues_labels_on_gpu_steps_only():
    _, platform = compiled("GPUS=1", queue="team", priority="urgent")
    labels = {"kueue.x-k8s.io/queue-name": "team", "kueue.x-k8s.io/priority-class": "urgent"}
    assert platform["train"]["podMetadata"]["labels"] == labels
    assert [step for step in platform if "podMetadata" in platform[step]] == ["train"]


@pytest.mark.parametrize("sweep", [None, Sweep(("seed=1", "seed=2"), ("seed",))], ids=["one", "sweep"])
@pytest.mark.parametrize("cluster", [{}, EVERYTHING])
def test_every_parameter_that_a_step_refers_to_is_given_to_its_group(cluster, sweep):
    """KFP's compiler does not see to that below an exit handler; the step would fail as it starts."""
    pipeline, platform = compiled("GPUS=1", sweep=sweep, **cluster)
    for group in groups(pipeline):
        given = set(group.get("inputDefinitions", {}).get("parameters", {}))
        for name, task in group["dag"]["tasks"].items():
            asked = set(re.findall(r"'componentInputParameter': '([^']+)'", str(task.get("inputs"))))
            asked |= set(re.findall(r"'componentInputParameter': '([^']+)'", str(platform.get(name))))
            assert asked <= given, name
            used = set(re.findall(r"parameters\['(pipelinechannel--[^']+)'\]", str(resources_of(pipeline, task))))
            assert used <= set(task.get("inputs", {}).get("parameters", {})), name


def resources_of(pipeline: dict, task: dict) -> dict:
    label = component(pipeline, task).get("executorLabel", "")
    return pipeline["deploymentSpec"]["executors"].get(label, {}).get("container", {}).get("resources", {})


def test_the_webhook_adds_nothing_when_it_is_off(plain):
    pipeline, platform = plain
    assert set(platform) == {"check", *STEPS}
    assert set(tasks(pipeline)) == {"check", *STEPS}


def test_the_webhook_tells_every_end_once_and_its_url_is_in_a_secret_only():
    pipeline, platform = compiled("GPUS=1", **EVERYTHING)
    found = tasks(pipeline)
    assert [name for name in found if "notify" in name] == ["notify"]
    told = found["notify"]
    assert told["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert told["inputs"]["parameters"] == {
        "status": {"taskFinalStatus": {"producerTask": "exit-handler-1"}},
        "run_name": {"runtimeValue": {"constant": "{{$.pipeline_job_name}}"}},
        "run_id": {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}},
    }
    assert told["cachingOptions"] == {}
    assert "retryPolicy" not in told
    store, *_, secret = platform["notify"]["secretAsEnv"]
    assert store["secretName"] == STORE_SECRET, "it reads there why a step failed"
    assert (secret["secretName"], secret["optional"]) == ("conv2d-webhook", True)
    assert {entry["secretKey"]: entry["envVar"] for entry in secret["keyToEnv"]} == SECRET_KEYS


def pods(pipeline: dict) -> int:
    """What a run makes if every step is executed: a driver for the run and for each group, two for each step."""
    executed = [task for task in tasks(pipeline).values() if "executorLabel" in component(pipeline, task)]
    within = [task for task in tasks(pipeline).values() if "dag" in component(pipeline, task)]
    return 1 + len(within) + 2 * len(executed)


def component(pipeline: dict, task: dict) -> dict:
    return pipeline["components"][task["componentRef"]["name"]]


def test_a_run_is_thirteen_pods_a_webhook_costs_three_and_a_look_at_the_source_two(plain):
    """A pod costs about ten seconds. k8s/README.md states these figures."""
    assert pods(plain[0]) == 13
    # From the cache: a driver alone, of all steps but evaluate, whose decision is always new, and export after it.
    assert pods(plain[0]) - len({"check", *STEPS} - {"evaluate", "export"}) == 9
    assert pods(compiled(webhook_secret="conv2d-webhook")[0]) == 16
    assert pods(compiled("SOURCE=gs://bucket/x.gz")[0]) == 15


def test_a_sweep_is_fourteen_pods_and_three_a_trial():
    """The run's driver, the loop's, two for each step but train; of each trial its own driver's and train's two."""
    sweep, _ = compiled(grid="learning_rate=0.001,0.003 batch_size=50,250")
    assert pods(sweep) - 2 == 14
    assert 14 + 3 * len(trial_settings(sweep)) == 26


def test_what_a_companys_own_network_takes_reaches_each_step_that_speaks_to_it():
    """An S3 of its own, a proxy, its authority's certificate: pods had no way to any of them."""
    sweep = Sweep(("seed=1", "seed=2"), ("seed",))
    _, platform = compiled("SOURCE=gs://bucket/x.gz", **EVERYTHING, sweep=sweep)
    assert set(platform) == {"check", "look", "choose", "notify", *STEPS}
    for step in set(platform) - {"check"}:
        [given], [folder] = platform[step]["configMapAsEnv"], platform[step]["configMapAsVolume"]
        store, secret, *_ = platform[step]["secretAsEnv"]
        assert store["secretName"] == STORE_SECRET
        assert {entry["configMapKey"] for entry in given["keyToEnv"]} == set(SITE_VARIABLES)
        assert {entry["secretKey"] for entry in secret["keyToEnv"]} == {*SITE_SECRETS, "HTTPS_PROXY"}
        set_here = [entry["envVar"] for one in (given, store, secret) for entry in one["keyToEnv"]]
        assert len(set_here) == len(set(set_here)), "Argo makes one of two, with both sources, which Kubernetes refuses"
        assert (given["configMapName"], secret["secretName"], folder["configMapName"]) == (SITE,) * 3
        assert [one["optional"] for one in (given, secret, folder)] == [True] * 3, "most clusters have none"
        assert folder["mountPath"] == SITE_FOLDER


def test_a_proxy_that_kubeflow_hands_on_itself_is_not_given_twice():
    """Its driver sets HTTP_PROXY and http_proxy, and Argo merges ours into it: Kubernetes refuses each step's pod."""
    _, platform = compiled("SOURCE=gs://bucket/x.gz", proxy="kubeflow")
    for step in set(platform) - {"check"}:
        given = [entry for kind in ("configMapAsEnv", "secretAsEnv") for entry in platform[step][kind]]
        names = {each["envVar"] for entry in given for each in entry["keyToEnv"]}
        assert "AWS_ENDPOINT_URL" in names and not [name for name in names if name.lower().endswith("_proxy")]


def test_with_a_registry_the_gate_decides_anew_in_every_run(plain):
    assert tasks(plain[0])["evaluate"]["cachingOptions"] == {}
    pipeline, _ = compiled("PUBLISH_URI=gs://bucket")
    assert tasks(pipeline)["evaluate"]["cachingOptions"] == {}
    assert tasks(pipeline)["train"]["cachingOptions"] == {"enableCache": True}


def test_kfp_local_gets_images_and_nothing_else():
    """Its retries would sleep, and resources that are parameters would be arguments of the step in its cache key."""
    from pipeline.training import training_pipeline

    pipeline = training_pipeline(configure("quickstart", environment={}).parameters, lambda step: f"python:{step}")
    document = pipeline.pipeline_spec
    assert not pipeline.platform_spec.platforms
    assert "retry_policy" not in str(document)
    assert "resource_cpu_limit" not in str(document)
