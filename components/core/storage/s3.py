"""s3:// and minio:// over boto3. Credentials, region and endpoint come from the client's own chain (environment, IRSA,
profile, AWS_ENDPOINT_URL)."""

import base64
import concurrent.futures
import contextlib
import functools
import pathlib
import re
from collections.abc import Callable
from typing import Any

import botocore
from boto3.s3.transfer import TransferConfig
from botocore import exceptions as boto

from components.core.storage.backend import Limits, Page, Stored
from components.core.storage.checksums import ETAG_OF_PARTS, digest_of
from components.core.storage.errors import (
    UNREADABLE,
    Denied,
    NotFound,
    PreconditionFailed,
    StorageError,
    Transient,
    readable,
)
from components.core.storage.parallel import run_all
from components.core.storage.retry import patiently
from components.core.storage.s3_client import open_client
from components.core.storage.s3_errors import denied, explain_s3, explain_setup, status_of

MAX_PARTS = 10_000
# The most that one request copies; more is copied in parts, which boto3 does by itself.
LARGEST_COPY = 5 << 30
COPIED_PART = 128 << 20
# The whole object's CRC-32C travels as user metadata: S3-compatible stores agree on no other checksum of an object
# that was uploaded in parts.
CRC32C = "crc32c"
NOT_IMPLEMENTED = 501
MD5 = re.compile(r"[0-9a-f]{32}")
# The ETag of an object that was uploaded in parts, and their number.
OF_PARTS = re.compile(r"-(\d+)\"?$")


