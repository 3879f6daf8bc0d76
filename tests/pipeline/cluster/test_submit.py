"""Submission against a real HTTP server that speaks KFP's API: what it refuses, and what is refused before."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.cluster.compile import LARGEST_TRIALS
from pipeline.cluster.kubeflow import Endpoint, connect, find_endpoint
from pipeline.cluster.submit import prepared
from pipeline.commands.main import main
from pipeline.parameters.cluster_options import ClusterOptions
from pipeline.parameters.sweep import Sweep
from tests.pipeline.cluster.submitting import STORY, run
from tests.pipeline.pipelines import training
from tests.servers.http_api import Api
from tests.servers.kfp_api import KfpApi, error
from tests.servers.kfp_runs import Moment

pytestmark = pytest.mark.usefixtures("bare_home")


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
        ("/apis/v2beta1/runs", (405, "<html>Für Sie gesperrt</html>".encode("latin-1")), "405: a web page"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_clear_line_and_not_tried_again(quickstart_compiled, path, fault, said):
    api = KfpApi(STORY)
    lasting = fault[0] == 502
    api.faults = [("POST", path, fault)] * (1000 if lasting else 1)
    with pytest.raises(PipelineError, match=said):
        run(api, quickstart_compiled, patience_s=0.5 if lasting else Endpoint.patience_s)
    assert api.runs == {}
    assert lasting or api.count("POST", path) == 1


def test_a_namespace_that_is_not_ones_own(quickstart_compiled):
    with pytest.raises(PipelineError, match="no permission in namespace theirs: .*; ask for"):
        run(KfpApi(STORY, namespaces=("mine",)), quickstart_compiled, namespace="theirs")


def test_the_token_is_sent_and_said_nowhere(quickstart_compiled, capfd):
    api = KfpApi(STORY, token="s3cret-t0ken")
    said = run(api, quickstart_compiled, token="s3cret-t0ken")
    assert said[-1] == "the run succeeded"
    with pytest.raises(PipelineError, match="does not accept the token") as caught:
        run(KfpApi(STORY, token="other"), quickstart_compiled, token="s3cret-t0ken")
    everything = (
        "".join(capfd.readouterr()) + "".join(said) + str(caught.value) + repr(Endpoint("http://x", token="s3cret"))
    )
    assert "s3cret" not in everything
    assert "s3cret" not in quickstart_compiled.read_text()


class LoginPage(Api):
    def handle(self, *request):
        return 200, "<html><form action=/login></form></html>"


def test_an_endpoint_that_is_not_kfp():
    with LoginPage().serving() as url, pytest.raises(PipelineError, match="something else, such as a login page"):
        connect(Endpoint(url))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:8080", "expected an endpoint such as"),
        ("ftp://kfp", "expected an endpoint such as"),
        ("http://", "expected an endpoint such as"),
        ("https://me:pass@kfp.example", "without credentials"),
        ("", "a kubeconfig, received neither"),
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
        "KFP_TOKEN": "t\n",  # as a file has it
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
        (
            ["NODES=2", "GPUS=1", "ACCELERATOR=nvidia.com/mig-1g.10gb"],
            "accelerator: expected nvidia.com/gpu of several",
        ),
        (["TRAIN_MEMORY=lots"], "train_memory: "),
        (["SOURCE=/tmp/pictures", "DATASET=image_folder"], "a path on this machine"),
        (
            ['SOURCE=["gs://abc/b", "/tmp/b"]'],
            "source: expected a URI that the cluster's pods can fetch, received '/tmp/b'",
        ),
        (
            ["SOURCE=gs://abc/b", "LABELS=l.csv"],
            "labels: expected a URI that the cluster's pods can fetch, received 'l.csv'",
        ),
        (
            ["SOURCE=https://me:s3cret@host/b.zip"],
            "source: expected a URL without a user, password or signature, as a pipeline is read by all who may see "
            "its runs, received one for https://host/b.zip; ",
        ),
        (["SOURCE=https://ghp_s3cret@host/b.zip"], "received one for https://host/b.zip; "),
        (["SOURCE=HTTPS://host/b.zip?X-Amz-Date=1&X-Amz-Signature=s3cret"], "received one for https://host/b.zip; "),
        (
            ["SOURCE=https://host/b.zip", "LABELS=https://s3cret:@host/b.csv"],
            "labels: expected a URL without a user, password or signature",
        ),
        (["PUBLISH_URI=/tmp/registry"], "publish_uri: expected a place that the cluster's pods can reach"),
        (["CHECKPOINTS=ckpt"], "checkpoints: expected a place that the cluster's pods can reach"),
        (["TENSORBOARD_URI=file:///boards"], "tensorboard_uri: "),
        (["MIRROR=~/mirror"], "mirror: "),
        (["PUBLISH_URI=s3:bucket/models"], "expected s3://, received"),
        # In a container's arguments Kubernetes makes gs://bucket/a$b of the first, and an address of the other.
        (["PUBLISH_URI=gs://bucket/a$$b"], "publish_uri: expected a value without $$ and $(, "),
        (["SOURCE_VERSION=$(KUBERNETES_SERVICE_HOST)"], "source_version: expected a value without $$ and $(, "),
        (
            [f"SOURCE={json.dumps([f'gs://bucket/{number}' for number in range(1000)])}"],
            "source: expected parameters of at most 20,000 bytes in all",
        ),
    ],
)
def test_bad_settings_are_refused_before_anything_is_sent(settings, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError) as caught, prepared(training(*settings)):
        pass
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_more_trials_than_a_driver_takes_are_refused(tmp_path, monkeypatch):
    """Linux takes no longer argument, and the root's driver is given them all in one; Argo takes 1 MiB of state."""
    monkeypatch.chdir(tmp_path)
    short = Sweep(tuple(f"seed={seed}" for seed in range(51)), ("seed",))
    with pytest.raises(PipelineError, match="grid: expected at most 50 trials"), prepared(training(sweep=short), False):
        pass
    layers = (json.dumps([{"Dense": {"units": units}}] * 120) for units in range(50))
    many = Sweep(tuple(f"architecture={one} seed=1" for one in layers), ("seed",))
    said = "grid: expected trials of at most .* in 50; give TRIALS= of them"
    with pytest.raises(PipelineError, match=said), prepared(training(sweep=many), check=False):
        pass
    few = Sweep(many.trials[:20], many.names)
    with prepared(training(sweep=few), check=False) as compiled:
        root = next(yaml.load_all(compiled.read_text(), yaml.CSafeLoader))["root"]
    assert LARGEST_TRIALS * 0.5 < len(json.dumps(root)) < 128 * 1024


