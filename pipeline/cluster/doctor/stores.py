"""Checks of what a run reads and writes: the image registry, the object store, Kubeflow Hub."""

import secrets

from components.core.errors import PipelineError
from pipeline.cluster.doctor.check import Check, Setup, failed, ok, skipped
from pipeline.console import option


def check_registry(setup: Setup) -> Check:
    """Whether images can be pushed: begins an upload, and gives it up."""
    from pipeline.images.lookup import may_push, read_name
    from pipeline.images.names import image

    name = read_name(image("train"))
    if not name.registry:
        fix = "set CONV2D_IMAGE_REPOSITORY to host/project/name, unless images are loaded onto the nodes (kind)"
        return skipped(f"{name.path!r} names no registry; {fix}")
    refused = may_push(name)
    if refused:
        return failed(refused, f"docker login {name.registry}, with an account that may write {name.path}")
    return ok(f"{name.registry}/{name.path} accepts images")


def check_images(setup: Setup) -> Check:
    """Whether the images of the code as it is are in the registry."""
    from components.check.settings import check_gpus
    from pipeline.cluster.compile import step_images
    from pipeline.images.lookup import require_images
    from pipeline.parameters.pipeline import Pipeline

    check_gpus(setup.parameters.gpus, setup.parameters.nodes, setup.parameters.accelerator)
    note = require_images(image for _, image in step_images(Pipeline(setup.configuration)))
    return skipped(note) if note else ok("all are in the registry")


def check_store(setup: Setup) -> Check:
    """Writes an object, reads it back and removes it."""
    if not setup.bucket:
        return skipped(f"no {option('bucket')} given, such as {setup.parameters.publish_uri or 'gs://bucket'}")
    from components.core.storage import Limits, open_store

    fix = "check the bucket's name, the credentials (gcloud auth application-default login, AWS_PROFILE) and the role"
    name, content = f".doctor-{secrets.token_hex(8)}", secrets.token_bytes(64)
    try:
        store = open_store(setup.bucket, Limits(deadline_s=20, stall_s=10))
        store.write_bytes(name, content)
        try:
            same = store.read_bytes(name) == content
        finally:
            store.delete(name)
        gone = not store.exists(name)
    except PipelineError as error:
        return failed(str(error), fix)
    if not (same and gone):
        return failed("what was read is not what was written, or it could not be removed", fix)
    return ok(f"{setup.bucket}: written, read back, removed")


def check_hub(setup: Setup) -> Check:
    """Whether Kubeflow Hub answers, if the run is to tell it."""
    url = setup.parameters.model_registry_url
    if not url:
        return skipped("no MODEL_REGISTRY_URL given: nothing is registered")
    from components.export.hub import Hub, HubError

    try:
        with Hub(url) as hub:
            return ok(f"{hub.api} answers")
    except HubError as error:
        fix = (
            "an address inside the cluster is for pods alone; to try it from here, give MODEL_REGISTRY_URL="
            "http://localhost:8081 beside `kubectl -n kubeflow port-forward svc/model-registry-service 8081:8080`"
        )
        return failed(str(error), fix)


CHECKS = {
    "registry push": check_registry,
    "images": check_images,
    "object store": check_store,
    "kubeflow hub": check_hub,
}
