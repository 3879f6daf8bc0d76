"""One file over HTTP, until it is all there: continued where it broke off, retried if that can help.

Bytes are only ever continued with bytes of the same file. At the same URL the server must confirm it (If-Range with the
validator it gave); at another mirror only a checksum can, so without one the transfer starts over. What counts as whole
is the length the server announced; whoever calls still compares checksums, since a server may lie about that too.
"""

import email.utils
import http.client
import os
import random
import re
import socket
import ssl
import time
from typing import BinaryIO

import requests
import tenacity
import urllib3

from components.core.progress import Progress, amount, duration
from components.core.wording import printable
from components.download.cache import Origin, Partial, url_digest
from components.download.file_to_fetch import CHUNK, FileToFetch, Patience, PlaceFailedError
from components.download.places import public
from components.download.room import require_room

# Fewer new bytes than this are no progress: a server that sends a few and breaks off would be asked for ever.
PROGRESS_BYTES = 64 << 10
WORTH_ANOTHER_TRY = (408, 425, 429)
AGENT = "conv2d-pipeline"


class BrokenOffError(Exception):
    """A transfer that may go better next time; `retry_after` is the wait in seconds the server asked for."""

    def __init__(self, reason: str, retry_after: float = 0.0):
        super().__init__(reason)
        self.retry_after = retry_after


class RefusedError(Exception):
    """An answer that will be the same next time."""


def transfer(url: str, partial: Partial, to_fetch: FileToFetch, patience: Patience) -> None:
    """Brings `partial` up to the whole of `url`.

    Raises:
        PlaceFailedError: the server refused, or kept breaking off.
        PipelineError: no room on the disk.
    """
    attempts = _Attempts(partial, patience)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(BrokenOffError),
        after=attempts.count,
        stop=attempts.are_used_up,
        wait=attempts.pause,
        before_sleep=attempts.say,
        reraise=True,
    )
    try:
        with requests.Session() as session:
            retrying(_attempt, session, url, partial, to_fetch, patience)
    except (BrokenOffError, RefusedError) as error:
        line = f"expected {to_fetch.name} from {public(url)}, received: {error}; check the address and the network"
        raise PlaceFailedError(line, str(error)) from None


class _Attempts:
    """Counts attempts in vain. An attempt that got further than any before it starts the count anew, so that a server
    which breaks off every minute still delivers; one that always breaks off at the same byte is given up."""

    def __init__(self, partial: Partial, patience: Patience):
        self.partial, self.patience = partial, patience
        self.furthest, self.in_vain = partial.size, 0

    def count(self, state: tenacity.RetryCallState) -> None:
        if self.partial.size >= self.furthest + PROGRESS_BYTES:
            self.furthest, self.in_vain = self.partial.size, 0
        self.in_vain += 1

    def are_used_up(self, state: tenacity.RetryCallState) -> bool:
        too_long = _failure(state).retry_after > self.patience.longest_wait_s
        return too_long or self.in_vain >= self.patience.attempts

    def pause(self, state: tenacity.RetryCallState) -> float:
        longest = min(self.patience.first_wait_s * 2 ** (self.in_vain - 1), self.patience.longest_wait_s)
        # Jitter: many runs that a server threw out together should not come back together.
        return max(random.uniform(longest / 2, longest), _failure(state).retry_after)  # noqa: S311

    def say(self, state: tenacity.RetryCallState) -> None:
        at = f" at {amount(self.partial.size, 'B')}" if self.partial.size else ""
        print(f"{_failure(state)}{at}; trying again in {duration(state.upcoming_sleep)}", flush=True)


def _failure(state: tenacity.RetryCallState) -> BrokenOffError:
    failure = state.outcome and state.outcome.exception()
    assert isinstance(failure, BrokenOffError), "nothing else is tried again"
    return failure


def _attempt(session: requests.Session, url: str, partial: Partial, to_fetch: FileToFetch, patience: Patience) -> None:
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
    with _ask(session, url, headers, patience) as response:
        if to_fetch.checksum is None and _is_led_astray(response):
            raise RefusedError("a redirect from https to plain http, where anybody may change it; give source_sha256")
        total = _accept(response, url, partial, to_fetch)
        require_room(partial.path.parent, (total or 0) - partial.size)
        with partial.path.open("ab") as file, Progress(to_fetch.name, total, "B", start=partial.size) as progress:
            try:
                _copy(response, file, progress, partial.size, to_fetch, patience)
            except RefusedError:
                partial.discard()
                raise
    if total is None:
        partial.origin_path.unlink(missing_ok=True)  # nothing could tell a whole one from a part of one
    elif partial.size != total:
        raise BrokenOffError(f"{partial.size:,} of {total:,} bytes, then the end")


def _ask(session: requests.Session, url: str, headers: dict[str, str], patience: Patience) -> requests.Response:
    """The beginning of an answer.

    Raises:
        BrokenOffError, RefusedError: there is none.
    """
    try:
        return session.get(url, headers=headers, stream=True, timeout=(patience.connect_s, patience.stall_s))
    except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as error:
        reason = _why(error, patience)
        # A malformed address or an untrusted certificate stays what it is.
        if any(isinstance(cause, ValueError | requests.TooManyRedirects) for cause in _causes(error)):
            raise RefusedError(reason) from None
        raise BrokenOffError(reason) from None


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


def _copy(
    response: requests.Response,
    file: BinaryIO,
    progress: Progress,
    size: int,
    to_fetch: FileToFetch,
    patience: Patience,
) -> None:
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
            raise BrokenOffError(_why(error, patience)) from None
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
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def _causes(error: BaseException) -> list[BaseException]:
    """An error and all that led to it. requests and urllib3 wrap the one that tells the reason several times over."""
    causes: list[BaseException] = []
    queue: list[object] = [error]
    while queue:
        cause = queue.pop(0)
        if isinstance(cause, BaseException) and cause not in causes:
            causes.append(cause)
            queue += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
    return causes


def _why(error: BaseException, patience: Patience) -> str:
    """A network error in few words. Never its own text: that quotes the URL, with whatever secret is in it."""
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate can't be verified ({cause.verify_message})"
        if isinstance(cause, socket.gaierror):
            return "its name is unknown (is there a network?)"
        if isinstance(cause, OSError) and cause.strerror and cause.errno:
            return cause.strerror[0].lower() + cause.strerror[1:]
    for cause in causes:
        if isinstance(cause, requests.ConnectTimeout):
            return f"no connection within {duration(patience.connect_s)}"
        if isinstance(cause, TimeoutError):
            return f"no data for {duration(patience.stall_s)}"
        if isinstance(cause, http.client.IncompleteRead | ConnectionError):
            return "the connection ended early"
    return f"the request failed ({type(error).__name__})"
