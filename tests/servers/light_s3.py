"""An S3 server for benchmarks: so cheap a process (0.1 ms a request) that what is measured is the client.

    python -m tests.servers.light_s3 [--latency-ms MS] [--tar FILE --below BUCKET/PREFIX]
                                    holds what is in the tar, prints its URL and serves until it is killed

It knows what our client asks for (look, list, read in ranges and under If-Match, write whole or in parts), and no
signatures, conditions of writes or buckets. `GET /-/moved` answers with the bytes of bodies that came in and went out.
"""

import argparse
import asyncio
import hashlib
import itertools
import re
import tarfile
import urllib.parse
from xml.sax.saxutils import escape

PAGE = 1000
DATE = "Thu, 26 Nov 2026 18:00:00 GMT"
STAMP = "2026-11-26T18:00:00.000Z"
Answer = tuple[int, dict[str, str], bytes]


class Server:
    """The objects of all buckets, by `bucket/key`."""

    def __init__(self, latency_s: float):
        self.latency_s = latency_s
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.names: list[str] = []
        self.moved = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")
                fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                if "100-continue" in fields.get("expect", ""):
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                await asyncio.sleep(self.latency_s)
                method, target, _ = first.split(" ")
                status, said, data = self.answer(method, target, fields, body)
                said = {"Content-Length": str(len(data)), "Last-Modified": DATE} | said
                top = "".join(f"{name}: {value}\r\n" for name, value in said.items())
                writer.write(f"HTTP/1.1 {status} X\r\n{top}\r\n".encode() + (b"" if method == "HEAD" else data))
                self.moved += len(body) + len(data) * (method == "GET" and not target.startswith("/-/"))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, method: str, target: str, fields: dict[str, str], body: bytes) -> Answer:
        path, _, query = target.partition("?")
        name = urllib.parse.unquote(path[1:])
        asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if name == "-/moved":
            return 200, {}, str(self.moved).encode()
        if "list-type" in asked:
            return 200, {}, self.listing(name.rstrip("/"), asked)
        if "/" not in name:
            return 200, {}, b""
        if method == "POST":
            return self.in_parts(name, asked)
        if method == "PUT" and "uploadId" in asked:
            self.uploads[asked["uploadId"]][int(asked["partNumber"])] = body
            return 200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}, b""
        if method == "PUT":
            return 200, {"ETag": self.put(name, body)}, b""
        if name not in self.objects:
            return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        data, etag = self.objects[name]
        if fields.get("if-match", etag) != etag:
            return 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
        if ranged := re.fullmatch(r"bytes=(\d+)-(\d+)", fields.get("range", "")):
            start, end = int(ranged[1]), min(int(ranged[2]) + 1, len(data))
            return 206, {"ETag": etag, "Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}, data[start:end]
        return 200, {"ETag": etag}, data

    def put(self, name: str, data: bytes, etag: str = "") -> str:
        if name not in self.objects:
            self.names = []
        self.objects[name] = data, etag or f'"{hashlib.md5(data).hexdigest()}"'
        return self.objects[name][1]

    def in_parts(self, name: str, asked: dict[str, str]) -> Answer:
        if "uploads" in asked:
            upload = str(len(self.uploads))
            self.uploads[upload] = {}
            return 200, {}, f"<R><UploadId>{upload}</UploadId></R>".encode()
        parts = [data for _, data in sorted(self.uploads[asked["uploadId"]].items())]
        digests = b"".join(hashlib.md5(part).digest() for part in parts)
        etag = self.put(name, b"".join(parts), f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"')
        return 200, {}, f"<R><ETag>{escape(etag)}</ETag></R>".encode()

    def listing(self, bucket: str, asked: dict[str, str]) -> bytes:
        self.names = self.names or sorted(self.objects)
        prefix, after = f"{bucket}/{asked['prefix']}", asked.get("continuation-token", "")
        found = (name for name in self.names if name.startswith(prefix) and name > after)
        page = list(itertools.islice(found, PAGE))
        items = "".join(
            f"<Contents><Key>{urllib.parse.quote(name.partition('/')[2])}</Key><LastModified>{STAMP}</LastModified>"
            f"<ETag>{escape(self.objects[name][1])}</ETag><Size>{len(self.objects[name][0])}</Size></Contents>"
            for name in page
        )
        more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if len(page) == PAGE else ""
        return f"<R><EncodingType>url</EncodingType>{more}{items}</R>".encode()


async def main() -> None:
    """Serves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--tar")
    parser.add_argument("--below")
    arguments = parser.parse_args()
    state = Server(arguments.latency_ms / 1000)
    if arguments.tar:
        with tarfile.open(arguments.tar) as tar:
            for member in tar:
                state.put(f"{arguments.below}/{member.name}", tar.extractfile(member).read())
    server = await asyncio.start_server(state.serve, "127.0.0.1", 0, limit=1 << 20)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
