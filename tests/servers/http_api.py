"""What the small HTTP servers of the tests share: routes, recorded requests, and faults put in front of them."""

import contextlib
import email
import http.server
import json
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any


class Api:
    """A real HTTP server on a free loopback port. Subclasses answer in `handle`.

    Attributes:
        requests: (method, path, query, body) of every request, in order.
        faults: (method, start of the path, fault) to come before answers, each once, in order: a status with a body,
            "drop" (the connection ends without an answer), "cut" (it ends in the middle of the answer), "stall" (no
            answer until the server stops), or "drop after" (dropped, once the request has taken effect).
        before: called with the method and the path of each request, before it is answered.
        date: what the server takes the time to be; empty: as it is.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.authorizations: list[str | None] = []
        self.faults: list[tuple[str, str, Any]] = []
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.date = ""
        self.lock = threading.Lock()
        self.stopped = threading.Event()

    def handle(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> tuple[int, Any]:
        """The status, and the answer as an object for JSON or as text."""
        raise NotImplementedError

    def read(self, body: bytes, kind: str) -> Any:
        """The body of a request: JSON, or the parts of a form by their names."""
        if kind.startswith("multipart/form-data"):
            message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
            return {
                part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode()
                for part in message.get_payload()
            }
        return json.loads(body) if body else None

    def count(self, method: str, path: str) -> int:
        return sum(1 for request in self.requests if request[:2] == (method, path))

    @contextlib.contextmanager
    def serving(self, tls: ssl.SSLContext | None = None) -> Iterator[str]:
        """Yields the server's URL; with `tls` that of localhost."""
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else an answer waits 40 ms, between its headers and its body

            def answer(self) -> None:
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = api.read(text, self.headers.get("Content-Type") or "")
                with api.lock:
                    api.requests.append((self.command, url.path, query, body))
                    api.authorizations.append(self.headers.get("Authorization"))
                    fault = api._fault(self.command, url.path)
                if fault == "stall":
                    api.stopped.wait(30)
                if fault in ("drop", "stall"):
                    return self.drop()
                with api.lock:
                    api.before(self.command, url.path)
                    failure = fault if fault != "cut" else None
                    status, answer = failure or api.handle(self.command, url.path, query, body, self.headers)
                    if fault is None and api._fault(self.command, url.path, "drop after"):
                        return self.drop()
                return self.send(status, answer, is_cut=fault == "cut")

            def send(self, status: int, answer: Any, is_cut: bool = False) -> None:
                headers = {}
                if isinstance(answer, tuple):
                    answer, headers = answer
                is_text = isinstance(answer, str | bytes)
                data = answer if isinstance(answer, bytes) else (answer if is_text else json.dumps(answer)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if is_text else "application/json")
                self.send_header("Content-Length", str(len(data)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data[: len(data) // 2] if is_cut else data)
                if is_cut:
                    self.drop()

            def drop(self) -> None:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)

            do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815

            def date_time_string(self, timestamp: float | None = None) -> str:
                return api.date or super().date_time_string(timestamp)

            def log_message(self, *arguments: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"https://localhost:{server.server_port}" if tls else f"http://127.0.0.1:{server.server_port}"
        finally:
            self.stopped.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def _fault(self, method: str, path: str, only: str | None = None) -> Any:
        for index, (wanted, start, fault) in enumerate(self.faults):
            after = fault == "drop after"
            if wanted == method and path.startswith(start) and after == (only == "drop after"):
                del self.faults[index]
                return fault
        return None
