"""boto3's client for one bucket, as quick and as patient as it has to be."""

import datetime
import functools
import os
from typing import Any

import boto3
import botocore
import botocore.config
import botocore.loaders
import botocore.session
import botocore.utils

from components.core.storage.backend import Limits
from components.core.storage.errors import StorageError
from components.core.storage.retry import patiently
from components.core.storage.s3_errors import explain_setup, refuse_others

CONNECT_TIMEOUT_S = 10.0
METADATA_TRIES = 3
# Where Kubeflow Pipelines keeps its own store, for minio:// if neither MINIO_ENDPOINT_URL nor AWS_ENDPOINT_URL is set.
IN_CLUSTER_ENDPOINT = "http://seaweedfs.kubeflow:8333"
# Of S3 Express One Zone. Their ETags are no checksums, they take no Content-MD5, and their listings have no order.
DIRECTORY_BUCKET = "--x-s3"


def open_client(scheme: str, bucket: str, limits: Limits) -> Any:
    """Opens a client. `scheme` is the one the user wrote.

    Raises:
        StorageError: settings that it can't work with. Denied: credentials that it can't. Unreachable: nobody gave any.
    """
    if bucket.endswith(DIRECTORY_BUCKET):
        raise StorageError(f"expected a general purpose bucket, received the directory bucket {bucket}; choose another")
    own = ("MINIO_ENDPOINT_URL",) if scheme == "minio" else ()
    given = (os.environ.get(name) for name in (*own, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    endpoint = next(filter(None, given), IN_CLUSTER_ENDPOINT if scheme == "minio" else None)
    config = botocore.config.Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=limits.stall_s,
        max_pool_connections=limits.workers + limits.part_workers,
        # Tried again by the Store, which knows the deadline.
        retries={"total_max_attempts": 1},
        # boto3's own default, a checksum trailing the body, is what many compatible stores fail on; Content-MD5
        # is understood by all of them, and the Store compares the whole object's CRC-32C.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = patiently(
        lambda: _client(endpoint, config, _credentials(scheme)),
        lambda error: explain_setup(error, f"{scheme}://{bucket}"),
        f"find credentials for {scheme}://{bucket}",
        limits,
    )
    if endpoint:
        refuse = functools.partial(refuse_others, f"{scheme}://{bucket}")
        client.meta.events.register("before-parse.s3", refuse)
    return client


def _client(endpoint: str | None, config: botocore.config.Config, credentials: dict[str, str]) -> Any:
    session = botocore.session.Session()
    session.register_component("data_loader", _service_descriptions())
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=moment)
    # EC2 gives a machine its credentials, as busy as it may be; boto3 asks once, for a second, and takes it for no EC2.
    tries = max(session.get_config_variable("metadata_service_num_attempts"), METADATA_TRIES)
    session.set_config_variable("metadata_service_num_attempts", tries)
    if not credentials and session.get_credentials() is None:  # as public buckets are asked
        config = config.merge(botocore.config.Config(signature_version=botocore.UNSIGNED))
    # boto3 knows AWS_DEFAULT_REGION and profiles, other SDKs' AWS_REGION not. Signing needs one, also where it means
    # nothing to a store of one's own.
    region = os.environ.get("AWS_REGION") or session.get_config_variable("region")
    return boto3.session.Session(botocore_session=session).client(
        "s3",
        region_name=region or ("us-east-1" if endpoint else None),
        endpoint_url=endpoint,
        config=config,
        **credentials,
    )


def moment(text: str) -> datetime.datetime:
    """What a date of S3 says; botocore's own way is three quarters of reading a listing, 70 s for a million objects."""
    try:
        return datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):  # in headers it has another form
        return botocore.utils.parse_timestamp(text)


@functools.cache
def _service_descriptions() -> botocore.loaders.Loader:
    """The services' descriptions, read from JSON once: each session reads them anew otherwise, 0.14 of 0.16 s."""
    return botocore.loaders.create_loader()


def _credentials(scheme: str) -> dict[str, str]:
    """Kubeflow's own store has credentials of its own, under names of their own: AWS's would stand in the way of a
    pod's IAM role if a run uses both stores."""
    names = {"aws_access_key_id": "MINIO_ACCESS_KEY", "aws_secret_access_key": "MINIO_SECRET_KEY"}
    if scheme != "minio" or not all(os.environ.get(variable) for variable in names.values()):
        return {}
    return {argument: os.environ[variable] for argument, variable in names.items()}
