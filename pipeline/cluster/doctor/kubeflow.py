"""Checks of Kubeflow Pipelines, as a user of its API."""

import importlib.metadata
import json
import re

from components.core.errors import PipelineError
from pipeline.cluster.doctor.check import Check, Setup, failed, ok, skipped, warning
from pipeline.cluster.kubeflow import ask_kubeflow


def check_kubeflow(setup: Setup) -> Check:
    """Whether the KFP that is named is healthy."""
    try:
        several = setup.kubeflow.get_kfp_healthz().multi_user
    except PipelineError as error:
        said, _, fix = str(error).partition("; ")
        return failed(said, fix or "kubectl get pods -n kubeflow, and look at what is not running")
    return ok(f"healthy at {setup.endpoint}, for {'many users' if several else 'one user'}")


def check_versions(setup: Setup) -> Check:
    """The back end against the SDK: a pipeline may use what an older back end does not know."""
    from kfp_server_api import ApiException

    sdk = importlib.metadata.version("kfp")
    try:
        answer = setup.kubeflow._healthz_api.api_client.call_api(
            "/apis/v1beta1/healthz", "GET", auth_settings=["Bearer"], _preload_content=False, _request_timeout=(5, 10)
        )
        version = str(json.loads(answer.data).get("tag_name") or "")
    except (ApiException, ValueError, AttributeError):
        version = ""
    if not re.match(r"\d+\.\d+", version):
        return skipped(f"KFP does not report its version; the SDK is {sdk}")
    if _minor(version) < _minor(sdk):
        fix = (
            "upgrade Kubeflow Pipelines: what the older one lacks (parameters as resources and tolerations) fails there"
        )
        return warning(f"{version}, older than the SDK {sdk}", fix)
    return ok(f"{version}, SDK {sdk}")


def check_access(setup: Setup) -> Check:
    """Whether this user may work in the namespace."""
    ask_kubeflow(lambda: setup.kubeflow.list_experiments(page_size=1), setup.endpoint, 3.0)
    return ok(f"can be listed in {setup.endpoint.namespace or 'the default namespace'}")


CHECKS = {"kubeflow pipelines": check_kubeflow, "back end": check_versions, "experiments": check_access}


def _minor(version: str) -> tuple[int, int]:
    major, minor = re.findall(r"\d+", version)[:2]
    return int(major), int(minor)
