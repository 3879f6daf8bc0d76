"""Submission and following against a real HTTP server that speaks KFP's API, through everything that goes wrong."""

import base64
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

from components.core.errors import PipelineError
from pipeline.cluster import Endpoint, connect, find_endpoint
from pipeline.follow import Watch, follow
from pipeline.parameters import configure
from pipeline.placement_settings import ClusterOptions
from pipeline.pods import find_pods
from pipeline.registry import check_images
from pipeline.submit import prepare, submit
from tests.servers.http_api import Api
from tests.servers.kfp_api import KfpApi, Moment, error
from tests.servers.kube_api import KubeApi, kubeconfig, pod

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAST = Watch(interval=0.01, patience=0.5, stuck_after=30.0)
STEPS = ("download", "preprocess", "train", "evaluate", "export")


def tasks(*states: str) -> dict[str, str]:
    return dict(zip(STEPS, states, strict=False))


STORY = [
    Moment("PENDING"),
    Moment("RUNNING", tasks("RUNNING")),
    Moment("RUNNING", tasks("SUCCEEDED", "SUCCEEDED", "RUNNING")),
    Moment("SUCCEEDED", tasks(*["SUCCEEDED"] * 5)),
]


@pytest.fixture(autouse=True)
def bare_home(tmp_path, monkeypatch):
    """Nobody's kubeconfig, docker login or KFP settings."""
    for name in ("KFP_ENDPOINT", "KF_PIPELINES_ENDPOINT", "KFP_NAMESPACE", "KFP_EXISTING_TOKEN", "KFP_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker"))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> pathlib.Path:
    from pipeline.compiling import compile_pipeline

    path = tmp_path_factory.mktemp("compiled") / "training.yaml"
    compile_pipeline(configure("quickstart", environment={}).parameters, path)
    return path


def run(api: KfpApi, compiled, watch: Watch = FAST, pods=None, **endpoint) -> list[str]:
    """Submits and follows; returns what was said."""
    said = []
    with api.serving() as url:
        place = Endpoint(url, **endpoint)
        configuration = configure("quickstart", environment={})
        client, run_id = submit(configuration, compiled, place, patience_s=0.5, say=said.append)
        follow(client, place, run_id, watch, pods, said.append)
    return said


def test_a_run_that_succeeds_is_followed_step_by_step(compiled):
    api = KfpApi(STORY)
    said = run(api, compiled)
    assert said[1].strip().endswith("/#/runs/details/run-2")
    assert [line for line in said if line.startswith("train:")] == ["train: running", "train: succeeded, 30 s"]
    assert not [line for line in said if "driver" in line]
    assert said[-1] == "the run succeeded"
    sent = api.runs["run-2"]
    assert sent["runtime_config"]["parameters"]["epochs"] == 12
    assert sent["runtime_config"]["parameters"]["tolerations"] == []
    assert set(sent["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (Moment("FAILED", tasks("FAILED"), {"download": "exit code 1"}), "download failed: exit code 1; its log: http"),
        (Moment("FAILED", tasks("SUCCEEDED"), error="exceeded deadline"), "the run failed: exceeded deadline"),
        (Moment("FAILED"), "KFP gives no reason"),
        (Moment("CANCELED", tasks("RUNNING")), "the run was cancelled"),
        (Moment("SKIPPED"), "the run was skipped"),
    ],
)
def test_any_other_end_is_an_error_with_its_reason(compiled, last, said):
    with pytest.raises(PipelineError) as caught:
        run(KfpApi([*STORY[:2], last]), compiled)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_that_is_being_cancelled_is_followed_to_its_end(compiled):
    with pytest.raises(PipelineError, match="cancelled"):
        run(KfpApi([Moment("CANCELING"), Moment("CANCELING"), Moment("CANCELED")]), compiled)


def test_a_timeout_leaves_the_run_alone_and_says_how_to_go_on(compiled):
    api = KfpApi([Moment("RUNNING", tasks("RUNNING"))])
    with pytest.raises(PipelineError, match="within 0.05 s; it goes on; follow it with: .* follow run-2"):
        run(api, compiled, Watch(interval=0.01, patience=0.5, timeout=0.05))
    assert not [request for request in api.requests if ":terminate" in request[1]]


