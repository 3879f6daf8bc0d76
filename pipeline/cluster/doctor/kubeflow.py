"""Checks of Kubeflow Pipelines, as a user of its API."""

import importlib.metadata
import json
import re
from typing import TYPE_CHECKING

from components.core.errors import PipelineError
from pipeline.cluster.doctor.check import Check, failed, ok, skipped, warning
from pipeline.cluster.doctor.setup import Setup
from pipeline.cluster.kubeflow import ask_kubeflow, connect, find_endpoint

if TYPE_CHECKING:
    import kfp


NAME = "kubeflow pipelines"


def reach_kubeflow(setup: Setup) -> tuple["kfp.Client | None", Check]:
    """A client of the KFP that is named, and whether it is healthy."""
    try:
        endpoint = find_endpoint(setup.url, setup.namespace)
        client = connect(endpoint)
    except PipelineError as error:
        said, _, fix = str(error).partition("; ")
        return None, failed(NAME, said, fix or "kubectl get pods -n kubeflow, and look at what is not running")
    several = client.get_kfp_healthz().multi_user
    return client, ok(NAME, f"healthy at {endpoint}, for {'many users' if several else 'one user'}")


def check_versions(setup: Setup, client: "kfp.Client") -> Check:
    """The back end against the SDK: a pipeline may use what an older back end does not know."""
    from kfp_server_api import ApiException

    sdk = importlib.metadata.version("kfp")
    try:
        answer = client._healthz_api.api_client.call_api(
            "/apis/v1beta1/healthz", "GET", auth_settings=["Bearer"], _preload_content=False, _request_timeout=(5, 10)
        )
        version = str(json.loads(answer.data).get("tag_name") or "")
    except (ApiException, ValueError, AttributeError):
        version = ""
    if not re.match(r"\d+\.\d+", version):
        return skipped("back end", f"it does not tell its version; the SDK is {sdk}")
    if _minor(version) < _minor(sdk):
        fix = (
            "upgrade Kubeflow Pipelines: what the older one lacks (parameters as resources and tolerations) fails there"
        )
        return warning("back end", f"{version}, older than the SDK {sdk}", fix)
    return ok("back end", f"{version}, SDK {sdk}")


def check_access(setup: Setup, client: "kfp.Client") -> Check:
    """Whether this user may work in the namespace."""
    endpoint = find_endpoint(setup.url, setup.namespace)
    try:
        ask_kubeflow(lambda: client.list_experiments(page_size=1), endpoint, 3.0)
    except PipelineError as error:
        said, _, fix = str(error).partition("; ")
        return failed("experiments", said, fix)
    return ok("experiments", f"can be listed in {endpoint.namespace or 'the default namespace'}")


CHECKS = {"back end": check_versions, "experiments": check_access}


def _minor(version: str) -> tuple[int, int]:
    major, minor = re.findall(r"\d+", version)[:2]
    return int(major), int(minor)
