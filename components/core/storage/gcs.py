"""gs:// over google-cloud-storage. Credentials and endpoint come from the client's own chain (ADC, Workload Identity,
STORAGE_EMULATOR_HOST)."""

import base64
import contextlib
import io
import os
import pathlib
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import google.auth.exceptions
import requests
import requests.adapters
from google.api_core import exceptions as api
from google.cloud import storage
from google.cloud.storage import transfer_manager
from google.cloud.storage.retry import DEFAULT_RETRY

from components.core.storage.backend import Limits, Page, Stored
from components.core.storage.checksums import digest_of
from components.core.storage.errors import UNREADABLE, Corrupted, Denied, NotFound, StorageError, Transient, readable
from components.core.storage.gcs_errors import LOG_IN, explain_gcs
from components.core.storage.location import is_url
from components.core.storage.retry import LONGEST_PAUSE_S

CONNECT_TIMEOUT_S = 10.0
LISTED_FIELDS = "items(name,size,generation,crc32c,md5Hash,updated),prefixes,nextPageToken"
# The most parts of one upload, as on S3.
MAX_PARTS = 10_000
CONTENT_TYPE = "application/octet-stream"

EMULATOR = "STORAGE_EMULATOR_HOST"


class GcsBackend:
    """Objects of one bucket."""

    def __init__(self, bucket: str, limits: Limits):
        self.name, self.limits, self.anonymous = bucket, limits, False
        if (emulator := os.environ.get(EMULATOR)) and not is_url(emulator):  # the client fails of it with a traceback
            raise StorageError(f"expected {EMULATOR} as http://host:port, received another value")
        self.timeout = (CONNECT_TIMEOUT_S, limits.stall_s)
        try:
            # project=None: objects need no project, and looking for one fails if only a user is logged in.
            self.client = storage.Client(project=None)
        except google.auth.exceptions.DefaultCredentialsError:
            if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
                raise self._no_credentials() from None
            self.client = storage.Client.create_anonymous_client()  # as public buckets are asked
            self.anonymous = True
        except google.auth.exceptions.GoogleAuthError as error:
            raise Denied(f"Google credentials can't be used ({type(error).__name__}); {LOG_IN}") from None
        # For traces, which nobody takes here, the client asks for the bucket beside the first request and after each
        # answer that there is no such object: in threads of its own, and with a right that our roles do not have.
        self.client._bucket_metadata_cache = None
        self.wire = _Wire(limits)
        session = self.client._http
        if not session.is_mtls:
            for scheme in ("https://", "http://"):
                session.mount(scheme, self.wire)
        # Proxies and CA bundle are read from the environment once: requests does it for every request, which is 3 of
        # the 5.5 ms of CPU that one costs.
        session.proxies.update(requests.utils.get_environ_proxies(self.client.api_endpoint))
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        session.trust_env = False
        self.bucket = self.client.bucket(bucket)

    @readable(AttributeError)
    def page(self, prefix: str, flat: bool, token: str | None) -> Page:
        listing = self.client.list_blobs(
            self.bucket,
            prefix=prefix,
            delimiter=None if flat else "/",
            page_token=token,
            fields=LISTED_FIELDS,
            retry=None,
            timeout=self.timeout,
        )
        blobs = list(next(listing.pages, ()))
        return Page([_stored(blob) for blob in blobs], sorted(listing.prefixes), listing.next_page_token)

    @readable(AttributeError)
    def stat(self, key: str) -> Stored:
        blob = self.bucket.blob(key)
        blob.reload(retry=None, timeout=self.timeout)
        return _stored(blob)

    def get(self, key: str, start: int, end: int | None, generation: str | None) -> tuple[bytes, Stored]:
        blob = self.bucket.blob(key)
        ranged = {} if end is None else {"start": start, "end": end - 1}
        into = io.BytesIO()
        # raw: what is stored, also if it is stored gzipped; single shot: one read instead of 8 KiB pieces.
        # The client's own check covers whole downloads only; the Store checks every one.
        blob.download_to_file(
            into,
            **ranged,
            if_generation_match=int(generation) if generation else None,
            raw_download=True,
            single_shot_download=True,
            checksum=None,
            retry=None,
            timeout=self.timeout,
        )
        data = into.getvalue()
        if end is not None and len(data) != end - start:
            raise Transient(f"{len(data):,} bytes instead of {end - start:,}")
        return data, _stored(blob, size=len(data))

    @readable(AttributeError)
    def put(self, key: str, data: bytes, over: str | None) -> Stored:
        blob = self.bucket.blob(key)
        blob.upload_from_file(
            io.BytesIO(data),
            size=len(data),
            content_type=CONTENT_TYPE,
            checksum="crc32c",
            # Generation 0 is Google's way to say "no live object".
            if_generation_match=None if over is None else int(over or 0),
            retry=None,
            timeout=self.timeout,
        )
        return self._checked(_stored(blob), digest_of(data, "crc32c"))

    @readable(AttributeError)
    def put_large(self, key: str, path: pathlib.Path, sent: Callable[[int], None]) -> Stored:
        crc32c = digest_of(path, "crc32c")
        blob = self.bucket.blob(key)
        try:
            with self.wire.counting(f"/{self.name}/{key}", sent):
                transfer_manager.upload_chunks_concurrently(
                    os.fspath(path),
                    blob,
                    content_type=CONTENT_TYPE,
                    chunk_size=max(self.limits.part, -(-path.stat().st_size // MAX_PARTS)),
                    max_workers=self.limits.part_workers,
                    worker_type=transfer_manager.THREAD,
                    checksum="crc32c",
                    retry=self._patience(),
                )
        except Exception as error:
            # The answer may be lost and the object there all the same.
            if isinstance(self.explain(error, key), Transient | NotFound):
                with contextlib.suppress(api.NotFound):
                    blob.reload(retry=self._patience(), timeout=self.timeout)
                    if _stored(blob).checksums.get("crc32c") == crc32c:
                        return _stored(blob)
            raise
        try:
            blob.reload(retry=self._patience(), timeout=self.timeout)
        except api.NotFound:  # whoever answered last was not the store
            raise Transient(UNREADABLE) from None
        return self._checked(_stored(blob), crc32c)

    @readable(AttributeError, TypeError)
    def copy(self, source: str, target: str, generation: str | None) -> None:
        blob, token = self.bucket.blob(target), None
        match = int(generation) if generation else None
        while True:
            token, _, _ = blob.rewrite(
                self.bucket.blob(source),
                token=token,
                if_source_generation_match=match,
                retry=None,
                timeout=self.timeout,
            )
            if token is None:
                return

    provable = stat

    @readable(AttributeError)
    def delete(self, key: str) -> None:
        self.bucket.blob(key).delete(retry=None, timeout=self.timeout)

    def explain(self, error: Exception, key: str) -> Exception:
        failure = explain_gcs(error, f"gs://{self.name}", key)
        return self._no_credentials() if self.anonymous and isinstance(failure, Denied) else failure

    def _no_credentials(self) -> Denied:
        return Denied(f"no Google credentials found for gs://{self.name}; {LOG_IN}")

    def _checked(self, stored: Stored, crc32c: str) -> Stored:
        if stored.checksums.get("crc32c") != crc32c:
            raise Corrupted(f"gs://{self.name}/{stored.key} was stored with other bytes than were sent; run again")
        return stored

    def _patience(self):
        delays = {"initial": self.limits.first_pause_s, "maximum": LONGEST_PAUSE_S}
        return DEFAULT_RETRY.with_delay(**delays).with_timeout(self.limits.deadline_s)


class _Wire(requests.adapters.HTTPAdapter):
    """What the client's session is missing:

    - room for every worker's connection: a session keeps 10, and drops and re-opens the others each time
    - a stall limit on the requests that pass none, which are the parts of an upload, and on each piece that is sent
    - the bytes of parts that have arrived, for the progress bar
    """

    def __init__(self, limits: Limits):
        super().__init__(pool_connections=4, pool_maxsize=limits.workers + limits.part_workers)
        self.stall_s = limits.stall_s
        self.listeners: dict[str, Callable[[int], None]] = {}

    @contextlib.contextmanager
    def counting(self, path: str, sent: Callable[[int], None]) -> Iterator[None]:
        """Calls `sent` with the size of every part that is accepted under this URL path."""
        self.listeners[path] = sent
        try:
            yield
        finally:
            del self.listeners[path]

    def send(self, request: requests.PreparedRequest, *arguments: Any, **settings: Any) -> requests.Response:
        settings["timeout"] = (CONNECT_TIMEOUT_S, self.stall_s)
        body = request.body
        if isinstance(body, bytes):
            # Sent in pieces, each of which has that time: all of it at once would have it for a whole part.
            request.body = io.BytesIO(body)  # type: ignore[assignment]
        try:
            response = super().send(request, *arguments, **settings)
        finally:
            request.body = body
        if self.listeners and request.method == "PUT" and response.ok:
            sent = self.listeners.get(urllib.parse.unquote(urllib.parse.urlsplit(request.url).path))
            if sent:
                sent(len(request.body or b""))
        return response


def _stored(blob: storage.Blob, size: int | None = None) -> Stored:
    try:
        sums = {"crc32c": blob.crc32c, "md5": blob.md5_hash}
        sums = {name: base64.b64decode(value).hex() for name, value in sums.items() if value}
        updated = blob.updated.timestamp() if blob.updated else 0.0
        size = int(blob.size) if size is None else size
        return Stored(blob.name, size, str(int(blob.generation)), sums, updated)
    except (ValueError, TypeError):
        raise Transient(UNREADABLE) from None