def test_without_a_kubeconfig_time_without_progress_means_stuck(compiled):
    api = KfpApi([Moment("RUNNING", tasks("SUCCEEDED", "PENDING"))])
    with pytest.raises(
        PipelineError, match="stuck, nothing has moved for 0.05 s: preprocess waits to start; .*kubectl"
    ):
        run(api, compiled, Watch(interval=0.01, patience=0.5, stuck_after=0.05))


def test_a_step_that_runs_long_is_not_stuck(compiled):
    api = KfpApi([Moment("RUNNING", tasks("SUCCEEDED", "SUCCEEDED", "RUNNING", "PENDING"))] * 8 + STORY[-1:])
    assert run(api, compiled, Watch(interval=0.02, patience=0.5, stuck_after=0.05))[-1] == "the run succeeded"


# What a connection may do, and the request it does it to.


@pytest.mark.parametrize(
    "fault", [error(503, 14, "upstream"), error(500, 13, "internal"), error(429, 8, "slow"), "drop"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/apis/v2beta1/healthz"), ("GET", "/apis/v2beta1/experiments"), ("GET", "/apis/v2beta1/runs/run-2")],
)
def test_failures_that_pass_are_waited_for(compiled, method, path, fault):
    api = KfpApi(STORY)
    api.faults = [(method, path, fault)]
    said = run(api, compiled)
    assert said[-1] == "the run succeeded"
    assert api.faults == []


@pytest.mark.parametrize("fault", ["drop", "drop after", error(503, 14, "upstream connect error")])
def test_a_submission_whose_answer_is_lost_starts_one_run_only(compiled, fault):
    api = KfpApi(STORY)
    api.faults = [("POST", "/apis/v2beta1/runs", fault)]
    assert run(api, compiled)[-1] == "the run succeeded"
    assert len(api.runs) == 1
    assert api.faults == []


def test_a_server_that_falls_silent_is_not_waited_for_for_ever(compiled, monkeypatch):
    monkeypatch.setattr("pipeline.cluster.TIMEOUT_S", (5, 0.2))
    api = KfpApi(STORY)
    api.faults = [("GET", "/apis/v2beta1/runs/run-2", "stall"), ("POST", "/apis/v2beta1/runs", "stall")]
    said = run(api, compiled, Watch(interval=0.01, patience=5.0))
    assert said[-1] == "the run succeeded"
    assert api.faults == []


def test_a_connection_that_stays_lost_leaves_the_run_alone(compiled):
    api = KfpApi([Moment("RUNNING")])
    api.faults = [("GET", "/apis/v2beta1/runs/run-2", "drop")] * 100
    said = []
    with api.serving() as url:
        place = Endpoint(url)
        client, run_id = submit(configure(environment={}), compiled, place, patience_s=0.5, say=said.append)
        with pytest.raises(PipelineError) as caught:
            follow(client, place, run_id, Watch(0.01, patience=0.2), None, said.append)
    assert f"the run, if there is one, goes on; follow it with: python -m pipeline follow {run_id}" in str(caught.value)
    assert len([line for line in said if line.startswith("lost the connection")]) == 1


def test_a_token_that_expires_meanwhile_is_told(compiled):
    api = KfpApi([Moment("RUNNING")])
    api.faults = [("GET", "/apis/v2beta1/runs/run-2", error(401, 16, "token is expired"))]
    with pytest.raises(PipelineError, match="token: missing, wrong or expired.*goes on"):
        run(api, compiled)


# What KFP refuses.


@pytest.mark.parametrize(
    ("path", "fault", "said"),
    [
        ("/apis/v2beta1/runs", error(403, 7, "User 'ana' is not authorized"), "no permission in the default namespace"),
        ("/apis/v2beta1/runs", error(500, 13, 'workflows "x" is forbidden: exceeded quota: team'), "quota .* used up"),
        ("/apis/v2beta1/runs", error(403, 7, "exceeded quota: count/workflows=5"), "quota .* is used up"),
        ("/apis/v2beta1/experiments", error(404, 5, 'namespaces "nope" not found'), "give the namespace of your"),
        ("/apis/v2beta1/experiments", error(400, 3, "An experiment cannot have an empty namespace in multi-user mode"),
         "give the namespace"),
        ("/apis/v2beta1/experiments", error(500, 13, "Unauthenticated: no user identity header"), "KFP_EXISTING_TOKEN"),
        ("/apis/v2beta1/runs", error(400, 3, "unknown field \\nin spec"), "400: unknown field"),
        ("/apis/v2beta1/runs", (502, "<html><body>Bad gateway</body></html>"), "502: a web page"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_clear_line_and_not_tried_again(compiled, path, fault, said):
    api = KfpApi(STORY)
    lasting = fault[0] == 502
    api.faults = [("POST", path, fault)] * (100 if lasting else 1)
    with pytest.raises(PipelineError, match=said) as caught:
        run(api, compiled)
    assert "\n" not in str(caught.value)
    assert api.runs == {}
    assert lasting or api.count("POST", path) == 1


def test_a_namespace_that_is_not_ones_own(compiled):
    with pytest.raises(PipelineError, match="no permission in namespace theirs: .*; ask for"):
        run(KfpApi(STORY, namespaces=("mine",)), compiled, namespace="theirs")


def test_kubeflows_own_namespace_is_none_to_a_kfp_of_one_user(compiled):
    assert run(KfpApi(STORY), compiled, namespace="kubeflow")[-1] == "the run succeeded"


def test_a_namespace_on_a_kfp_of_one_user(compiled):
    with pytest.raises(PipelineError, match="has one user and no namespaces: leave out --namespace"):
        run(KfpApi(STORY), compiled, namespace="mine")


def test_the_token_is_sent_and_said_nowhere(compiled, capfd):
    api = KfpApi(STORY, token="s3cret-t0ken")
    said = run(api, compiled, token="s3cret-t0ken")
    assert said[-1] == "the run succeeded"
    with pytest.raises(PipelineError, match="does not accept the token") as caught:
        run(KfpApi(STORY, token="other"), compiled, token="s3cret-t0ken")
    everything = (
        "".join(capfd.readouterr()) + "".join(said) + str(caught.value) + repr(Endpoint("http://x", token="s3cret"))
    )
    assert "s3cret" not in everything
    assert "s3cret" not in compiled.read_text()


class LoginPage(Api):
    def handle(self, *request):
        return 200, "<html><form action=/login></form></html>"


def test_an_endpoint_that_is_not_kfp():
    with LoginPage().serving() as url, pytest.raises(PipelineError, match="something else, such as a login page"):
        connect(Endpoint(url), 0.2)


def test_an_endpoint_where_nothing_is():
    with LoginPage().serving() as url:
        pass
    with pytest.raises(PipelineError, match="no answer: .*refused; is it the right endpoint") as caught:
        connect(Endpoint(url), 0.2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:8080", "expected an endpoint such as"),
        ("ftp://kfp", "expected an endpoint such as"),
        ("http://", "expected an endpoint such as"),
        ("https://me:pass@kfp.example", "without credentials"),
        ("", "found no endpoint and no kubeconfig"),
    ],
)
def test_an_endpoint_that_can_not_be(tmp_path, url, said):
    with pytest.raises(PipelineError, match=said) as caught:
        find_endpoint(url, environment={"KUBECONFIG": str(tmp_path / "none")})
    assert "pass" not in str(caught.value).replace("password", "")


def test_the_endpoint_comes_from_the_option_then_the_environment():
    environment = {
        "KFP_ENDPOINT": "http://b/",
        "KF_PIPELINES_ENDPOINT": "http://c",
        "KFP_NAMESPACE": "n",
        "KFP_TOKEN": "t",
    }
    assert find_endpoint("http://a", "m", environment) == Endpoint("http://a", "m", "t")
    assert find_endpoint(environment=environment) == Endpoint("http://b", "n", "t")


# What can be known before anything is sent.


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["GPUS=two"], "gpus: "),
        (["GPUS=auto"], "gpus: expected a number on a cluster"),
        (["GPUS=-1"], "gpus: "),
        (['TOLERATIONS=[{"key": "a"'], "tolerations: expected JSON"),
        (['TOLERATIONS=[{"key": "a", "operater": "Exists"}]'], "did you mean 'operator'"),
        (['TOLERATIONS=[{"key": "a", "operator": "Exists", "value": "b"}]'], "tolerations: "),
        (['TOLERATIONS=[{"key": "a", "effect": "NoShedule"}]'], "tolerations: expected effect"),
        (["TOLERATIONS=7"], "tolerations: "),
        (['NODE_SELECTOR={"pool": 3}'], "node_selector"),
        (['NODE_SELECTOR={"po ol": "x"}'], "node_selector: "),
        (['NODE_AFFINITY={"required": {}}'], "node_affinity: unknown key"),
        (["ACCELERATOR=gpu"], "accelerator: expected a resource such as"),
        (["TRAIN_MEMORY=lots"], "train_memory: "),
        (["SOURCE=/tmp/pictures", "DATASET=image_folder"], "a path on this machine"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_sent(settings, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError) as caught:
        prepare(configure("quickstart", settings, {}), ClusterOptions())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "option", [{"webhook_secret": "https://hooks.example/T0/B0"}, {"queue": "a b"}, {"priority": "x/"}]
)
def test_bad_options_are_refused(option):
    with pytest.raises(PipelineError, match="expected "):
        ClusterOptions(**option)


class Registry(Api):
    """Has what is in `there`; with `token`, hands one out and wants it back."""

    def __init__(self, there: set[str], guarded: str = ""):
        super().__init__()
        self.there, self.guarded, self.url = there, guarded, ""

    def handle(self, method, path, query, body, headers):
        if path == "/token":
            assert query["scope"] == "repository:team/conv2d:pull"
            return (200, {"token": "abc"}) if self.guarded == "anonymous" else (401, {})
        if self.guarded and headers.get("Authorization") != "Bearer abc":
            return 401, ({}, {"WWW-Authenticate": f'Bearer realm="{self.url}/token",service="r"'})
        assert method == "HEAD"
        assert "oci.image.index" in headers["Accept"]
        return (200, {}) if path.rpartition("/")[2] in self.there else (404, {})


@pytest.mark.parametrize("guarded", ["", "anonymous"])
def test_images_are_looked_up_in_their_registry(guarded):
    registry = Registry({"train-1", "export-1"}, guarded)
    with registry.serving() as registry.url:
        name = f"{registry.url.removeprefix('http://')}/team/conv2d"
        assert check_images([f"{name}:train-1", f"{name}:export-1"]) == []
        with pytest.raises(
            PipelineError, match="expected the registry to have .*:train-2, it has not; try make images"
        ):
            check_images([f"{name}:train-2", f"{name}:export-1"])


def test_a_login_with_dockers_credential_helper_is_used(tmp_path, monkeypatch):
    helper = tmp_path / "bin" / "docker-credential-teamstore"
    helper.parent.mkdir()
    helper.write_text('#!/bin/sh\nread host\nprintf \'{"Username": "ana", "Secret": "%s"}\' "${host%:*}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}{os.pathsep}{os.environ['PATH']}")

    class Basic(Api):
        def handle(self, method, path, query, body, headers):
            return (200, {}) if headers.get("Authorization") else (401, ({}, {"WWW-Authenticate": 'Basic realm="r"'}))

    registry = Basic()
    with registry.serving() as url:
        host = url.removeprefix("http://")
        (tmp_path / "no-docker").mkdir()
        (tmp_path / "no-docker" / "config.json").write_text(f'{{"credHelpers": {{"{host}": "teamstore"}}}}')
        assert check_images([f"{host}/team/conv2d:train-1"]) == []
    assert registry.authorizations[-1] == f"Basic {base64.b64encode(b'ana:127.0.0.1').decode()}"


def test_a_registry_that_can_not_be_asked_is_a_note():
    registry = Registry({"train-1"}, "private")
    with registry.serving() as registry.url:
        name = f"{registry.url.removeprefix('http://')}/team/conv2d"
        assert "wants credentials" in check_images([f"{name}:train-1"])[0]
    assert "does not answer here" in check_images([f"{name}:train-1"])[0]
    assert "name no registry" in check_images(["conv2d-pipeline:train-1"])[0]


# What Kubernetes adds, where a kubeconfig lets us ask.


@pytest.fixture
def kube(tmp_path, monkeypatch):
    api = KubeApi()
    with api.serving() as url:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "kubeconfig", url)))
        # The client reads KUBECONFIG once, when it is imported.
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
        yield api


