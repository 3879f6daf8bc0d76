"""A real HTTP server on loopback that misbehaves on request, and small originals to fetch from it."""

import contextlib
import dataclasses
import gzip
import hashlib
import http.server
import io
import random
import re
import socket
import struct
import sys
import tarfile
import threading

from components.core.catalog import Original

# Short enough for tests, and yet no test's outcome hangs on how fast anything is.
ATTEMPTS = 3


@dataclasses.dataclass
class Answer:
    """What the server does with one request. By default: serves the file, in part where a Range is asked for."""

    status: int = 0
    reason: str | None = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes | None = None
    knows_ranges: bool = True
    knows_if_range: bool = True
    # After so many bytes of the body: close, reset the connection, or say nothing more.
    stop_after: int | None = None
    how: str = "close"
    # Announced instead of the true length; None announces none and ends the body by closing.
    length: int | str | None = "true"
    chunked: bool = False
    range_shift: int = 0
    etag: str | None = None


@dataclasses.dataclass
class Seen:
    """A request that came in, and how many bytes of body went out for it."""

    path: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


class Server(http.server.ThreadingHTTPServer):
    """`files` by path; `answers` are used up in order, then everything goes well."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.answers: list[Answer] = []
        self.seen: list[Seen] = []
        self.stalled = threading.Event()
        self.released = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up, or is killed, is what these tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def url(self, path: str, user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.server_port}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:  # noqa: N802
        server = self.server
        seen = Seen(self.path, {name.lower(): value for name, value in self.headers.items()})
        server.seen.append(seen)
        answer = server.answers.pop(0) if server.answers else Answer()
        data = answer.body if answer.body is not None else server.files.get(self.path.partition("?")[0])
        status = answer.status or (404 if data is None else 200)
        data = data or b""
        etag = answer.etag if answer.etag is not None else f'"{hashlib.md5(data).hexdigest()}"'
        headers = {"ETag": etag} if etag else {}
        asked = re.fullmatch(r"bytes=(\d+)-", seen.range or "")
        unchanged = not answer.knows_if_range or seen.headers.get("if-range", etag) == etag
        if asked and status == 200 and answer.knows_ranges and unchanged:
            start = int(asked[1]) + answer.range_shift
            if start >= len(data):
                status, data, headers = 416, b"", {"Content-Range": f"bytes */{len(data)}"}
            else:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
                status, data = 206, data[start:]
        seen.status = status
        self.send_response(status, answer.reason)
        if answer.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif answer.length is not None:
            headers["Content-Length"] = str(len(data) if answer.length == "true" else answer.length)
        for name, value in (headers | answer.headers | {"Connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        self._send(data, answer, seen)

    def _send(self, data: bytes, answer: Answer, seen: Seen) -> None:
        whole = answer.stop_after is None
        for start in range(0, len(data[: answer.stop_after]), 10_000):
            piece = data[start : min(start + 10_000, len(data[: answer.stop_after]))]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.chunked else piece)
            seen.sent += len(piece)
        if whole and answer.chunked:
            self.wfile.write(b"0\r\n\r\n")
        if not whole and answer.how == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        if not whole and answer.how == "stall":
            self.server.stalled.set()
            self.server.released.wait(60)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *args: object) -> None:
        pass


def tar_gz(size: int = 300_000, names: tuple[str, ...] = ("a/1.jpg", "b/2.jpg")) -> bytes:
    """An archive of about `size` bytes that don't compress."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for index, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size = size // len(names)
            tar.addfile(info, io.BytesIO(random.Random(index).randbytes(info.size)))
    return gzip.compress(out.getvalue(), compresslevel=1, mtime=0)


def original(data: bytes, *mirrors: str, name: str = "small.tar.gz") -> Original:
    return Original(name, mirrors, hashlib.md5(data).hexdigest(), len(data))


DATA = tar_gz()
HALF = len(DATA) // 2
