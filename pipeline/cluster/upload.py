"""Puts pipelines onto Kubeflow's Pipelines page, and finds them there."""

import functools
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from components.core.errors import PipelineError, nearest
from pipeline.cluster.kubeflow import Endpoint, ask_kubeflow, connect, page_address, unless_there

if TYPE_CHECKING:
    import kfp

NEWEST = "newest"


def upload(name: str, version: str, compiled: pathlib.Path, endpoint: Endpoint) -> tuple[bool, str]:
    """Uploads a version of a pipeline, unless it is there; makes the pipeline if need be.

    Returns:
        Whether the version was there before, and its page, or an empty string if the endpoint shows none.

    Raises:
        PipelineError: KFP does not answer, or refuses.
    """
    client = connect(endpoint)
    pipeline = ask_kubeflow(lambda: _obtain_pipeline(client, name), endpoint)
    sent: list[str] = []

    def send() -> Any:
        # First a look, in each try: an answer that was lost on the way is found, and no second version is made.
        if found := _named(versions_of(client, pipeline.pipeline_id), version):
            return found
        sent.append(version)
        return unless_there(
            lambda: client._upload_api.upload_pipeline_version(
                str(compiled),
                # Where pipelines are Kubernetes objects, no two versions in a namespace have the same name.
                name=f"{name}-{version}",
                display_name=version,
                pipelineid=pipeline.pipeline_id,
            )
        ) or _named(versions_of(client, pipeline.pipeline_id), version)

    made = ask_kubeflow(send, endpoint)
    return not sent, page_address(
        client, f"pipelines/details/{pipeline.pipeline_id}/version/{made.pipeline_version_id}"
    )


def uploaded_version(client: "kfp.Client", name: str, version: str) -> Any:
    """The version of that name, or the newest, as KFP describes it.

    Raises:
        PipelineError: there is no such pipeline or version; names the nearest.
    """
    known = ask_kubeflow(lambda: _known(client, name), client.endpoint)
    if known is None:
        upload_it = "upload it: make pipeline-upload, with the same PROFILE= or SOURCE="
        raise PipelineError(f"no pipeline {name!r} on the Pipelines page; {upload_it}")
    if version == NEWEST and known:
        return known[0]
    if found := _named(known, version):
        return found
    names = [entry.display_name for entry in known]
    hint = nearest(version, names) if names else "it has none"
    raise PipelineError(f"pipeline {name!r} has no version {version!r}; {hint}")


def versions_of(client: "kfp.Client", pipeline_id: str) -> list[Any]:
    listed = functools.partial(client.list_pipeline_versions, pipeline_id, sort_by="created_at desc")
    return all_pages(listed, "pipeline_versions")


def all_pages(listed: Callable[..., Any], name: str) -> list[Any]:
    """All entries of a list that KFP gives in pages, by their name in its answer."""
    found: list[Any] = []
    token = ""
    while True:
        page = listed(page_token=token, page_size=100)
        found += getattr(page, name) or []
        token = page.next_page_token
        if not token:
            return found


def spec_of(made: Any) -> dict[str, Any]:
    """The compiled pipeline of a run, a schedule or a version, as far as KFP's answer has it."""
    spec = made.pipeline_spec or {}
    return spec.get("pipeline_spec", spec)  # so if there is a platform's part beside it


def compiled_of(client: "kfp.Client", made: Any) -> dict[str, Any]:
    """The compiled pipeline of a run or a schedule, its version's if it is of one on the Pipelines page."""
    version = made.pipeline_version_reference
    if made.pipeline_spec or not version or not version.pipeline_version_id:
        return spec_of(made)
    read = functools.partial(client.get_pipeline_version, version.pipeline_id, version.pipeline_version_id)
    return spec_of(ask_kubeflow(read, client.endpoint))


def _known(client: "kfp.Client", name: str) -> list[Any] | None:
    pipeline = _pipeline(client, name)
    return versions_of(client, pipeline.pipeline_id) if pipeline else None


def _pipeline(client: "kfp.Client", name: str) -> Any:
    from kfp_server_api import ApiException

    namespaced = {"namespace": mine} if (mine := client.get_user_namespace()) else {}
    try:
        return client._pipelines_api.pipeline_service_get_pipeline_by_name(name, **namespaced)
    except ApiException as error:
        if error.status == 404:
            return None
        raise


def _obtain_pipeline(client: "kfp.Client", name: str) -> Any:
    from kfp_server_api import V2beta1Pipeline

    body = V2beta1Pipeline(name=name, display_name=name, namespace=client.get_user_namespace() or None)
    return (
        _pipeline(client, name)
        or unless_there(lambda: client._pipelines_api.pipeline_service_create_pipeline(body))
        or _pipeline(client, name)
    )


def _named(known: list[Any], version: str) -> Any:
    return next((entry for entry in known if entry.display_name == version), None)