@pytest.mark.parametrize(
    ("stuck", "said"),
    [
        (
            pod("train", "Pending", ("ImagePullBackOff", 'Back-off pulling image "x"')),
            "train: ImagePullBackOff: Back-off",
        ),
        (pod("train", "Pending", unschedulable="0/3 nodes: 3 Insufficient nvidia.com/gpu"), "Unschedulable: 0/3 nodes"),
    ],
)
def test_why_a_step_can_not_start_is_said_at_once_and_ends_the_wait(compiled, kube, stuck, said):
    kube.pods = [stuck]
    lines = []
    api = KfpApi([Moment("RUNNING", tasks("SUCCEEDED", "SUCCEEDED", "PENDING"))])
    with api.serving() as url:
        place = Endpoint(url)
        client, run_id = submit(configure(environment={}), compiled, place, patience_s=0.5, say=lines.append)
        with pytest.raises(PipelineError) as caught:
            follow(client, place, run_id, Watch(0.01, 0.5, 0.05), find_pods(run_id, ""), lines.append)
    assert said in str(caught.value)
    assert len([line for line in lines if line.startswith("can't start")]) == 1


def test_a_quota_that_keeps_pods_from_being_made_is_seen_in_the_workflow(kube):
    nodes = {
        "a": {
            "type": "Pod",
            "phase": "Pending",
            "name": "training-x.root.train.executor(0)",
            "message": "exceeded quota",
        }
    }
    kube.objects["/apis/argoproj.io/v1alpha1/namespaces/mine/workflows"] = {"items": [{"status": {"nodes": nodes}}]}
    assert [str(trouble) for trouble in find_pods("run-2", "mine").troubles()] == ["train: not created: exceeded quota"]
    assert kube.requests[-1][2]["labelSelector"] == "pipeline/runid=run-2"


