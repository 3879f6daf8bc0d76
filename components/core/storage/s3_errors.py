"""What boto3's exceptions mean."""

import urllib.parse
from typing import Any

import botocore.parsers
from botocore import exceptions as boto

from components.core.storage.errors import (
    BucketMissing,
    Denied,
    NotFound,
    PreconditionFailed,
    StorageError,
    Transient,
    broken_connection,
    words_of,
)

NOT_THERE = {"NoSuchKey", "404", "NotFound"}
REFUSED = {
    "AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem",
}  # fmt: skip
BAD_CREDENTIALS = {
    "401", "Unauthorized", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidToken",
    "RequestExpired", "SignatureDoesNotMatch", "TokenRefreshRequired", "InvalidClientTokenId",
}  # fmt: skip
RIGHTS = "s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket"
DAMAGED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "XAmzContentChecksumMismatch"}
RETRIED_CODES = {
    "SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling", "ThrottlingException",
    "RequestLimitExceeded", "OperationAborted", "ConditionalRequestConflict", "RequestTimeoutException",
    "TooManyRequests",
}  # fmt: skip
# None were given, whoever gives them failed, or the login by a browser (`aws sso login`, `aws login`) has expired.
NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.SSOError,
    boto.TokenRetrievalError,
    boto.LoginError,
)
# OpenSSL's words, of several releases, for an answer in plain text.
NO_TLS = ("wrong version number", "record layer failure")
# Go's and nginx's words for a request that came by http.
WANT_TLS = (b"to an HTTPS server", b"to HTTPS port")
REDIRECTS = {301, 302, 303, 307, 308}
RETRIED_STATUS = {408, 409, 429, 500, 502, 503, 504}
BROKEN_CONNECTION = (
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.ConnectionError,
    # XML that was cut or damaged on its way.
    botocore.parsers.ResponseParserError,
    ConnectionError,
    TimeoutError,
)


def explain_s3(error: Exception, bucket: str, key: str) -> Exception:
    """Translates an exception of the client into one of `errors`, or Transient; a defect comes back as it is.

    Args:
        bucket: with its scheme, `s3://bucket`.
    """
    if isinstance(error, boto.ClientError):
        return _explain_code(error, bucket, f"{bucket}/{key}")
    if isinstance(error, BROKEN_CONNECTION):
        said = words_of(error)
        if "certificate" in said:
            return StorageError(f"the TLS certificate of the store of {bucket} is not trusted; set AWS_CA_BUNDLE")
        if "invalid header value" in said:
            return Denied(
                f"the key for {bucket}, its token or its region has a line break in it; write it anew (echo -n)"
            )
        if any(words in said for words in NO_TLS):
            return StorageError(f"the endpoint of {bucket} speaks http, not https; write http:// in AWS_ENDPOINT_URL")
        broken = broken_connection(error)
        elsewhere = bucket.startswith("minio:") and str(broken) == "host name not found"
        return Transient(f"{broken}, which MINIO_ENDPOINT_URL says") if elsewhere else broken
    if isinstance(error, boto.BotoCoreError):
        return explain_setup(error, bucket)
    return error


