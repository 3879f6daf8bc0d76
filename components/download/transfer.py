"""One file over HTTP, until it is all there: continued where it broke off, retried if that can help.

Bytes are only ever continued with bytes of the same file. At the same URL the server must confirm it (If-Range with the
validator it gave); at another mirror only a checksum can, so without one the transfer starts over. What counts as whole
is the length the server announced; whoever calls still compares checksums, since a server may lie about that too.
"""

import http.client
import math
import os
import random
import re
import time
from typing import BinaryIO

import requests
import urllib3

from components.core.progress import Progress, amount, duration
from components.core.storage.errors import broken_connection
from components.core.wording import printable
from components.download.cache import Origin, Partial, require_room, url_digest
from components.download.file_to_fetch import CHUNK, FileToFetch, PlaceFailedError
from components.download.places import public

# How long a place may misbehave: seconds to connect, and without a byte; attempts since the last that brought the file
# forward, and the waits between them.
TIMEOUTS_S = (15.0, 60.0)
ATTEMPTS = 5
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 120.0
# Fewer new bytes than this are no progress: a server that sends a few and breaks off would be asked for ever.
PROGRESS_BYTES = 64 << 10
WORTH_ANOTHER_TRY = (408, 425, 429)
AGENT = "conv2d-pipeline"
# OpenSSL's words, with why.
UNTRUSTED = re.compile(r"certificate verify failed: ([^(]*[^(\s])")


class BrokenOffError(Exception):
    """A transfer that may go better next time; `retry_after` is the wait in seconds the server asked for."""

    def __init__(self, reason: str, retry_after: float = 0.0):
        super().__init__(reason)
        self.retry_after = retry_after


class RefusedError(Exception):
    """An answer that will be the same next time."""


def transfer(url: str, partial: Partial, to_fetch: FileToFetch) -> None:
    """Brings `partial` up to the whole of `url`.

    Raises:
        PlaceFailedError: the server refused, or kept breaking off.
        PipelineError: no room on the disk.
    """
    furthest, in_vain = partial.size, 0
    with requests.Session() as session:
        while True:
            try:
                return _attempt(session, url, partial, to_fetch)
            except (BrokenOffError, RefusedError) as error:
                # An attempt that got further than any before it starts the count anew, so that a server which breaks
                # off every minute still delivers; one that always breaks off at the same byte is given up.
                if partial.size >= furthest + PROGRESS_BYTES:
                    furthest, in_vain = partial.size, 0
                in_vain += 1
                wait = math.inf if isinstance(error, RefusedError) else error.retry_after
                if wait > LONGEST_WAIT_S or in_vain >= ATTEMPTS:
                    line = f"expected {to_fetch.name} from {public(url)}, received: {error}"
                    raise PlaceFailedError(f"{line}; check the address and the network", str(error)) from None
                longest = min(FIRST_WAIT_S * 2 ** (in_vain - 1), LONGEST_WAIT_S)
                # Jitter: many runs that a server threw out together should not come back together.
                pause = max(random.uniform(longest / 2, longest), wait)  # noqa: S311
                at = f" at {amount(partial.size, 'B')}" if partial.size else ""
                print(f"{error}{at}; trying again in {duration(pause)}", flush=True)
            time.sleep(pause)


def _attempt(session: requests.Session, url: str, partial: Partial, to_fetch: FileToFetch) -> None:
    origin = _usable_origin(partial, to_fetch)
    if origin is None:
        partial.discard()
    elif partial.size and origin.total == partial.size:
        if to_fetch.checksum:
            return
        os.truncate(partial.path, partial.size - 1)  # as it ends, the server tells whether it is still that file
    # Identity: a .tar.gz must arrive as the bytes it is, not unpacked on the way.
    headers = {"Accept-Encoding": "identity", "User-Agent": AGENT}
    if origin and partial.size:
        headers["Range"] = f"bytes={partial.size}-"
        if origin.validator and origin.url == url_digest(url):
            headers["If-Range"] = origin.validator
    with _ask(session, url, headers) as response:
        if not to_fetch.checksum and _is_led_astray(response):
            raise RefusedError("a redirect from https to plain http, where anybody may change it; give source_sha256")
        total = _accept(response, url, partial, to_fetch)
        require_room(partial.path.parent, (total or 0) - partial.size)
        with partial.path.open("ab") as file, Progress(to_fetch.name, total, "B", start=partial.size) as progress:
            try:
                _copy(response, file, progress, partial.size, to_fetch)
            except RefusedError:
                partial.discard()
                raise
    if total is None:
        partial.origin_path.unlink(missing_ok=True)  # nothing could tell a whole one from a part of one
    elif partial.size != total:
        raise BrokenOffError(f"{partial.size:,} of {total:,} bytes, then the end")


