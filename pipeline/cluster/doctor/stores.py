"""Checks of what needs no cluster: Docker, the images in their registry, the object store."""

import secrets

from components.core.errors import PipelineError
from pipeline.cluster.doctor.check import Check, Setup, failed, ok, skipped, warning
from pipeline.console import option


def check_docker(setup: Setup) -> Check:
    """Whether an engine answers that builds images."""
    from pipeline.images.engine import address, engine

    try:
        version = engine().version()
    except PipelineError as error:
        said = str(error).partition("; ")[0]
        mend = f"install and start Docker to build images; runs need none: {option('runner', 'process')}"
        return warning(said, mend)
    return ok(f"{version.get('Version', 'unknown')} at {address()}")


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


CHECKS = {"docker": check_docker, "images": check_images, "object store": check_store}