class S3Backend:
    """Objects of one bucket. `scheme` is the one the user wrote, for messages."""

    def __init__(self, scheme: str, bucket: str, limits: Limits):
        self.scheme, self.name, self.limits = scheme, bucket, limits
        self.client = open_client(scheme, bucket, limits)

    @readable(KeyError)
    def page(self, prefix: str, flat: bool, token: str | None) -> Page:
        asked = {**({} if flat else {"Delimiter": "/"}), **({"ContinuationToken": token} if token else {})}
        answer = self._listing(prefix, **asked)
        objects = [_stored(item["Key"], item) for item in answer.get("Contents", ())]
        directories = [item["Prefix"] for item in answer.get("CommonPrefixes", ())]
        following = answer.get("NextContinuationToken") if answer.get("IsTruncated", True) else None
        if answer.get("IsTruncated") and following in (None, token):
            # What knows only the first version of listings answers so: the rest would be missing without a word.
            raise StorageError(
                f"expected the rest of a listing of {self.scheme}://{self.name}/{prefix}, received no token to ask for "
                "it: this store does not know ListObjectsV2; update it or choose another"
            )
        return Page(objects, directories, following)

    @readable(KeyError)
    def stat(self, key: str) -> Stored:
        return _stored(key, self._head(key))

    @readable(KeyError)
    def provable(self, key: str) -> Stored:
        answer = self._head(key)
        stored = _stored(key, answer)
        parts = OF_PARTS.search(stored.generation)
        if parts and not stored.checksums and not _encrypted(answer):
            # Somebody else's upload in parts: its ETag is a checksum once we know how long each of them is.
            with concurrent.futures.ThreadPoolExecutor(self.limits.part_workers) as pool:
                sizes = list(pool.map(functools.partial(self._part_size, key), range(1, int(parts[1]) + 1)))
            # Stores that know no parts answer with the whole object each time: then its ETag proves nothing.
            if sum(sizes) == stored.size and min(sizes) > 0:
                stored.checksums[f"{ETAG_OF_PARTS}{','.join(map(str, sizes))}"] = _bare(stored.generation)
        return stored

    def _head(self, key: str) -> dict:
        try:
            return self.client.head_object(Bucket=self.name, Key=key)
        except boto.ClientError as error:
            raise self._told(key, error) from None

    def _part_size(self, key: str, number: int) -> int:
        """The bytes of a part; 0 if the store knows no parts (VersityGW says so), so that nothing proves the object."""

        def attempt() -> int:
            try:
                return self.client.head_object(Bucket=self.name, Key=key, PartNumber=number)["ContentLength"]
            except boto.ClientError as error:
                if status_of(error) != NOT_IMPLEMENTED:
                    raise
                return 0

        return self._patiently(f"look at part {number} of {self.scheme}://{self.name}/{key}", key, attempt)

    @readable(KeyError)
    def get(self, key: str, start: int, end: int | None, generation: str | None) -> tuple[bytes, Stored]:
        try:
            answer = self.client.get_object(
                Bucket=self.name,
                Key=key,
                **({} if end is None else {"Range": f"bytes={start}-{end - 1}"}),
                **({} if generation is None else {"IfMatch": generation}),
            )
        except boto.ClientError as error:
            raise (self._told(key, error) if denied(error) else error) from None
        with contextlib.closing(answer["Body"]) as body:
            if generation is not None and _bare(answer["ETag"]) != _bare(generation):  # a store that knows no If-Match
                raise PreconditionFailed(f"{self.scheme}://{self.name}/{key} has changed")
            data = body.read()
        if end is not None and len(data) != end - start:
            raise Transient(f"{len(data):,} bytes instead of {end - start:,}")
        return data, _stored(key, answer, size=len(data))

    @readable(KeyError)
    def put(self, key: str, data: bytes, over: str | None) -> Stored:
        crc32c = digest_of(data, CRC32C)
        md5 = digest_of(data, "md5")
        answer = self.client.put_object(
            Bucket=self.name,
            Key=key,
            Body=data,
            ContentMD5=_base64(md5),
            Metadata={CRC32C: crc32c},
            **({} if over is None else {"IfMatch": over} if over else {"IfNoneMatch": "*"}),
        )
        _compare_etag(answer, md5)
        return Stored(key, len(data), answer["ETag"], {CRC32C: crc32c})

    @readable(KeyError)
    def put_large(self, key: str, path: pathlib.Path, sent: Callable[[int], None]) -> Stored:
        crc32c = digest_of(path, CRC32C)
        size = path.stat().st_size
        part = max(self.limits.part, -(-size // MAX_PARTS))
        uri = f"{self.scheme}://{self.name}/{key}"
        upload = self._patiently(
            f"begin the upload of {uri}",
            key,
            lambda: self.client.create_multipart_upload(Bucket=self.name, Key=key, Metadata={CRC32C: crc32c}),
        )["UploadId"]
        etags: dict[int, str] = {}

        def send(number: int) -> None:
            with path.open("rb") as file:
                file.seek((number - 1) * part)
                data = file.read(part)
            etags[number] = self._patiently(
                f"upload part {number} of {uri}", key, lambda: self._put_part(key, upload, number, data)
            )
            sent(len(data))

        try:
            numbers = range(1, -(-size // part) + 1)
            run_all((functools.partial(send, number) for number in numbers), self.limits.part_workers)
            parts = [{"PartNumber": number, "ETag": etags[number]} for number in numbers]
            etag = self._complete(key, upload, parts, crc32c, uri)
        except BaseException:
            self._abort(key, upload)
            raise
        return Stored(key, size, etag, {CRC32C: crc32c})

    @readable(KeyError)
    def copy(self, source: str, target: str, generation: str | None) -> None:
        match = {} if generation is None else {"CopySourceIfMatch": generation}
        origin = {"Bucket": self.name, "Key": source}
        found = self._head(source)
        if found["ContentLength"] <= LARGEST_COPY:
            copied = self.client.copy_object(Bucket=self.name, Key=target, CopySource=origin, **match)
            if not copied["CopyObjectResult"]:
                raise Transient(UNREADABLE)
            return
        in_parts = TransferConfig(
            multipart_threshold=LARGEST_COPY,
            multipart_chunksize=COPIED_PART,
            max_concurrency=self.limits.part_workers,
        )
        kept = {"Metadata": found.get("Metadata", {}), **match}
        self.client.copy(origin, self.name, target, ExtraArgs=kept, Config=in_parts)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def explain(self, error: Exception, key: str) -> Exception:
        bucket = f"{self.scheme}://{self.name}"
        failure = explain_s3(error, bucket, key)
        unsigned = self.client.meta.config.signature_version is botocore.UNSIGNED
        return explain_setup(boto.NoCredentialsError(), bucket) if unsigned and isinstance(failure, Denied) else failure

    def _listing(self, prefix: str, **asked: Any) -> dict:
        answer = self.client.list_objects_v2(Bucket=self.name, Prefix=prefix, **asked)
        if answer.keys() == {"ResponseMetadata"}:
            raise Transient(UNREADABLE)  # of an empty prefix a store says more
        return answer

    def _told(self, key: str, error: boto.ClientError) -> Exception:
        """The reason behind a refusal, as a listing of the key alone tells it.

        The answer to a HEAD has no body to say whether the bucket is missing, or credentials have expired. And where
        rights end at a prefix, as those of a Kubeflow profile do, the bucket itself may not be asked for, and AWS
        answers 403 for what is not there.
        """
        if status_of(error) not in (400, 403, 404):
            return error
        try:
            found = self._listing(key, MaxKeys=1).get("Contents", ())
        except boto.ClientError as refused:
            return error if status_of(error) == 404 and denied(refused) else refused
        if status_of(error) == 404 or any(item["Key"] == key for item in found):
            return error
        return NotFound(f"expected an object {self.scheme}://{self.name}/{key}, received none; check the name")

    def _patiently(
        self, what: str, key: str, attempt: Callable[[], Any], retried: Callable[[], Any] = lambda: None
    ) -> Any:
        return patiently(attempt, lambda error: self.explain(error, key), what, self.limits, retried)

    @readable(KeyError)
    def _put_part(self, key: str, upload: str, number: int, data: bytes) -> str:
        md5 = digest_of(data, "md5")
        answer = self.client.upload_part(
            Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=data, ContentMD5=_base64(md5)
        )
        _compare_etag(answer, md5)
        return answer["ETag"]

    def _complete(self, key: str, upload: str, parts: list[dict], crc32c: str, uri: str) -> str:
        @readable(KeyError)
        def attempt() -> str:
            return self.client.complete_multipart_upload(
                Bucket=self.name, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )["ETag"]

        retries = []
        try:
            return self._patiently(f"finish the upload of {uri}", key, attempt, lambda: retries.append(1))
        except NotFound:
            # No such upload: an earlier try may have finished it, its answer lost.
            if retries:
                found = self._patiently(
                    f"look at {uri}", key, lambda: self.client.head_object(Bucket=self.name, Key=key)
                )
                if found.get("Metadata", {}).get(CRC32C) == crc32c:
                    return found["ETag"]
            raise

    def _abort(self, key: str, upload: str) -> None:
        """Frees the parts, which are paid for until then; a bucket's lifecycle rule is the net below."""
        with contextlib.suppress(boto.BotoCoreError, boto.ClientError, OSError):
            self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)


def _bare(etag: str) -> str:
    return etag.strip('"').lower()


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def _plain_md5(answer: dict) -> str | None:
    """The MD5 inside an ETag: whole one-request objects, not encrypted by KMS or a customer's key."""
    etag = _bare(answer.get("ETag", ""))
    return etag if MD5.fullmatch(etag) and not _encrypted(answer) else None


def _encrypted(answer: dict) -> bool:
    """Whether the ETag is no MD5 because of encryption by KMS or a customer's key."""
    return answer.get("ServerSideEncryption") not in (None, "AES256") or "SSECustomerAlgorithm" in answer


def _compare_etag(answer: dict, md5: str) -> None:
    """For stores that take Content-MD5 without a look at it."""
    found = _plain_md5(answer)
    if found is not None and found != md5:
        raise Transient("the store received other bytes than were sent")


def _stored(key: str, answer: dict, size: int | None = None) -> Stored:
    """From an answer about one object (HEAD, GET), or from an item of a listing."""
    sums = {}
    if CRC32C in answer.get("Metadata", {}):
        sums[CRC32C] = answer["Metadata"][CRC32C]
    # A listing does not tell whether the object is encrypted, and so whether its ETag is an MD5.
    if "ResponseMetadata" in answer and (md5 := _plain_md5(answer)):
        sums["md5"] = md5
    if size is None:
        size = answer["Size"] if "Size" in answer else answer["ContentLength"]
    return Stored(key, size, answer["ETag"], sums, answer["LastModified"].timestamp())
