"""What tests.servers.gcs keeps: buckets, objects, uploads under way; and what tests set about them."""

import base64
import dataclasses
import datetime
import itertools
import threading
from collections.abc import Iterator

import google_crc32c

PAGE = 1000


@dataclasses.dataclass
class Object:
    """One live object."""

    parts: list[bytes]
    size: int
    generation: int
    updated: datetime.datetime
    crc32c: str

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        """The bytes [start, end), without copying them."""
        for part in self.parts:
            if start < len(part) and end > 0:
                yield memoryview(part)[max(start, 0) : end]
            start, end = start - len(part), end - len(part)


class RefusedError(Exception):
    """Ends a request with a status and a message."""

    def __init__(self, status: int, message: str, reason: str = "forbidden"):
        super().__init__(message)
        self.status, self.reason = status, reason


class State:
    """The buckets, and what tests set about them.

    Attributes:
        forbidden: buckets on which the caller has no permission.
        kept: buckets with a retention policy: nothing in them is removed or overwritten.
        refusals: a status, Google's word for it and perhaps why, with which the next requests are refused, one each.
        token: the only bearer token accepted; None accepts any caller.
        page: objects a page of a listing.
        max_parts: parts of one upload, as https://cloud.google.com/storage/quotas#requests says.
        latency_s: added to every request.
    """

    def __init__(self, buckets: tuple[str, ...] = ()):
        self.buckets: dict[str, dict[str, Object]] = {name: {} for name in buckets}
        self.forbidden: set[str] = set()
        self.kept: set[str] = set()
        self.refusals: list[tuple[int | str, ...]] = []
        self.token: str | None = None
        self.page = PAGE
        self.max_parts = 10_000
        self.latency_s = 0.0
        self.lock = threading.Lock()
        self.generations = itertools.count(1_700_000_000_000_000)
        self.sessions: dict[str, dict] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}

    def bucket(self, name: str) -> dict[str, Object]:
        """The objects of a bucket, by name."""
        if name in self.forbidden:
            raise RefusedError(403, "caller does not have storage.objects access to the bucket.")
        if name not in self.buckets:
            raise RefusedError(404, "The specified bucket does not exist.")
        return self.buckets[name]

    def object(self, bucket: str, name: str, query: dict[str, str]) -> Object:
        """A live object, if the request's preconditions hold."""
        found = self.bucket(bucket).get(name)
        if found is None:
            raise RefusedError(404, f"No such object: {bucket}/{name}")
        check(found, query)
        return found

    def write(self, bucket: str, name: str, parts: list[bytes], query: dict[str, str], claimed: dict) -> Object:
        """Makes an object live, if the preconditions hold and the claimed checksum is right.

        Of the two checksums only CRC-32C is computed, as Google does for composite objects.
        """
        crc32c = crc32c_of(parts)
        if claimed.get("crc32c") not in (None, crc32c):
            raise RefusedError(
                400, f"Provided CRC32C {claimed['crc32c']!r} doesn't match calculated CRC32C {crc32c!r}."
            )
        with self.lock:
            objects = self.bucket(bucket)
            check(objects.get(name), query)
            self._check_retention(bucket, name)
            now = datetime.datetime.now(datetime.UTC)
            objects[name] = Object(parts, sum(map(len, parts)), next(self.generations), now, crc32c)
            return objects[name]

    def delete(self, bucket: str, name: str, query: dict[str, str]) -> None:
        """Removes a live object, if the preconditions hold."""
        with self.lock:
            self.object(bucket, name, query)
            self._check_retention(bucket, name)
            del self.buckets[bucket][name]

    def _check_retention(self, bucket: str, name: str) -> None:
        if bucket in self.kept and name in self.buckets[bucket]:
            said = "is subject to bucket's retention policy or object retention and cannot be deleted or overwritten"
            raise RefusedError(403, f"Object '{bucket}/{name}' {said} until 2036-11-27T00:00:00-00:00")


def crc32c_of(parts: list[bytes]) -> str:
    """The checksum of all parts together, as Google writes it: base64, big-endian."""
    checksum = 0
    for part in parts:
        checksum = google_crc32c.extend(checksum, part)
    return base64.b64encode(checksum.to_bytes(4, "big")).decode()


def check(live: Object | None, query: dict[str, str]) -> None:
    """Raises RefusedError unless the request's preconditions hold."""
    generation = live.generation if live else 0
    if "ifGenerationMatch" in query and int(query["ifGenerationMatch"]) != generation:
        raise RefusedError(412, "At least one of the pre-conditions you specified did not hold.")
    if "ifGenerationNotMatch" in query and int(query["ifGenerationNotMatch"]) == generation:
        raise RefusedError(412, "At least one of the pre-conditions you specified did not hold.")


def resource(bucket: str, name: str, found: Object) -> dict[str, str]:
    """The JSON resource of an object."""
    return {
        "kind": "storage#object",
        "bucket": bucket,
        "name": name,
        "size": str(found.size),
        "generation": str(found.generation),
        "metageneration": "1",
        "crc32c": found.crc32c,
        "updated": found.updated.isoformat().replace("+00:00", "Z"),
        "timeCreated": found.updated.isoformat().replace("+00:00", "Z"),
    }
