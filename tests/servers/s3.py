"""An S3 server in memory, for tests: moto's, with what S3 promises and moto leaves out.

- Conditional writes are atomic (moto looks and writes in two steps, and its threads can come between).
- Content-MD5 is checked, and x-amz-copy-source-if-match.
- Buckets can be forbidden, credentials can be refused, as S3 would say it.
"""

import base64
import functools
import hashlib
import io
import threading
import urllib.parse
from collections.abc import Callable, Container, Iterable

import boto3
import botocore.config
import moto.s3.models
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key-that-must-never-be-printed"


class S3Server:
    """The server in a thread of this process: `with S3Server("bucket") as server: server.url`.

    Attributes:
        forbidden: buckets on which the caller has no permission.
        profiles: buckets in which the caller's rights are those of a Kubeflow profile: what lies below some prefixes,
            and not the bucket itself (pipelines-profile-controller/sync.py in kubeflow/pipelines).
        hides: whether a profile is told 403 of an object that is not there: AWS does, MinIO and SeaweedFS do not.
        kept: buckets in which the caller has no right to delete.
        accepted: the only access key id accepted; None accepts any.
        careless: whether Content-MD5, and If-Match of a read, are taken without a look at them, as some stores do.
        largest_copy: bytes of an object that one request copies, as S3 says it.
        refused: a status, a code and perhaps why, with which every request is refused; None: none is.
    """

    def __init__(self, *buckets: str):
        self.buckets, self.forbidden, self.accepted = buckets, set(), None
        self.kept: set[str] = set()
        self.profiles: set[str] = set()
        self.hides = self.careless = False
        self.largest_copy = 5 << 30
        self.refused: tuple[int | str, ...] | None = None
        self.lock = threading.Lock()
        # S3 wants parts of 5 MiB; tests want small ones.
        moto.s3.models.S3_UPLOAD_PART_MIN_SIZE = 1
        self.app = create_backend_app("s3")
        self.server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "S3Server":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        for bucket in self.buckets:
            self.client.create_bucket(Bucket=bucket)
        return self

    def __exit__(self, *raised) -> None:
        self.server.shutdown()
        self.server.server_close()

    @functools.cached_property
    def client(self):
        """A client of the official library, as the owner of everything."""
        config = botocore.config.Config(s3={"addressing_style": "path"})
        keys = {"aws_access_key_id": self.accepted or ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        session = boto3.session.Session(region_name="us-east-1", **keys)
        return session.client("s3", endpoint_url=self.url, config=config)

    def _answer(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        request = Request(environ)
        if self.careless and request.method == "GET":
            environ.pop("HTTP_IF_MATCH", None)
        refusal = self._refusal(request)
        if refusal:
            return refusal(environ, start_response)
        if request.headers.get("If-None-Match") or request.headers.get("If-Match"):
            with self.lock:
                return list(self.app(environ, start_response))
        return self.app(environ, start_response)

    def _refusal(self, request: Request) -> Response | None:
        if self.refused:
            return _error(*self.refused)
        if self.accepted and f"Credential={self.accepted}/" not in request.headers.get("Authorization", ""):
            return _error(403, "InvalidAccessKeyId")
        bucket, _, key = request.path[1:].partition("/")
        of_all = not key and not request.args.get("prefix")
        secret = key and self.hides and request.method in ("GET", "HEAD") and key not in self._keys(bucket)
        if bucket in self.forbidden or (bucket in self.profiles and (of_all or secret)):
            return _error(403, "AccessDenied")
        if bucket in self.kept and request.method == "DELETE":
            return _error(403, "AccessDenied")
        if (source := request.headers.get("x-amz-copy-source")) and "uploadId" not in request.args:
            origin, _, copied = urllib.parse.unquote(source.lstrip("/")).partition("/")
            if copied in self._keys(origin) and self._keys(origin)[copied].size > self.largest_copy:
                return _error(400, "InvalidRequest")
            wanted = request.headers.get("x-amz-copy-source-if-match")
            if wanted and copied in self._keys(origin) and self._keys(origin)[copied].etag != wanted:
                return _error(412, "PreconditionFailed")
        claimed = request.headers.get("Content-MD5")
        if claimed and not self.careless:
            data = request.get_data()
            request.environ["wsgi.input"] = io.BytesIO(data)
            if claimed != base64.b64encode(hashlib.md5(data).digest()).decode():
                return _error(400, "BadDigest")
        return None

    def _keys(self, bucket: str) -> Container[str]:
        return moto.s3.models.s3_backends["123456789012"]["aws"].buckets[bucket].keys


class _Quiet(MotoRequestHandler):
    def log(self, *arguments) -> None:
        pass


def _error(status: int, code: str, why: str = "") -> Response:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} {why} for {SECRET_KEY}</Message></Error>"
    region = {"x-amz-bucket-region": "eu-central-1"} if status == 301 else None
    return Response(text, status, region, content_type="application/xml")
