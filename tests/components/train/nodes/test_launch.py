"""The train step of a training on several nodes, against a server that speaks Kubernetes' and Trainer's API."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from components.core.errors import PipelineError
from components.train.nodes.job import Job
from components.train.nodes.kube import Kube, in_cluster
from components.train.nodes.launch import is_for_nodes
from components.train.nodes.train_job import IMAGE_VARIABLE, LABELS_VARIABLE, Nodes, job_name, train_job
from components.train.settings import TrainSettings
from tests.components.train.nodes.conftest import IMAGE, RUNTIME
from tests.servers.mlflow_api import MLflowApi
from tests.servers.trainer_api import ROOT, TRAINER, Scene, TrainerApi, node_pod


def test_the_train_job_is_one_to_trainer(api: TrainerApi, launch, monkeypatch: pytest.MonkeyPatch) -> None:
    models = pytest.importorskip("kubeflow_trainer_api.models")
    monkeypatch.setenv(LABELS_VARIABLE, "kueue.x-k8s.io/queue-name=team,kueue.x-k8s.io/priority-class=high")
    api.story = [Scene("Complete")]
    assert launch(gpus="4", nodes=3).images_per_second == 1000
    (job,) = api.created()
    assert models.TrainerV1alpha1TrainJob.from_dict(job).to_dict() == job  # its models drop what they don't know
    spec = job["spec"]
    assert spec["runtimeRef"] == {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": "conv2d-jax"}
    assert (spec["trainer"]["image"], spec["trainer"]["numNodes"]) == (IMAGE, 3)
    container = RUNTIME["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"][
        "containers"
    ][0]
    # What a TrainJob says of resources replaces what the runtime says.
    resources = spec["trainer"]["resourcesPerNode"]
    assert resources["requests"] == container["resources"]["requests"]
    assert resources["limits"] == container["resources"]["limits"] | {"nvidia.com/gpu": "4"}
    assert job["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Pod", "name": "step-pod", "uid": "42"}]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    told = Job.model_validate_json(spec["trainer"]["args"][0])
    assert told.checked_settings.gpus == "4"
    assert told.checked_settings.checkpoints == f"{launch.bucket}/train/model.work/checkpoints"


def test_a_steps_label_is_the_same_at_every_try_and_no_other_steps() -> None:
    labels = {job_name(Job(settings={}, dataset="gs://b/d", work=f"gs://b/{run}/model.work")) for run in "aab"}
    assert len(labels) == 2
    # Without GPUs the resources are the runtime's own.
    job = train_job(Job(settings={"gpus": "0"}, dataset="", work=""), Nodes(2, IMAGE, {}), RUNTIME)
    assert len(job["metadata"]["name"]) <= 40
    assert "resourcesPerNode" not in job["spec"]["trainer"]


def test_reasons_and_the_log_are_shown_once(api: TrainerApi, launch, capfd: pytest.CaptureFixture) -> None:
    waiting = node_pod(1, "Pending", unschedulable="0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    running = (node_pod(0, "Running"), node_pod(1, "Running"))
    api.logs = {"job-node-0-0": "train 10 parameters\nepoch 1/1  loss 1.0"}
    api.story = [
        Scene(), Scene(pods=(node_pod(0, "Running"), waiting)), Scene(pods=(node_pod(0, "Running"), waiting)),
        Scene(pods=running), Scene(pods=running), Scene("Complete", pods=running),
    ]  # fmt: skip
    launch()
    said = capfd.readouterr().out.splitlines()
    assert said[0].startswith("TrainJob conv2d-") and IMAGE in said[0]
    assert said[1:] == [
        "0 of 2 nodes have started",
        "train 10 parameters",
        "epoch 1/1  loss 1.0",
        "1 of 2 nodes have started; node 1: Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        "2 of 2 nodes have started",
    ]


def test_a_store_that_keeps_what_it_has_costs_no_model(api, launch, gcs, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setattr(gcs.server.state, "kept", {gcs.uri.split("/")[2]})
    api.story = [Scene("Complete")]
    assert launch().images_per_second == 1000
    assert (tmp_path / "model" / "training.json").exists()
    assert "note: what the nodes left each other stays in gs://" in capfd.readouterr().out


def test_the_curves_go_to_mlflow_by_the_step_whose_run_it_is(api: TrainerApi, launch, monkeypatch) -> None:
    mlflow = MLflowApi("0a1b")
    api.story = [Scene("Complete")]
    with mlflow.serving() as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        monkeypatch.setenv("MLFLOW_RUN_ID", "0a1b")
        launch()
    assert mlflow.curve("0a1b", "epoch/loss") == {1: 1.0}


def test_a_step_that_was_killed_finds_its_train_job_again(api: TrainerApi, launch) -> None:
    api.story = [Scene("Complete")]
    launch()
    (job,) = api.created()
    name = job["metadata"]["name"]

    api.jobs[name] = job  # as it was when the step was killed
    launch()
    assert len(api.created()) == 1

    api.jobs[name] = job  # it failed meanwhile
    api.story = [Scene("Failed", "a node was taken away"), Scene(), Scene("Complete")]
    launch()
    assert len(api.created()) == 2


def test_someone_elses_hand_is_told(api: TrainerApi, launch, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = api._trainer

    def answer_without_the_job_from_the_second_look(method: str, parts: list[str], *rest) -> tuple:
        if method == "GET" and parts[0] == "trainjobs" and len(api.story) == 1:
            api.jobs.clear()
        return answer(method, parts, *rest)

    monkeypatch.setattr(api, "_trainer", answer_without_the_job_from_the_second_look)
    api.story = [Scene(), Scene()]
    with pytest.raises(PipelineError, match="the TrainJob conv2d-[0-9a-f-]+ is gone: somebody deleted it"):
        launch()


def test_a_train_job_that_goes_with_the_pod_of_an_earlier_try_is_made_anew(
    api: TrainerApi, launch, monkeypatch
) -> None:
    """Kubernetes clears it away with the pod that made it, which may be while the next try follows it already."""
    api.story = [Scene("Complete")]
    launch()
    (job,) = api.created()
    name, answer = job["metadata"]["name"], api._trainer

    def answer_without_it(method: str, parts: list[str], *rest) -> tuple:
        if parts == ["trainjobs", name]:
            api.jobs.pop(name, None)
        return answer(method, parts, *rest)

    api.jobs[name] = job
    monkeypatch.setattr(api, "_trainer", answer_without_it)
    api.story = [Scene(), Scene("Complete")]
    launch()
    assert len(api.created()) == 2


def test_a_stumbling_api_is_asked_again(api: TrainerApi, launch) -> None:
    path = f"{TRAINER}/trainjobs"
    api.faults = [
        ("POST", path, "drop after"),
        ("GET", path, "drop"),
        ("GET", path, (503, "overloaded")),
        ("GET", path, (429, "later")),
    ]
    api.story = [Scene(), Scene("Complete")]
    launch()
    assert api.faults == []
    assert len(api.deleted) == 1


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            lambda api: api.forbidden.add(f"{TRAINER}/trainjobs"),
            "SERVICE_ACCOUNT=conv2d-runner, and give it the rights",
        ),
        (lambda api: api.missing.add("/apis/trainer.kubeflow.org"), "expected Kubeflow Trainer 2 in the cluster"),
        (
            lambda api: setattr(api, "runtime", None),
            "expected the TrainingRuntime conv2d-jax, received: conv2d-jax not",
        ),
        (
            lambda api: setattr(api, "denied", 'admission webhook "v.trainer" denied the request: bad'),
            'take a TrainJob, received: 403 admission webhook "v.trainer" denied the request: bad',
        ),
    ],
    ids=["no rights", "no Trainer", "no runtime", "refused"],
)
def test_a_cluster_that_is_not_ready_is_explained(api: TrainerApi, launch, broken, said: str) -> None:
    broken(api)
    with pytest.raises(PipelineError, match=r"^[^\n]*$") as refused:
        launch()
    assert said in str(refused.value)


def test_an_api_that_is_away_is_told(api: TrainerApi, launch) -> None:
    api.faults = [("GET", "/", "drop")] * 1000
    with pytest.raises(PipelineError, match="expected the Kubernetes API at http://127.0.0.1:.* to answer"):
        launch(patience_s=0.3)


def test_sigterm_takes_the_train_job_away(api: TrainerApi, gcs, tmp_path: pathlib.Path) -> None:
    code = (
        "import pathlib, sys\n"
        "from components.core.errors import one_line_errors\n"
        "from components.train.nodes.kube import Kube\n"
        "from components.train.nodes.launch import train_on_nodes\n"
        "from components.train.settings import TrainSettings\n"
        "url, bucket, path = sys.argv[1:]\n"
        "with one_line_errors():\n"
        "    train_on_nodes(TrainSettings(nodes=2), f'{bucket}/d', f'{path}/m', f'{bucket}/m', f'{path}/t',\n"
        "                   f'{bucket}/t', Kube(url, 'kubeflow', pathlib.Path(path)), 0.01)\n"
    )
    command = [sys.executable, "-c", code, api.url, gcs.uri, str(tmp_path)]
    step = subprocess.Popen(
        command, env=os.environ, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while "nodes have started" not in step.stdout.readline():
        assert step.poll() is None, step.stderr.read()
    step.send_signal(signal.SIGTERM)
    _, errors = step.communicate(timeout=60)
    assert (step.returncode, errors.splitlines()[-1][:19]) == (1, "error: ended from o")
    assert (api.jobs, len(api.deleted)) == ({}, 1)


def test_what_can_be_known_at_once_is_refused(api: TrainerApi, launch, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PipelineError, match="gpus: expected the number of GPUs of each node, received 'auto'"):
        launch(gpus="auto")
    assert is_for_nodes(TrainSettings())  # with one node too: its pod has no GPU and little memory
    monkeypatch.delenv(IMAGE_VARIABLE)
    assert not is_for_nodes(TrainSettings())
    with pytest.raises(PipelineError, match="expected a pipeline compiled for several nodes, .*NODES=2"):
        launch()
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(PipelineError, match="nodes: several nodes need a Kubernetes cluster"):
        in_cluster()
    assert api.created() == []


def test_inside_a_cluster_the_pods_own_identity_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    with pytest.raises(PipelineError, match="expected this pod's service account"):
        in_cluster(tmp_path)
    (tmp_path / "namespace").write_text("team-a\n")
    kube = in_cluster(tmp_path)
    assert (kube.url, kube.namespace) == ("https://10.0.0.1:6443", "team-a")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    assert in_cluster(tmp_path).url == "https://[fd00::1]:6443"


def test_the_token_goes_with_each_request_as_it_is_then(api: TrainerApi, tmp_path: pathlib.Path, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # a company's, which leads to no API server
    kube = Kube(api.url, "kubeflow", tmp_path)
    for token in ("first", "second"):
        (tmp_path / "token").write_text(f"{token}\n")
        kube.get("/api/v1", "pods")
    assert api.authorizations == ["Bearer first", "Bearer second"]
    kube.delete("/apis/trainer.kubeflow.org/v1alpha1", "trainjobs/gone")  # as somebody may have been first
    assert api.requests[-1][2] == {"propagationPolicy": "Foreground"}, "else new nodes come before the old ones' GPUs"
