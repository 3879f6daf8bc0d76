"""What google-cloud-storage's exceptions mean."""

import json
import xml.etree.ElementTree as ElementTree

import google.auth.exceptions
import requests
import urllib3.exceptions
from google.api_core import exceptions as api
from google.cloud.storage import exceptions as media

from components.core.storage.errors import (
    UNREADABLE,
    BucketMissing,
    Denied,
    NotFound,
    PreconditionFailed,
    StorageError,
    Transient,
    broken_connection,
    words_of,
)

RETRIED_STATUS = {408, 429, 500, 502, 503, 504}
# Come with status 403, too: https://cloud.google.com/storage/docs/json_api/v1/status-codes
RATE_LIMITS = {"rateLimitExceeded", "userRateLimitExceeded"}
KEPT = {"retentionPolicyNotMet", "objectUnderActiveHold"}
BROKEN_CONNECTION = (
    ConnectionError,
    TimeoutError,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.TimeoutError,
    urllib3.exceptions.PoolError,
    google.auth.exceptions.TransportError,
)
# JSON and XML that were cut or damaged on their way.
UNREADABLE_ANSWER = (
    json.JSONDecodeError,
    requests.exceptions.InvalidJSONError,
    ElementTree.ParseError,
    UnicodeDecodeError,
)
LOG_IN = "run `gcloud auth application-default login`, or give the pod a service account with Workload Identity"


def explain_gcs(error: Exception, bucket: str, key: str) -> Exception:
    """Translates an exception of the client into one of `errors`, or Transient; a defect comes back as it is.

    Args:
        bucket: with its scheme, `gs://bucket`.
    """
    uri = f"{bucket}/{key}"
    if isinstance(error, api.RetryError) and error.cause is not None:
        error = error.cause
    if isinstance(error, google.auth.exceptions.RefreshError) and _not_answered(error):
        return Transient("no answer from who gives the credentials")
    if isinstance(error, google.auth.exceptions.RefreshError | google.auth.exceptions.InvalidOperation):
        return Denied(f"Google credentials for {bucket} were refused or have expired; {LOG_IN}")
    if isinstance(error, media.DataCorruption):
        return Transient("the store received other bytes than were sent")
    if isinstance(error, BROKEN_CONNECTION):
        if "certificate" in words_of(error):
            return StorageError(f"the TLS certificate of the store of {bucket} is not trusted; set REQUESTS_CA_BUNDLE")
        return broken_connection(error)
    if isinstance(error, UNREADABLE_ANSWER):
        return Transient(UNREADABLE)
    if isinstance(error, api.GoogleAPICallError):
        return _explain_status(error.code, error.message, bucket, uri, error.response)
    if isinstance(error, media.InvalidResponse):
        return _explain_status(error.response.status_code, error.response.text, bucket, uri, error.response)
    if isinstance(error, OSError) and "TLS CA certificate bundle" in str(error):
        return StorageError("expected a file of certificates behind REQUESTS_CA_BUNDLE, received a path to none")
    if isinstance(error, requests.exceptions.RequestException):
        # Named, not quoted: such texts repeat URLs, and those passwords.
        return StorageError(
            f"the store of {bucket} can't be asked by the proxy that is set ({type(error).__name__}); check HTTPS_PROXY"
        )
    return error


def _not_answered(error: google.auth.exceptions.RefreshError) -> bool:
    """Whether nobody has refused: a node's metadata server is new, or made anew, and away for half a minute.

    One that answers, which has no such account for instance, gives its answer as a second argument.
    """
    cause = error.__cause__
    return error.retryable or (isinstance(cause, google.auth.exceptions.TransportError) and len(cause.args) == 1)


def _explain_status(
    status: int | None, message: str, bucket: str, uri: str, response: requests.Response | None
) -> Exception:
    if status in RETRIED_STATUS:
        wait = (response.headers.get("Retry-After") or "") if response is not None else ""
        return Transient(f"answer {status} from the store", float(wait) if wait.isdigit() else 0.0)
    if status == 404:
        if "bucket does not exist" in message:
            return BucketMissing(f"expected a bucket {bucket}, received none; create it or check the name")
        return NotFound(f"expected an object {uri}, received none; check the name")
    if status == 412:
        return PreconditionFailed(f"{uri} was changed by somebody else; look and try again")
    if status == 401:
        return Denied(f"Google credentials for {bucket} were refused or have expired; {LOG_IN}")
    reason = _reason_given(response)
    if reason in RATE_LIMITS:
        return Transient(f"answer {status} {reason} from the store")
    if status == 403 and (reason in KEPT or "retention policy" in message):
        return Denied(
            f"{uri} may not be changed or deleted yet: a retention policy or a hold keeps it; choose another bucket"
        )
    if status == 403 and "serviceusage" in message:
        project = "gcloud auth application-default set-quota-project PROJECT, with one of yours"
        return Denied(f"this login may not use the project that its requests are billed to, for {bucket}; {project}")
    if status == 403:
        # Billing that ended, or a perimeter around the project: no role helps.
        told = "" if reason in ("", "forbidden") else f" ({reason})"
        return Denied(f"no permission for {uri}{told}; grant roles/storage.objectUser on {bucket}")
    if status == 400 and any(word in message.lower() for word in ("crc32c", "md5", "digest", "hash")):
        return Transient("the store received other bytes than were sent")
    # A partial content that isn't one, a redirect: the answer was damaged on its way.
    if status is None or status < 400:
        return Transient(f"unexpected answer {status}")
    return StorageError(f"{bucket} refused the request for {uri} with status {status} {reason}".rstrip())


def _reason_given(response: requests.Response | None) -> str:
    """Google's own word for a refusal, `rateLimitExceeded` for instance; empty if it gave none."""
    try:
        return str(response.json()["error"]["errors"][0]["reason"]) if response is not None else ""
    except (ValueError, LookupError, TypeError):
        return ""