def test_log_lines_come_once_each_and_the_steps_own_error_is_the_cause(compiled, kube):
    kube.pods = [pod("train", "Running")]
    name = kube.pods[0]["metadata"]["name"]
    kube.logs[name] = (
        "2026-01-01T00:00:01.1Z epoch 1/2\n2026-01-01T00:00:01.2Z epoch 2/2\n"
        "2026-01-01T00:00:01.3Z error: loss is not finite at step 7; try a lower learning_rate\n"
    )
    failed = Moment("FAILED", tasks("SUCCEEDED", "SUCCEEDED", "FAILED"), {"train": "main: Error (exit code 1)"})
    api, lines = KfpApi([*STORY[:3], failed]), []
    with api.serving() as url:
        place = Endpoint(url)
        client, run_id = submit(configure(environment={}), compiled, place, patience_s=0.5, say=lines.append)
        with pytest.raises(PipelineError, match="^train failed: loss is not finite at step 7; try .*; its log: http"):
            follow(client, place, run_id, FAST, find_pods(run_id, ""), lines.append)
    assert lines.count("  train: epoch 2/2") == 1


def test_no_access_to_pods_is_no_error(kube):
    kube.forbidden.add("/api/v1/namespaces/kubeflow/pods")
    assert find_pods("run-2", "") is None


