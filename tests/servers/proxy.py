"""A proxy between a client and its store that does to chosen requests what networks and stores do on bad days.

    with Proxy(server.url) as proxy:
        proxy.fail("status:503", times=2, method="GET")
        proxy.fail("truncate", path="big.bin")

What can happen to a request (the `deed`):

    status:CODE     is answered with that status, and never reaches the store; 503/60: come again in a minute
    refuse:XML      is answered 403 with that S3 error code
    reset           the connection is reset before the store sees the request
    lose            the store does it, but the connection is reset instead of the answer
    truncate        half of the answer's body, then the connection ends
    stall           half of the answer's body, then silence
    corrupt         one byte of the answer's body is another one
    corrupt-upload  one byte of the request's body is another one
    slow            takes 4 s for a body of 8 MB
    hold            waits until `proxy.released` is set, then goes on as if nothing had been
"""

import dataclasses
import socket
import socketserver
import struct
import threading
import time
import urllib.parse

PIECE = 1 << 18
LONGEST_STALL_S = 30.0


@dataclasses.dataclass
class Fault:
    """A deed for requests with that method, where `path` is a piece of `PATH bytes=FROM-TO`.

    It happens `times` times, after the first `skip` such requests.
    """

    deed: str
    times: int
    method: str
    path: str
    seen: int = 0
    skip: int = 0


@dataclasses.dataclass
class Head:
    """The first line and the header fields of a message, and how long its body is."""

    lines: list[bytes]

    def field(self, name: bytes) -> bytes:
        """The value of a header field, empty where there is none."""
        found = [line.partition(b":")[2].strip() for line in self.lines[1:] if line.lower().startswith(name + b":")]
        return found[0] if found else b""

    @property
    def length(self) -> int:
        return int(self.field(b"content-length") or 0)

    @property
    def chunked(self) -> bool:
        return b"chunked" in self.field(b"transfer-encoding").lower()

    def bytes(self, *without: bytes) -> bytes:
        kept = [line for line in self.lines if not line.lower().startswith(without)] if without else self.lines
        return b"\r\n".join(kept) + b"\r\n\r\n"


class Proxy:
    """The proxy in threads of this process.

    Attributes:
        requests: `METHOD path` of every request, in order.
        released: what `hold` waits for.
    """

    def __init__(self, upstream: str):
        place = urllib.parse.urlsplit(upstream)
        self.upstream = (place.hostname, place.port)
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.released = threading.Event()
        self.held = threading.Event()
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.server = _Server(("127.0.0.1", 0), _Connection)
        self.server.proxy = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *raised) -> None:
        self.closing.set()
        self.released.set()
        stopping = threading.Thread(target=self.server.shutdown)
        stopping.start()
        socket.create_connection(self.server.server_address).close()  # wakes it: it looks 20 times a second otherwise
        stopping.join()
        self.server.server_close()

    def fail(self, deed: str, times: int = 1, method: str = "", path: str = "") -> Fault:
        """Adds a fault; the first that fits a request is the one that happens."""
        fault = Fault(deed, times, method, path)
        self.faults.append(fault)
        return fault

    def deed(self, method: str, path: str) -> str:
        """What is to happen to this request."""
        with self.lock:
            self.requests.append(f"{method} {path}".rstrip())
            for fault in self.faults:
                if fault.times > 0 and fault.method in ("", method) and fault.path in urllib.parse.unquote(path):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    fault.seen += 1
                    return fault.deed
        return ""


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    proxy: Proxy

    def handle_error(self, request, client_address) -> None:
        """Broken connections are what this is for."""


class _Connection(socketserver.BaseRequestHandler):
    """One client connection, with one connection to the store behind it."""

    def handle(self) -> None:
        proxy = self.server.proxy
        with socket.create_connection(proxy.upstream) as upstream:
            for connection in (self.request, upstream):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client, store = Stream(self.request), Stream(upstream)
            while (head := client.head()) and self.one(proxy, client, store, head):
                pass

    def one(self, proxy: Proxy, client: "Stream", store: "Stream", head: Head) -> bool:
        """Passes one request and its answer on; returns whether the connection goes on."""
        method, path = head.lines[0].decode("latin-1").split(" ")[:2]
        deed = proxy.deed(method, f"{path} {head.field(b'range').decode()}")
        if b"100-continue" in head.field(b"expect").lower():
            client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if deed == "hold":
            proxy.held.set()
            if not proxy.released.wait(LONGEST_STALL_S) or proxy.closing.is_set():
                return False
        if deed == "reset":
            client.reset()
            return False
        if deed.startswith(("status:", "refuse:")):
            client.pump(None, head)
            client.send(_refusal(deed, method))
            return True
        store.send(head.bytes(b"expect:"))
        if deed == "slow":
            client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        client.pump(store, head, damage=deed == "corrupt-upload", pause_s=0.125 if deed == "slow" else 0)
        answer = store.head()
        if answer is None or deed == "lose":
            if answer is not None:
                store.pump(None, answer, bodiless=method == "HEAD")
            client.reset()
            return False
        client.send(answer.bytes())
        if deed in ("truncate", "stall"):
            client.send(store.read(answer.length // 2))
            if deed == "stall":
                proxy.closing.wait(LONGEST_STALL_S)
            return False
        store.pump(client, answer, damage=deed == "corrupt", bodiless=method == "HEAD")
        ends = b"close" in answer.field(b"connection").lower() or answer.lines[0].startswith(b"HTTP/1.0")
        return not ends


class Stream:
    """A connection, read by lines and by lengths."""

    def __init__(self, connection: socket.socket):
        self.connection, self.reader = connection, connection.makefile("rb", PIECE)

    def head(self) -> Head | None:
        """The next message's head; None where the other side has closed."""
        lines = []
        while (line := self.reader.readline()).strip():
            lines.append(line.rstrip())
        return Head(lines) if line else None

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def read(self, length: int) -> bytes:
        """Exactly `length` bytes."""
        data = self.reader.read(length)
        if len(data) < length:
            raise ConnectionError("ended early")
        return data

    def pump(
        self, to: "Stream | None", head: Head, damage: bool = False, bodiless: bool = False, pause_s: float = 0
    ) -> None:
        """Passes a body on (to nobody where `to` is None), with one byte in its middle changed on request."""
        if bodiless:
            return
        if head.chunked:
            while True:
                line = self.reader.readline()
                size = int(line.partition(b";")[0], 16)
                data = self.read(size + 2)
                if to:
                    to.send(line + (_damaged(data, size // 2) if damage and size else data))
                damage = damage and not size
                if not size:
                    return
        at, victim = 0, head.length // 2 if damage else -1
        while at < head.length:
            data = self.reader.read1(min(head.length - at, PIECE))
            if not data:
                raise ConnectionError("ended early")
            if at <= victim < at + len(data):
                data = _damaged(data, victim - at)
            if to:
                to.send(data)
            time.sleep(pause_s * len(data) / PIECE)
            at += len(data)

    def reset(self) -> None:
        """Ends the connection with a reset instead of a goodbye."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.reader.close()
        self.connection.close()


def _damaged(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def _refusal(deed: str, method: str) -> bytes:
    kind, _, value = deed.partition(":")
    status, body = (value, b"") if kind == "status" else ("403", f"<Error><Code>{value}</Code></Error>".encode())
    status, _, later = status.partition("/")
    wait = f"Retry-After: {later or 0}\r\n" if status in ("429", "503") else ""
    head = f"HTTP/1.1 {status} Chosen\r\nContent-Length: {len(body)}\r\n{wait}\r\n".encode()
    return head if method == "HEAD" else head + body