def _explain_code(error: boto.ClientError, bucket: str, uri: str) -> Exception:
    """By the code alone: the message in an answer may repeat key ids and signed strings."""
    code, status = error.response.get("Error", {}).get("Code", ""), status_of(error)
    if code == "NoSuchBucket" or (status == 404 and error.operation_name in ("HeadBucket", "ListObjectsV2")):
        return BucketMissing(f"expected a bucket {bucket}, received none; create it or check the name and endpoint")
    if status == 301:
        region = error.response["ResponseMetadata"].get("HTTPHeaders", {}).get("x-amz-bucket-region", "another")
        return StorageError(
            f"expected the endpoint of the region of {bucket}, {region}, received another's; set AWS_REGION and "
            "AWS_ENDPOINT_URL to it, or leave AWS_ENDPOINT_URL empty"
        )
    if code in BAD_CREDENTIALS or status == 401:
        return Denied(f"the credentials for {bucket} were refused or have expired ({code}); {_log_in(bucket)}")
    if code == "PreconditionFailed" or status == 412:
        return PreconditionFailed(f"{uri} was changed by somebody else; look and try again")
    if code == "RequestTimeTooSkewed":
        return StorageError(f"the clock here is more than 15 minutes off the store's of {bucket}; set it by NTP")
    if code == "InvalidObjectState":
        return StorageError(f"{uri} is archived; restore it (aws s3api restore-object), or name another place")
    if code in RETRIED_CODES or status in RETRIED_STATUS:
        return Transient(f"answer {status} {code} from the store")
    if code in NOT_THERE or status == 404:
        return NotFound(f"expected an object {uri}, received none; check the name")
    if code in REFUSED or status == 403:
        of_key = "kms:" in error.response.get("Error", {}).get("Message", "")
        rights = "kms:Decrypt and kms:GenerateDataKey on the key of the bucket" if of_key else RIGHTS
        return Denied(f"no permission for {uri}; allow {rights}")
    if status == 413:
        return StorageError(
            f"what stands before the store of {bucket} takes no 8 MiB at once; raise its limit (nginx: "
            "client_max_body_size, an ingress: proxy-body-size)"
        )
    if status == 501 and error.operation_name == "PutObject":
        return StorageError(
            f"the store of {bucket} knows no preconditions of writes (If-None-Match, If-Match), which keep two writers "
            "apart; update it or choose another"
        )
    if code in DAMAGED:
        return Transient("the store received other bytes than were sent")
    if status is None or status < 400:
        return Transient(f"unexpected answer {status}")
    return StorageError(f"{bucket} refused the request for {uri} with status {status} {code}")


def refuse_others(bucket: str, response_dict: dict, **_: Any) -> None:
    """Refuses what no store answers: that it wants https, a web page, as MinIO's console has for all, and the way
    elsewhere, as an ingress has to https and a proxy to its login.

    S3's own redirects name a region. The client would go in circles, miss what is not there, or take it for a broken
    connection.
    """
    headers, status = response_dict["headers"], response_dict["status_code"]
    if status == 400 and any(words in response_dict["body"] for words in WANT_TLS):
        raise StorageError(f"the endpoint of {bucket} speaks https; write https:// in AWS_ENDPOINT_URL")
    if status == 200 and "ETag" not in headers and headers.get("Content-Type", "").startswith("text/html"):
        raise StorageError(
            f"the endpoint of {bucket} answers with a web page; set AWS_ENDPOINT_URL to the store's own address"
        )
    if status not in REDIRECTS or "x-amz-bucket-region" in headers:
        return
    place = urllib.parse.urlsplit(headers.get("Location", ""))
    elsewhere = f"{place.scheme}://{place.netloc.rpartition('@')[2]}" if place.netloc else "another place"
    raise StorageError(
        f"the endpoint of {bucket} sends to {elsewhere} in place of an answer; set AWS_ENDPOINT_URL to the store's own "
        "address"
    )


def explain_setup(error: Exception, bucket: str) -> Exception:
    """The fault of the settings or the credentials; Transient if who gives a pod its credentials (EKS Pod
    Identity's agent) did not answer, as it does not on a new node; a defect comes back as it is."""
    if not isinstance(error, boto.BotoCoreError | ValueError):
        return error
    of_agent = isinstance(error, boto.CredentialRetrievalError) and error.kwargs.get("provider") == "container-role"
    if of_agent and "non 200 response 4" not in str(error):
        return Transient("no answer from who gives the credentials")
    if isinstance(error, NO_CREDENTIALS):
        return Denied(f"no usable credentials found for {bucket}; {_log_in(bucket)}")
    if isinstance(error, ValueError) and "endpoint" in str(error):
        return StorageError("expected AWS_ENDPOINT_URL to be an http:// or https:// URL, received another value")
    # Named, not quoted: such texts repeat settings.
    return StorageError(f"the S3 client can't work with the settings for {bucket} ({type(error).__name__})")


def _log_in(bucket: str) -> str:
    if bucket.startswith("minio:"):
        return "set MINIO_ACCESS_KEY and MINIO_SECRET_KEY from the secret mlpipeline-minio-artifact"
    return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, log in with `aws sso login`, or give the pod an IAM role"


def denied(error: boto.ClientError) -> bool:
    """Whether the answer is that these credentials may not do this, or may not know whether it can be done."""
    return status_of(error) == 403 and error.response.get("Error", {}).get("Code", "") in REFUSED


def status_of(error: boto.ClientError) -> int | None:
    """The HTTP status of the answer; None if there was none."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
