"""A file to fetch, and the checksum that would prove it."""

import dataclasses
import hashlib
import pathlib

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

    def like(self, checksum: str) -> str:
        """The file's own, by the same algorithm."""
        algorithm = checksum.partition("-")[0]
        return f"{algorithm}-{getattr(self, algorithm)}"


@dataclasses.dataclass(frozen=True)
class FileToFetch:
    """One file to fetch.

    Attributes:
        checksum: which it must have, as `md5-DIGITS` or `sha256-DIGITS`; empty: any content will do.
        bytes: its published size, so that a place that offers another one can be passed over; None: not known.
    """

    name: str
    checksum: str = ""
    bytes: int | None = None


class PlaceFailedError(PipelineError):
    """One place could not deliver; another may. `reason` is the short form, without the place."""

    def __init__(self, line: str, reason: str):
        super().__init__(line)
        self.reason = reason


def check_sums(sums: Sums, to_fetch: FileToFetch, place: str) -> None:
    """Raises PlaceFailedError, with both sums, if a file is not the one that was to come."""
    wanted = to_fetch.checksum
    if not wanted or sums.like(wanted) == wanted:
        return
    expected, received = (checksum.replace("-", " ") for checksum in (wanted, sums.like(wanted)))
    advice = "fetch it again"
    if sums.md5 in PYTHON_ARCHIVES:
        advice = f"that is the python version, whose pickles are code; give the binary one, {PYTHON_ARCHIVES[sums.md5]}"
    elif wanted.startswith("md5"):
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