# The commands as people type them.


def typed(arguments: list[str], tmp_path: pathlib.Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), **environment},
        timeout=120,
    )


def test_the_submit_command_exits_0_only_on_success(tmp_path):
    for moments, code in ((STORY, 0), ([Moment("CANCELED")], 1)):
        with KfpApi(moments).serving() as url:
            done = typed(["-m", "pipeline", "submit", "--endpoint", url, "--interval", "0.01", "EPOCHS=2"], tmp_path)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert f"{url}/#/runs/details/run-2" in done.stdout
    assert done.stderr == "error: the run was cancelled\n"


def test_kfps_own_command_takes_the_same_file(compiled, tmp_path):
    api = KfpApi(STORY)
    for verb in ("create", "submit"):
        with api.serving() as url:
            kfp = str(pathlib.Path(sys.executable).with_name("kfp"))
            arguments = [kfp, "--endpoint", url, "run", verb, "-e", "conv2d", "-f", str(compiled)]
            done = typed([*arguments, "epochs=10", 'gpus="1"', 'tolerations=[{"operator": "Exists"}]'], tmp_path)
        assert done.returncode == 0, done.stderr
    given = [entry["runtime_config"]["parameters"] for entry in api.runs.values()]
    assert given == [{"epochs": 10, "gpus": "1", "tolerations": [{"operator": "Exists"}]}] * 2
    documents = list(yaml.safe_load_all(compiled.read_text()))
    assert len(documents) == 2
