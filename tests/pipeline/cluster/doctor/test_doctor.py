"""The doctor against real small servers, with parts there, wrong and missing: this machine, stores, Kubeflow."""

import dataclasses
import json
import re
import socket

import pytest
from click.testing import CliRunner

from pipeline.cluster.doctor import kubeflow as kubeflow_checks
from pipeline.cluster.doctor import machine, stores
from pipeline.cluster.doctor.check import Check, Setup
from pipeline.cluster.doctor.examine import examine, guarded, show
from pipeline.commands.main import main
from tests.pipeline.cluster.doctor.cluster import TOLERATION
from tests.servers.http_api import Api
from tests.servers.kfp_api import KfpApi
from tests.servers.model_registry import ModelRegistry


def test_it_works_with_everything_missing_and_each_failure_has_a_fix(capsys):
    with socket.socket() as bound:  # and never listens
        bound.bind(("127.0.0.1", 0))
        found = list(examine(Setup(url=f"http://127.0.0.1:{bound.getsockname()[1]}")))
    names = {check.name: check for check in found}
    assert len(names) == len(found) >= 20
    assert names["cluster"].state == "failed"
    assert names["tolerations"].state == "skipped"
    assert all(check.fix for check in found if check.state in ("failed", "warning"))
    show(found, as_json=True)
    assert json.loads(capsys.readouterr().out) == [dataclasses.asdict(check) for check in found]
    show(found, as_json=False)
    printed = capsys.readouterr().out
    assert "checks failed" in printed
    assert re.search(r"FAILED +kubeflow pipelines +expected Kubeflow Pipelines at .*, no answer", printed)


def test_without_a_cluster_what_is_local_is_checked_and_passes(tmp_path):
    ended = CliRunner().invoke(main, ["doctor"], env={"KUBECONFIG": str(tmp_path / "none")})
    assert ended.exit_code == 0
    assert re.search(r"ok +packages +\d+ packages, all as locked\n", ended.output)
    (line,) = re.findall("(?m)^.*cluster .*$", ended.output)
    assert re.fullmatch("skipped +cluster +no cluster is configured, .*; give --endpoint http://..., set .*", line)
    assert ended.output.endswith("\nno check failed\n")
    ended = CliRunner().invoke(main, ["doctor", "--bucket", "s3:bucket"], env={"KUBECONFIG": str(tmp_path / "none")})
    assert (ended.exit_code, "\n1 of " in ended.output) == (1, True)


def test_a_whole_cluster_is_healthy(cluster):
    api = KfpApi()
    with api.serving() as url:
        asked = ("GPUS=2", "BACKEND=jax", 'NODE_SELECTOR={"gpu": "l4"}', f"TOLERATIONS={TOLERATION}")
        found = {
            check.name: check for check in examine(Setup(url=url, webhook_secret="conv2d-webhook", settings=asked))
        }
    checks = ("kubeflow pipelines", "experiments", "clock", "cluster", "namespace", "service account", "store's secret",
              "webhook's secret", "CPU nodes", "GPU nodes", "tolerations")  # fmt: skip
    assert {name: found[name].state for name in checks} == dict.fromkeys(checks, "ok")
    assert "1 can give 2 nvidia.com/gpu" in found["GPU nodes"].found
    assert "czNjcmV0" not in str(found)


def test_python_out_of_range(monkeypatch):
    monkeypatch.setattr("sys.version_info", (3, 10, 1))
    advice = "install Python 3.11, 3.12 or 3.13 and say which: make clean, make PYTHON3=python3.11"
    assert machine.check_python(Setup()) == Check("failed", "3.10.1", advice)


