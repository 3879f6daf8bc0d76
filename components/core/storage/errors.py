# ruff: noqa: N818  (the words are the stores' own: NotFound, PreconditionFailed)
"""What can go wrong with a store, each as one line: what was expected, what was received, what to try."""

import contextlib
import re
from collections.abc import Iterator

from components.core.errors import PipelineError
from components.core.wording import printable


def tell(text: str) -> None:
    """Prints a line for whoever watches the log."""
    print(printable(text), flush=True)


class StorageError(PipelineError):
    """Any failure of a store with a known cause."""

    def __init__(self, text: str):
        super().__init__(printable(text))


class NotFound(StorageError):
    """There is no such object. The bucket is there: if it is not, BucketMissing says so."""


class BucketMissing(StorageError):
    """There is no such bucket. Not a NotFound: a missing bucket must never read as "no checkpoint yet"."""


class Denied(StorageError):
    """The store refused the credentials, or there were none."""


class PreconditionFailed(StorageError):
    """The object was not in the state that a conditional request named: somebody else was first."""


class Corrupted(StorageError):
    """The bytes received (or stored) are not those that their checksum promises."""


class Unreachable(StorageError):
    """The store did not answer properly before the deadline, through all retries."""


class Transient(Exception):
    """A failure worth another try: never leaves this package.

    Args:
        reason: a few words, for instance `503 from the server`.
        wait_s: how long the server asked us to wait (Retry-After), 0 if it said nothing.
    """

    def __init__(self, reason: str, wait_s: float = 0.0):
        super().__init__(reason)
        self.wait_s = wait_s


UNREADABLE = "unreadable answer from the store"


@contextlib.contextmanager
def readable(*signs: type[Exception]) -> Iterator[None]:
    """Has another try made if an answer lacks what every store says, which is the client's or our own `signs` of that:
    a gateway's 200 with nothing in it, for instance. A decorator, too."""
    try:
        yield
    except signs:
        raise Transient(UNREADABLE) from None


def words_of(error: Exception) -> str:
    """What a client says of a broken connection, in small letters, to look for words in. It repeats URLs, which have
    words of their own and are left out: Hugging Face's all hold `/resolve/`, and pictures may be of certificates."""
    # boto3 keeps what it has caught in there.
    text = f"{type(error).__name__} {error} {getattr(error, 'kwargs', '')}".lower()
    return re.sub(r"(url'?: |host=|https?://)\S+", "", text)


def broken_connection(error: Exception) -> Transient:
    """The same in a few words. Never the exception's own text: it repeats whole URLs."""
    text = words_of(error)
    at = " at the proxy that is set" if "proxyerror(" in text else ""
    if "timeout" in text or "timed out" in text:
        return Transient(f"no answer in time{at}")
    if "refused" in text:
        return Transient(f"connection refused{at}")
    if "resolve" in text or "name or service" in text:
        return Transient(f"host name not found{at}")
    return Transient(f"connection broken{at}")