@pytest.mark.parametrize(
    "option", [{"webhook_secret": "https://hooks.example/T0/B0"}, {"queue": "a b"}, {"priority": "x/"}]
)
def test_bad_options_are_refused(option):
    with pytest.raises(PipelineError, match="expected "):
        ClusterOptions(**option)


def test_submissions_at_once_share_no_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONV2D_IMAGE_REPOSITORY", raising=False)
    one, other = (training(f"EPOCHS={epochs}") for epochs in (37, 41))
    asked = "note: the images (conv2d-pipeline:check-"  # which name no registry
    with prepared(one) as first:
        assert asked in capsys.readouterr().out
        with prepared(other, check=False) as second:
            assert asked not in capsys.readouterr().out
            assert first != second
            assert not (tmp_path / "build/training.yaml").exists()
            texts = [path.read_text() for path in (first, second)]
            assert ["defaultValue: 37.0" in text for text in texts] == [True, False]
    assert (tmp_path / "build/training.yaml").read_text() == texts[0]
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["training.yaml"]


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
    where = ["--interval", "0.01", "--experiment", "ours", "--service-account", "conv2d-runner"]
    for moments, code in ((STORY, 0), ([Moment("CANCELED")], 1)):
        api = KfpApi(moments)
        with api.serving() as url:
            done = typed(["-m", "pipeline", "submit", "--endpoint", url, *where, "EPOCHS=2"], tmp_path)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert f"{url}/#/runs/details/run-2" in done.stdout
        assert api.runs["run-2"]["service_account"] == "conv2d-runner"
        assert [experiment["display_name"] for experiment in api.experiments.values()] == ["ours"]
    assert done.stderr == "error: the run was cancelled\n"


@pytest.mark.parametrize(
    "at, said",
    [("GET /apis/v2beta1/runs/", "no longer followed; the run goes on: "), ("POST /apis/v2beta1/runs", "interrupted ")],
)
def test_an_interrupt_says_that_a_run_may_be_there(tmp_path, monkeypatch, at, said):
    """`Aborted!` was all that was said."""
    monkeypatch.chdir(tmp_path)
    api = KfpApi([Moment("RUNNING")])

    def interrupted(method, path):
        if f"{method} {path}".startswith(at):
            signal.raise_signal(signal.SIGINT)

    api.before = interrupted
    with api.serving() as url:
        done = CliRunner().invoke(main, ["submit", "--endpoint", url, "--no-check-images"])
    assert str(done.exception).startswith(said)


def test_kfps_own_command_takes_the_same_file(quickstart_compiled, tmp_path):
    api = KfpApi(STORY)
    for verb in ("create", "submit"):
        with api.serving() as url:
            kfp = str(pathlib.Path(sys.executable).with_name("kfp"))
            arguments = [kfp, "--endpoint", url, "run", verb, "-e", "conv2d", "-f", str(quickstart_compiled)]
            done = typed([*arguments, "epochs=10", 'gpus="1"', 'tolerations=[{"operator": "Exists"}]'], tmp_path)
        assert done.returncode == 0, done.stderr
    given = [entry["runtime_config"]["parameters"] for entry in api.runs.values()]
    assert given == [{"epochs": 10, "gpus": "1", "tolerations": [{"operator": "Exists"}]}] * 2
    documents = list(yaml.load_all(quickstart_compiled.read_text(), yaml.CSafeLoader))
    assert len(documents) == 2
