"""A file to fetch, the checksum that would prove it, and the patience with trouble on the way."""

import dataclasses
import hashlib
import pathlib
from typing import Literal

from components.core.errors import PipelineError
from components.core.progress import Progress

CHUNK = 1 << 20
# What to say where a known data set's file belongs and something else is.
OWN_PICTURES = "pictures of your own take dataset=image_folder"
# CIFAR's authors offer the same pictures as pickles; MD5 -> what to take instead.
PYTHON_ARCHIVES = {
    "c58f30108f718f92721af3b95e74349a": "cifar-10-binary.tar.gz",
    "eb9058c3a382ffc7106e4002c42a8d85": "cifar-100-binary.tar.gz",
}


@dataclasses.dataclass(frozen=True)
class Sums:
    """The size and the checksums of a file that is here."""

    bytes: int
    md5: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Checksum:
    """The checksum that a file must have."""

    algorithm: Literal["md5", "sha256"]
    digits: str

    def of(self, sums: Sums) -> str:
        """The file's digits under this checksum's algorithm."""
        return getattr(sums, self.algorithm)


@dataclasses.dataclass(frozen=True)
class FileToFetch:
    """One file to fetch.

    Attributes:
        checksum: None: any content will do.
        bytes: its published size, so that a place that offers another one can be passed over; None: not known.
    """

    name: str
    checksum: Checksum | None = None
    bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a place may misbehave. Attempts count from the last one that brought the file forward."""

    connect_s: float = 15.0
    stall_s: float = 60.0
    attempts: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 120.0


class PlaceFailedError(PipelineError):
    """One place could not deliver; another may. `reason` is the short form, without the place."""

    def __init__(self, line: str, reason: str):
        super().__init__(line)
        self.reason = reason


def check_sums(sums: Sums, to_fetch: FileToFetch, place: str) -> None:
    """Raises PlaceFailedError, with both sums, if a file is not the one that was to come."""
    checksum = to_fetch.checksum
    if checksum is None or checksum.of(sums) == checksum.digits:
        return
    expected, received = (f"{checksum.algorithm} {digits}" for digits in (checksum.digits, checksum.of(sums)))
    advice = "fetch it again"
    if sums.md5 in PYTHON_ARCHIVES:
        advice = f"that is the python version, whose pickles are code; give the binary one, {PYTHON_ARCHIVES[sums.md5]}"
    elif checksum.algorithm == "md5":
        advice = f"if these data are meant, give source_sha256={sums.sha256}; {OWN_PICTURES}"
    raise PlaceFailedError(
        f"expected {to_fetch.name} with {expected}, received {received} from {place}; {advice}",
        f"{received} instead of {expected}",
    )


def sums_of(path: pathlib.Path) -> Sums:
    """Reads a file once, in constant memory. 170 MB take 0.6 s, mostly for the MD5."""
    size = path.stat().st_size
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file, Progress("check", size, "B") as progress:
        while chunk := file.read(CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
            progress.advance(len(chunk))
    return Sums(size, md5.hexdigest(), sha256.hexdigest())
