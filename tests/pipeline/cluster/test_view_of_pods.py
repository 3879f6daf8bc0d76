"""Following a run by a kubeconfig that leads elsewhere, or whose login ends meanwhile."""

import json
import os
import pathlib
import warnings

import pytest

from pipeline.cluster.pods import find_pods
from tests.pipeline.cluster.submitting import STORY, TRAIN_FAILED, TRAINS, followed
from tests.servers.certificate import certificate, tls_of  # noqa: F401
from tests.servers.kube_api import KubeApi, kubeconfig, lead_to, pod

pytestmark = pytest.mark.usefixtures("bare_home")


def test_a_kubeconfig_of_another_cluster_is_told(quickstart_compiled, kube):
    """Its pods can be listed, and none is the run's: no line was told, and in the end that the logs were gone."""
    kube.pods = [pod("train", "Running", run_id="another")]
    lines, _ = followed(quickstart_compiled, STORY)
    told = [
        line for line in lines if line.startswith("note: the kubeconfig's cluster has no pod of this run in namesp")
    ]
    assert len(told) == 1 and "--namespace" in told[0]
    assert "figures and places are in the UI only: there is no access to the pods' logs from here" in lines


def test_a_moment_without_any_pod_is_no_other_cluster(quickstart_compiled, kube):
    """As when a node is drained: from then on no line was told."""
    first, second = pod("train", "Running"), pod("evaluate", "Running")
    kube.add(first, "epoch 1")
    kube.add(second, "epoch 2")
    looks = [[first], [first], [], [second]]
    kube.before = lambda _, path: path.endswith("/pods") and looks and setattr(kube, "pods", looks.pop(0))
    lines, _ = followed(quickstart_compiled, [*[TRAINS] * 6, STORY[-1]])
    assert "  epoch 1" in lines and "  epoch 2" in lines and not [line for line in lines if line.startswith("note")]


def test_a_view_of_the_pods_that_is_lost_meanwhile_is_told_once(quickstart_compiled, kube):
    """As with a login at the cloud that expires in the night: there were no lines any more, and no word."""
    kube.add(pod("train", "Running"), "epoch 1")
    pods = "/api/v1/namespaces/kubeflow/pods"
    away = [("GET", pods, (401, {"kind": "Status", "code": 401}))] * 3

    def lost(_, path):
        if path == pods and kube.count("GET", pods) == 3:
            kube.faults += away

    kube.before = lost
    lines, error = followed(quickstart_compiled, [*[TRAINS] * 12, STORY[-1]])
    assert error == "" and kube.faults == []
    assert [line for line in lines if line.startswith("note")] == [
        "note: the cluster's pods can't be seen: 401 Unauthorized; states only, without logs, until they can"
    ]
    assert lines.count("  epoch 1") == 1


def test_logs_that_may_not_be_read_are_told_of(quickstart_compiled, kube):
    """A right of its own: a role for pods has it not, and a failed step was said to have left no log."""
    kube.pods = [pod("train", "Failed")]
    kube.forbidden.add(f"/api/v1/namespaces/kubeflow/pods/{kube.pods[0]['metadata']['name']}/log")
    lines, error = followed(quickstart_compiled, [TRAIN_FAILED])
    said = "note: the pods' logs can't be read: 403 Forbidden; states only, without lines and figures"
    assert [line for line in lines if line.startswith("note")] == [said]
    assert "figures and places are in the UI only: there is no access to the pods' logs from here" in lines
    assert "its container ended with exit code 1; its log can't be read from here (403 Forbidden)" in error


def test_a_login_that_a_command_can_not_renew_is_complained_of_once(tmp_path, kube, caplog):
    """As by aws or gcloud in a kubeconfig: Kubernetes' client logs the same with each of an hour's 2,000 requests."""
    kube.pods = [pod("train", "Running")]
    login = tmp_path / "login"
    soon = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t", '
    soon += '"expirationTimestamp": "2026-01-01T00:00:00Z"}}'
    login.write_text(
        f"#!/bin/sh\n[ -e {tmp_path}/used ] && echo expired >&2 && exit 1\ntouch {tmp_path}/used\necho '{soon}'"
    )
    login.chmod(0o700)
    path = pathlib.Path(os.environ["KUBECONFIG"])
    config = json.loads(path.read_text())
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(login), "interactiveMode": "Never"}
    config["users"][0]["user"] = {"exec": command}
    path.write_text(json.dumps(config))
    pods = find_pods("run-2", "")
    for _ in range(3):
        pods.look()
    assert [record.getMessage().strip() for record in caplog.records] == ["exec: process returned 1. expired"]


def test_a_certificate_that_nobody_checks_is_not_complained_of(tmp_path, monkeypatch, certificate):  # noqa: F811
    """As a kubeconfig may ask for: urllib3 wrote two lines at each of the requests, and nothing else could be read."""
    with KubeApi().serving(tls_of(certificate)) as url:
        path = kubeconfig(tmp_path / "kubeconfig", url)
        config = json.loads(path.read_text())
        config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
        path.write_text(json.dumps(config))
        lead_to(path, monkeypatch)
        with warnings.catch_warnings(record=True) as said:
            find_pods("run-2", "").look()
    assert [str(one.message) for one in said] == []
