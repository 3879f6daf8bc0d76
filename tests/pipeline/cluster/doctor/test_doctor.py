"""The doctor against real small servers, with parts there, wrong and missing: this machine, stores, Kubeflow."""

import re
import socket

import pytest
from click.testing import CliRunner

from pipeline.cluster.doctor import kubeflow as kubeflow_checks
from pipeline.cluster.doctor import stores
from pipeline.cluster.doctor.check import Setup
from pipeline.cluster.doctor.examine import examine, guarded, show
from pipeline.commands.main import main
from tests.pipeline.cluster.doctor.cluster import TOLERATION
from tests.pipeline.images.test_registry_lookup import Registry
from tests.servers.kfp_api import KfpApi


def test_it_works_with_everything_missing_and_each_failure_has_a_fix(capsys):
    with socket.socket() as bound:  # and never listens
        bound.bind(("127.0.0.1", 0))
        found = list(examine(Setup(url=f"http://127.0.0.1:{bound.getsockname()[1]}")))
    names = {check.name: check for check in found}
    assert len(names) == len(found) >= 15
    assert names["cluster"].state == "failed"
    assert names["tolerations"].state == "skipped"
    assert all(check.fix for check in found if check.state in ("failed", "warning"))
    show(found)
    printed = capsys.readouterr().out
    assert "checks failed" in printed
    assert re.search(r"FAILED +kubeflow pipelines +expected Kubeflow Pipelines at .*, no answer", printed)


def test_without_a_cluster_what_is_local_is_checked_and_passes(tmp_path):
    ended = CliRunner().invoke(main, ["doctor"], env={"KUBECONFIG": str(tmp_path / "none")})
    assert ended.exit_code == 0
    (line,) = re.findall("(?m)^.*cluster .*$", ended.output)
    assert re.fullmatch("skipped +cluster +none is named here, .*; give --endpoint http://..., set .*", line)
    assert ended.output.endswith("\nnothing failed\n")
    ended = CliRunner().invoke(main, ["doctor", "--bucket", "s3:bucket"], env={"KUBECONFIG": str(tmp_path / "none")})
    assert (ended.exit_code, "\n1 of " in ended.output) == (1, True)


def test_a_whole_cluster_is_healthy(cluster):
    api = KfpApi()
    with api.serving() as url:
        asked = ("GPUS=2", "BACKEND=jax", 'NODE_SELECTOR={"gpu": "l4"}', f"TOLERATIONS={TOLERATION}")
        found = {
            check.name: check for check in examine(Setup(url=url, webhook_secret="conv2d-webhook", settings=asked))
        }
    checks = ("kubeflow pipelines", "experiments", "cluster", "namespace", "service account", "store's secret",
              "webhook's secret", "CPU nodes", "GPU nodes", "tolerations")  # fmt: skip
    assert {name: found[name].state for name in checks} == dict.fromkeys(checks, "ok")
    assert "1 can give 2 nvidia.com/gpu" in found["GPU nodes"].found
    assert "czNjcmV0" not in str(found)


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


def test_images_that_the_registry_lacks_are_named(monkeypatch):
    with Registry(there=set()).serving() as url:
        monkeypatch.setenv("CONV2D_IMAGE_REPOSITORY", f"{url.removeprefix('http://')}/team/conv2d")
        absent = guarded("images", stores.check_images, Setup())
    assert (absent.state, absent.fix) == ("failed", "make images ACTION=push TARGET=cpu")


def test_the_store_is_written_read_and_cleaned(tmp_path):
    assert stores.check_store(Setup(bucket=str(tmp_path / "store"))).state == "ok"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    found = stores.check_store(Setup(bucket="gss://bucket"))
    assert found.state == "failed"
    assert found.fix
