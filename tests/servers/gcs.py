"""A Google Cloud Storage server in memory, for tests: the part of the JSON and XML APIs that google-cloud-storage uses.

Unlike the emulators on PyPI it honours ifGenerationMatch atomically, as
https://cloud.google.com/storage/docs/request-preconditions says, checks CRC-32C and MD5 of what it receives, speaks
resumable and XML multipart uploads and ranged reads, and tells a missing bucket from a missing object.

    python -m tests.servers.gcs --bucket NAME [--latency-ms MS]     prints its URL and serves until it is killed
"""

import argparse
import email.utils
import http.server
import json
import re
import socket
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

from tests.servers.gcs_state import Object, RefusedError, State, check, crc32c_of, resource

OBJECT = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)")
BUCKET = re.compile(r"/storage/v1/b/([^/]+)")
LISTING = re.compile(r"/storage/v1/b/([^/]+)/o/?")
UPLOAD = re.compile(r"(?:/resumable)?/upload/storage/v1/b/([^/]+)/o")
REWRITE = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/rewriteTo/b/([^/]+)/o/([^/]+)")
XML = re.compile(r"/([^/]+)/(.+)")


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    state: State

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *arguments) -> None:
        pass

    def handle_any(self) -> None:
        if self.state.latency_s:
            time.sleep(self.state.latency_s)
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        body = self.body()
        xml = False
        try:
            if self.state.refusals:
                status, reason, *why = self.state.refusals.pop()
                raise RefusedError(status, *(why or ["User Rate Limit Exceeded"]), reason)
            if self.state.token and self.headers.get("Authorization") != f"Bearer {self.state.token}":
                raise RefusedError(401, "Invalid Credentials")
            if match := REWRITE.fullmatch(url.path):
                return self.rewrite(*map(urllib.parse.unquote, match.groups()), query)
            if match := UPLOAD.fullmatch(url.path):
                return self.upload(urllib.parse.unquote(match[1]), query, body)
            if match := OBJECT.fullmatch(url.path):
                return self.one(*map(urllib.parse.unquote, match.groups()), query)
            if match := BUCKET.fullmatch(url.path):
                name = urllib.parse.unquote(match[1])
                self.state.bucket(name)
                return self.json({"kind": "storage#bucket", "name": name, "location": "US", "projectNumber": "1"})
            if match := LISTING.fullmatch(url.path):
                return self.listing(urllib.parse.unquote(match[1]), query)
            if match := XML.fullmatch(url.path):
                xml = True
                return self.multipart(*map(urllib.parse.unquote, match.groups()), query, body)
            raise RefusedError(400, f"this server does not know {self.command} {self.path}")
        except RefusedError as refused:
            if xml:
                code = "BadDigest" if refused.status == 400 else "Refused"
                text = f"<Error><Code>{code}</Code><Message>{refused}</Message><Details>-</Details></Error>"
                return self.answer(refused.status, [text.encode()], {"Content-Type": "application/xml"})
            if query.get("alt") == "media":
                return self.answer(refused.status, [str(refused).encode()], {"Content-Type": "text/html"})
            said = {"code": refused.status, "message": str(refused)}
            errors = [{"domain": "global", "reason": refused.reason, "message": str(refused)}]
            return self.json({"error": said | {"errors": errors}}, refused.status)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815

    def body(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        if len(data) < length:
            raise ConnectionError("the request ended early")
        return data

    def one(self, bucket: str, name: str, query: dict[str, str]) -> None:
        if self.command == "DELETE":
            self.state.delete(bucket, name, query)
            return self.answer(204)
        found = self.state.object(bucket, name, query)
        if query.get("alt") != "media":
            return self.json(resource(bucket, name, found))
        headers = {
            "Content-Type": "application/octet-stream",
            "X-Goog-Hash": f"crc32c={found.crc32c}",
            "X-Goog-Generation": str(found.generation),
            "X-Goog-Stored-Content-Length": str(found.size),
            "Last-Modified": email.utils.format_datetime(found.updated, usegmt=True),
        }
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, end = int(asked[1]), min(int(asked[2] or found.size), found.size - 1) + 1
            if start >= found.size:
                raise RefusedError(416, "The requested range cannot be satisfied.")
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
            return self.answer(206, list(found.pieces(start, end)), headers)
        return self.answer(200, list(found.pieces(0, found.size)), headers)

    def listing(self, bucket: str, query: dict[str, str]) -> None:
        with self.state.lock:
            objects = dict(self.state.bucket(bucket))
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        entries: dict[str, Object | None] = {}
        for name in sorted(objects, key=str.encode):
            if not name.startswith(prefix):
                continue
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            entries[name if cut < 0 else name[: cut + 1]] = objects[name] if cut < 0 else None
        names = [name for name in entries if name > query.get("pageToken", "")]
        page, more = names[: self.state.page], len(names) > self.state.page
        answer = {
            "items": [resource(bucket, name, entries[name]) for name in page if entries[name]],
            "prefixes": [name for name in page if not entries[name]],
        }
        self.json(answer | ({"nextPageToken": page[-1]} if more else {}))

    def rewrite(self, bucket: str, name: str, bucket_to: str, name_to: str, query: dict[str, str]) -> None:
        source = self.state.object(bucket, name, {})
        if int(query.get("ifSourceGenerationMatch", source.generation)) != source.generation:
            raise RefusedError(412, "At least one of the pre-conditions you specified did not hold.")
        written = self.state.write(bucket_to, name_to, source.parts, query, {})
        size = str(written.size)
        done = {"done": True, "objectSize": size, "totalBytesRewritten": size}
        self.json(done | {"resource": resource(bucket_to, name_to, written)})

    def upload(self, bucket: str, query: dict[str, str], body: bytes) -> None:
        kind = query.get("uploadType")
        if kind == "multipart":
            claimed, data = _related(body, self.headers["Content-Type"])
            return self.written(bucket, claimed.get("name") or query["name"], data, query, claimed)
        if kind == "media":
            return self.written(bucket, query["name"], body, query, {})
        if kind == "resumable" and self.command == "POST":
            self.state.bucket(bucket)
            claimed = json.loads(body or b"{}")
            name = claimed.get("name") or query["name"]
            with self.state.lock:
                check(self.state.buckets[bucket].get(name), query)
                session = str(next(self.state.generations))
                self.state.sessions[session] = {"name": name, "query": query, "claimed": claimed, "data": bytearray()}
            place = f"http://{self.headers['Host']}{urllib.parse.urlsplit(self.path).path}"
            return self.answer(200, [], {"Location": f"{place}?uploadType=resumable&upload_id={session}"})
        if kind == "resumable" and self.command == "PUT":
            return self.resumed(bucket, query["upload_id"], body)
        raise RefusedError(400, f"unknown upload {kind}")

    def resumed(self, bucket: str, session_id: str, body: bytes) -> None:
        session = self.state.sessions.get(session_id)
        if session is None:
            raise RefusedError(410, "no such upload")
        span = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", self.headers.get("Content-Range", "bytes */*"))
        data: bytearray = session["data"]
        if span[1] is not None and int(span[1]) <= len(data):
            data[int(span[1]) :] = body
        if span[3] != "*" and len(data) == int(span[3]):
            del self.state.sessions[session_id]
            return self.written(bucket, session["name"], bytes(data), session["query"], session["claimed"])
        return self.answer(308, [], {"Range": f"bytes=0-{len(data) - 1}"} if data else {})

    def written(self, bucket: str, name: str, data: bytes, query: dict[str, str], claimed: dict) -> None:
        self.json(resource(bucket, name, self.state.write(bucket, name, [data], query, claimed)))

    def multipart(self, bucket: str, name: str, query: dict[str, str], body: bytes) -> None:
        """The XML API's multipart upload."""
        self.state.bucket(bucket)
        if self.command == "POST" and "uploads" in query:
            upload = str(next(self.state.generations))
            self.state.uploads[upload] = {}
            tag = "InitiateMultipartUploadResult"
            text = f'<{tag} xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><UploadId>{upload}</UploadId></{tag}>'
            return self.answer(200, [text.encode()], {"Content-Type": "application/xml"})
        parts = self.state.uploads.get(query.get("uploadId", ""))
        if parts is None:
            raise RefusedError(404, "The requested upload was not found.")
        if self.command == "PUT":
            crc32c = crc32c_of([body])
            for claim in self.headers.get("X-Goog-Hash", "").split(","):
                kind, _, value = claim.strip().partition("=")
                if kind == "crc32c" and value != crc32c:
                    raise RefusedError(400, "The CRC32C you specified did not match what we received.")
            if int(query["partNumber"]) > self.state.max_parts:
                raise RefusedError(400, "Part number must be an integer between 1 and 10000, inclusive.")
            parts[int(query["partNumber"])] = body
            return self.answer(200, [], {"ETag": f'"{crc32c}"', "X-Goog-Hash": f"crc32c={crc32c}"})
        if self.command == "DELETE":
            del self.state.uploads[query["uploadId"]]
            return self.answer(204)
        numbers = [int(node.text) for node in ElementTree.fromstring(body).iter() if node.tag.endswith("PartNumber")]
        if numbers != sorted(parts):
            raise RefusedError(400, "One or more of the specified parts could not be found.")
        self.state.write(bucket, name, [parts[number] for number in numbers], {}, {})
        del self.state.uploads[query["uploadId"]]
        return self.answer(200, [b"<CompleteMultipartUploadResult/>"], {"Content-Type": "application/xml"})

    def json(self, value: dict, status: int = 200) -> None:
        self.answer(status, [json.dumps(value).encode()], {"Content-Type": "application/json; charset=UTF-8"})

    def answer(self, status: int, pieces: Sequence[bytes] = (), headers: dict[str, str] | None = None) -> None:
        lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if status != 204:
            lines.append(f"Content-Length: {sum(map(len, pieces))}")
        self.wfile.write("\r\n".join([*lines, "", ""]).encode())
        for piece in pieces:
            self.wfile.write(piece)


def _related(body: bytes, content_type: str) -> tuple[dict, bytes]:
    """The metadata and the data of a multipart/related upload."""
    boundary = b"\r\n--" + re.search(r'boundary="?([^";]+)', content_type)[1].strip("'").encode()
    metadata_from = body.find(b"\r\n\r\n") + 4
    metadata_to = body.find(boundary, metadata_from)
    data_from = body.find(b"\r\n\r\n", metadata_to + len(boundary)) + 4
    return json.loads(body[metadata_from:metadata_to]), body[data_from : body.rfind(boundary)]


class GcsServer:
    """The server in a thread of this process: `with GcsServer("bucket") as server: server.url`."""

    def __init__(self, *buckets: str):
        self.state = State(buckets)
        handler = type("BoundHandler", (Handler,), {"state": self.state})
        self.server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "GcsServer":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *raised) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address) -> None:
        """A client that goes away is what the tests are about."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bucket", action="append", required=True)
    parser.add_argument("--latency-ms", type=float, default=0, help="added to every request")
    arguments = parser.parse_args()
    with GcsServer(*arguments.bucket) as running:
        running.state.latency_s = arguments.latency_ms / 1000
        print(running.url, flush=True)
        threading.Event().wait()
