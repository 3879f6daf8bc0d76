"""The raw artifact: what download writes and preprocess reads.

The source file or files as fetched, byte for byte, and source.json, which says what they are. No timestamps, no host
facts: the same source gives the same bytes. By format the files are:

    digits        digits.csv.gz, as scikit-learn bundles it: 64 pixel values 0..16 and a label a line
    cifar_binary  the official binary archive, a .tar.gz (any file name)
    idx           train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and
                  t10k-labels-idx1-ubyte.gz
    pictures      one archive (.tar, .tar.gz/.tgz, .zip) of class folders, with or without a train/test(/validation)
                  level above them; a source that was a directory has been packed into pictures.tar, names sorted
"""

import pathlib
from typing import Literal

import pydantic

from components.core.errors import PipelineError
from components.core.records import read_record

SOURCE_FILE = "source.json"
RawFormat = Literal["digits", "cifar_binary", "idx", "pictures"]


class RawFile(pydantic.BaseModel):
    """One fetched file: its name inside the artifact, its size in bytes and its SHA-256."""

    name: str
    bytes: int
    sha256: str


class RawInfo(pydantic.BaseModel):
    """What source.json says. `uri` never carries credentials or a query."""

    dataset: str
    format: RawFormat
    uri: str
    files: list[RawFile]
    bytes: int
    sha256: str = pydantic.Field(
        description="SHA-256 of the one file, or of the sorted `sha256  name` lines of several"
    )


def read_raw(directory: str | pathlib.Path) -> RawInfo:
    """Reads source.json and checks that its files are there in full size.

    Raises:
        PipelineError: not a raw artifact, or a file is missing or of another size.
    """
    directory = pathlib.Path(directory)
    info = read_record(RawInfo, directory / SOURCE_FILE, "a raw artifact", "run download first")
    for file in info.files:
        path = directory / file.name
        size = path.stat().st_size if path.is_file() else None
        if size != file.bytes:
            received = "none" if size is None else f"{size:,} bytes"
            raise PipelineError(f"expected {path} of {file.bytes:,} bytes, received {received}; run download again")
    return info
