"""A first look at what was fetched, so that a web page, an empty or a cut-off file ends here and not in preprocess.

What the archive holds (class folders, names, pictures) is for preprocess to judge. Decompressing to the end, which is
what proves a .gz whole, takes 0.2 s for 20 MB of pictures; it is left out if a checksum has proven the file.
"""

import gzip
import itertools
import pathlib
import re
import zipfile

from components.core.artifacts.raw import RawFormat
from components.core.errors import PipelineError
from components.core.pictures.archives import ArchiveKind, archive_kind, iter_members
from components.core.pictures.packed import Unpacked, damage_named
from components.download.file_to_fetch import CHUNK

PYTHON_FILE = re.compile(r"data_batch_[0-9]+|test_batch|batches\.meta|train|test|meta")
# Two empty blocks end a tar.
TAR_END = 1024
# The first four bytes of an IDX file of unsigned bytes; the last of them is the number of dimensions.
IDX_STARTS = {"idx3": b"\0\0\x08\x03", "idx1": b"\0\0\x08\x01"}


def check_fetched(path: pathlib.Path, raw_format: RawFormat, place: str, proven: bool) -> None:
    """Raises PipelineError if a fetched file can't be what its format asks for.

    Args:
        place: where it came from, for the message.
        proven: a checksum has matched, so that only the kind of file is in question.
    """
    if path.stat().st_size == 0:
        raise PipelineError(f"expected data from {place}, received an empty file; check the source")
    try:
        if raw_format in ("digits", "idx"):
            _check_gzip(path, raw_format)
        else:
            kind = archive_kind(path)
            if raw_format == "cifar_binary" and kind != "tar.gz":
                raise PipelineError(
                    f"expected a .tar.gz in {path}, received a .{kind}; give the official binary archive"
                )
            if raw_format == "cifar_binary":
                _check_binary(path)
            if not proven:
                _check_whole(path, kind)
    except PipelineError as error:
        # The person knows the place; the path is a temporary one.
        raise PipelineError(str(error).replace(str(path), place)) from None


def _check_gzip(path: pathlib.Path, raw_format: RawFormat) -> None:
    with path.open("rb") as file:
        start = file.read(2)
    if start != b"\x1f\x8b":
        what = "a web page" if start.lstrip()[:1] == b"<" else "something else"
        raise PipelineError(f"expected a .gz file in {path}, received {what}; check the source")
    with damage_named(path), gzip.open(path) as file:
        unpacked = Unpacked(path, file)
        start = unpacked.read(4)
        while unpacked.read(CHUNK):
            pass
    known_start = next((magic for part, magic in IDX_STARTS.items() if part in path.name), None)
    if raw_format == "idx" and start != known_start:
        raise PipelineError(
            f"expected {path} to begin with {known_start!r}, received {start!r}; it is no IDX file of bytes"
        )


def _check_binary(path: pathlib.Path) -> None:
    """Refuses CIFAR's python version, which any of its first files gives away."""
    for name, _, _ in itertools.islice(iter_members(path), 3):
        if PYTHON_FILE.fullmatch(name.rpartition("/")[2]):
            raise PipelineError(
                f"expected CIFAR's binary version in {path}, received the python version, whose pickles are code; give "
                "the archive that is called cifar-10-binary.tar.gz or cifar-100-binary.tar.gz"
            )


def _check_whole(path: pathlib.Path, kind: ArchiveKind) -> None:
    with damage_named(path):
        if kind == "zip":
            with zipfile.ZipFile(path) as archive:  # its directory lies at the end
                empty = not archive.infolist()
        else:
            with gzip.open(path) if kind == "tar.gz" else path.open("rb") as file:
                unpacked = Unpacked(path, file)
                end = start = unpacked.read(TAR_END)
                if kind == "tar":
                    file.seek(max(0, path.stat().st_size - TAR_END))
                while chunk := unpacked.read(CHUNK):
                    end = (end + chunk)[-TAR_END:]
            if end.strip(b"\0"):
                raise EOFError("no end mark")
            empty = not start[:512].strip(b"\0")
    if empty:
        raise PipelineError(
            f"expected an archive of class folders, received {path} without any member; check the source"
        )