def test_packages_are_compared_with_the_lock(tmp_path):
    lock = tmp_path / "local.txt"
    lock.write_text(
        "# locked\nclick==0.0.1 \\\n    --hash=sha256:00\nnot-there==1.0 \\\n    --hash=sha256:00\n"
        "only-elsewhere==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    found = machine.check_packages(Setup(), lock)
    assert found.state == "warning"
    assert re.fullmatch(r"click [\d.]+, locked 0.0.1; not-there missing, locked 1.0", found.found)
    assert machine.check_packages(Setup(), tmp_path / "none").state == "failed"


@pytest.mark.parametrize(("year", "said"), [(2026, "ahead of the cluster's"), (2126, "behind the cluster's")])
def test_a_clock_that_is_off(year, said):
    api = KfpApi()
    api.date = f"Thu, 01 Jan {year} 00:00:00 GMT"
    with api.serving() as url:
        found = machine.check_clock(Setup(url=url))
    assert found.state == "failed"
    assert said in found.found
    assert "set-ntp" in found.fix


class VersionedKfp(KfpApi):
    def handle(self, method, path, query, body, headers):
        if path == "/apis/v1beta1/healthz":
            return 200, {"tag_name": "2.5.0", "multi_user": False}
        return super().handle(method, path, query, body, headers)


@pytest.mark.parametrize(("api", "state"), [(VersionedKfp(), "warning"), (KfpApi(), "skipped")])
def test_an_older_back_end_is_told(api, state):
    with api.serving() as url:
        found = kubeflow_checks.check_versions(Setup(url=url))
    assert found.state == state
    assert state != "warning" or "2.5.0, older than the SDK" in found.found


def test_a_token_that_is_refused_has_its_fix():
    with KfpApi(token="right").serving() as url:
        found = kubeflow_checks.check_kubeflow(Setup(url=url))
    assert found.state == "failed"
    assert "KFP_EXISTING_TOKEN" in found.fix


class Registry(Api):
    """Takes uploads, or refuses them."""

    def __init__(self, status: int):
        super().__init__()
        self.status = status

    def handle(self, method, path, query, body, headers):
        if method == "POST":
            return self.status, ({}, {"Location": f"{path}1234"} if self.status == 202 else {})
        return (204, {}) if method == "DELETE" else (404, {})


def test_a_push_is_tried_and_given_up(monkeypatch):
    registry = Registry(202)
    with registry.serving() as url:
        monkeypatch.setenv("CONV2D_IMAGE_REPOSITORY", f"{url.removeprefix('http://')}/team/conv2d")
        assert stores.check_registry(Setup()).state == "ok"
        assert [request[:2] for request in registry.requests] == [
            ("POST", "/v2/team/conv2d/blobs/uploads/"),
            ("DELETE", "/v2/team/conv2d/blobs/uploads/1234"),
        ]
        registry.status = 403
        found = stores.check_registry(Setup())
        assert (found.state, found.fix.startswith("docker login")) == ("failed", True)
        absent = guarded("images", stores.check_images, Setup())
        assert (absent.state, absent.fix) == ("failed", "make images ACTION=push TARGET=cpu")


def test_the_store_is_written_read_and_cleaned(tmp_path):
    assert stores.check_store(Setup(bucket=str(tmp_path / "store"))).state == "ok"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    found = stores.check_store(Setup(bucket="gss://bucket"))
    assert found.state == "failed"
    assert found.fix


def test_kubeflow_hub_is_asked_if_it_is_to_be_told():
    assert stores.check_hub(Setup()).state == "skipped"
    with ModelRegistry("v1alpha3").serving() as url:
        asked = Setup(settings=(f"MODEL_REGISTRY_URL={url}",))
        assert stores.check_hub(asked) == Check("ok", f"{url}/api/model_registry/v1alpha3 answers")
    gone = stores.check_hub(asked)
    assert gone.state == "failed" and "no answer" in gone.found and "port-forward" in gone.fix
    with KfpApi().serving() as url:
        other = stores.check_hub(Setup(settings=(f"MODEL_REGISTRY_URL={url}",)))
    assert "no Model Registry" in other.found