def _ask(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """The beginning of an answer.

    Raises:
        BrokenOffError, RefusedError: there is none.
    """
    try:
        return session.get(url, headers=headers, stream=True, timeout=TIMEOUTS_S)
    except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as error:
        if untrusted := UNTRUSTED.search(str(error)):
            raise RefusedError(f"its certificate can't be verified ({untrusted[1]})") from None
        if isinstance(error, ValueError | requests.TooManyRedirects):  # a malformed address stays what it is
            raise RefusedError(f"the request failed ({type(error).__name__})") from None
        raise BrokenOffError(str(broken_connection(error))) from None


def _usable_origin(partial: Partial, to_fetch: FileToFetch) -> Origin | None:
    """The partial file's origin if its bytes may be continued, else None."""
    origin = partial.origin
    if origin is None or (origin.total is not None and partial.size > origin.total):
        return None
    # Without a checksum the partial file is this URL's alone.
    return origin if to_fetch.checksum or origin.validator else None


def _is_led_astray(response: requests.Response) -> bool:
    """Whether what was asked for over https came over http, at any turn of the way."""
    first, *others = (step.url.partition(":")[0].lower() for step in (*response.history, response))
    return first == "https" and "http" in others


def _accept(response: requests.Response, url: str, partial: Partial, to_fetch: FileToFetch) -> int | None:
    """Makes `partial` ready for the body of an answer, and returns the whole file's size, if it is known.

    Raises:
        BrokenOffError, RefusedError: the answer is none, or not of the file that was begun.
    """
    status = response.status_code
    said = printable(f"HTTP {status} {response.reason or ''}".rstrip())
    if status in WORTH_ANOTHER_TRY or status >= 500:
        raise BrokenOffError(said, _retry_after(response))
    if status == 416:
        partial.discard()
        raise BrokenOffError("the server has fewer bytes than it sent before")
    if status == 206 and partial.size:
        return _go_on(response, url, partial, to_fetch)
    if status != 200:
        raise RefusedError(said)
    return _begin(response, url, partial, to_fetch)


def _go_on(response: requests.Response, url: str, partial: Partial, to_fetch: FileToFetch) -> int | None:
    """Sees that the body of an answer is the rest of what was begun."""
    begun, validator = partial.origin, _validator(response)
    assert begun is not None, "what has no origin was discarded"
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    total = int(match[2]) if match and match[2] != "*" else begun.total
    changed = begun.url == url_digest(url) and validator not in ("", begun.validator)
    if match is None or int(match[1]) != partial.size or changed:
        partial.discard()
        raise BrokenOffError("the server continued another file, or another part of it")
    if to_fetch.bytes is not None and total != to_fetch.bytes:
        raise RefusedError(f"a file of {total or 0:,} bytes instead of {to_fetch.bytes:,}")
    if begun.total not in (None, total):
        partial.discard()
        raise BrokenOffError("the file has another size than before")
    print(f"fetching {to_fetch.name} from {public(url)}, continued at {amount(partial.size, 'B')}", flush=True)
    return total


def _begin(response: requests.Response, url: str, partial: Partial, to_fetch: FileToFetch) -> int | None:
    """Empties `partial`: nothing was there, or the file has changed, or the server knows no ranges."""
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    if to_fetch.bytes is not None and total not in (None, to_fetch.bytes):
        raise RefusedError(f"a file of {total:,} bytes instead of {to_fetch.bytes:,}")
    partial.begin(Origin(url_digest(url), _validator(response), total))
    size = f" ({amount(total, 'B')})" if total is not None else ""
    print(f"fetching {to_fetch.name}{size} from {public(url)}", flush=True)
    return total


def _copy(response: requests.Response, file: BinaryIO, progress: Progress, size: int, to_fetch: FileToFetch) -> None:
    """Appends the body to `file`, which has `size` bytes.

    Raises:
        BrokenOffError: it ended early.
        RefusedError: it has more bytes than the file was published with; nothing but a length bounds a body.
    """
    while True:
        try:
            # read1 hands over what has arrived, so that a kill at 50 kB/s loses nothing; and no unpacking, see above.
            chunk = response.raw.read1(CHUNK, decode_content=False)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            raise BrokenOffError(str(broken_connection(error))) from None
        if not chunk:
            return
        size += len(chunk)
        if to_fetch.bytes is not None and size > to_fetch.bytes:
            raise RefusedError(f"more than the {to_fetch.bytes:,} bytes that it was published with")
        file.write(chunk)
        progress.advance(len(chunk))


def _validator(response: requests.Response) -> str:
    """A strong ETag, else the date of the last change, else nothing. RFC 9110, 13.1.5: a weak ETag proves no bytes."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _retry_after(response: requests.Response) -> float:
    """Retry-After in seconds; the header gives seconds or a date."""
    try:
        return urllib3.Retry().get_retry_after(response.raw) or 0.0
    except urllib3.exceptions.InvalidHeader:
        return 0.0
