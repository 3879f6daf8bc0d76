"""The raw artifact: what download writes and preprocess reads.

The source file or files as fetched, byte for byte, and source.json, which says what they are. No timestamps, no host
facts: the same source gives the same bytes. By format the files are:

    digits        digits.csv.gz, as scikit-learn bundles it: 64 pixel values 0..16 and a label a line
    cifar_binary  the official binary archive, a .tar.gz (any file name)
    idx           train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and
                  t10k-labels-idx1-ubyte.gz
    pictures      one archive (.tar, .tar.gz/.tgz, .zip) of class folders, with or without a train/test(/validation)
                  level above them, or of pictures with a label file beside each; a source that was a directory has been
                  packed into pictures.tar, names sorted.
                  Pictures that lie in a store already stay there: objects.jsonl lists them, an object a line,
                  `[name below the prefix, bytes, generation or ETag]`, and preprocess reads just those. Of several
                  sources there are several: pictures-1.tar, objects-2.jsonl. `labels` is a table of labels that the
                  user named beside them
"""

import json
import pathlib
from collections.abc import Iterable, Iterator
from typing import Literal

import pydantic

from components.core.errors import PipelineError
from components.core.files import read_json
from components.core.storage import Stored

SOURCE_FILE = "source.json"
LISTING_FILE = "objects.jsonl"
LABELS_FILE = "labels"
RawFormat = Literal["digits", "cifar_binary", "idx", "pictures"]


class Listing(pydantic.BaseModel):
    """What a file of an artifact lists instead of holding it.

    Attributes:
        uri: the prefix below which the objects lie.
        objects: how many there are.
        bytes: of all of them.
    """

    uri: str
    objects: int
    bytes: int


class RawFile(pydantic.BaseModel):
    """One file: its name inside the artifact, its size in bytes, its SHA-256, where it came from, and what it lists
    if it is a listing."""

    name: str
    bytes: int
    sha256: str
    uri: str = ""
    listing: Listing | None = None


class RawInfo(pydantic.BaseModel):
    """What source.json says. `uri` never carries credentials or a query."""

    dataset: str
    title: str = pydantic.Field("", description="what people call it; empty in earlier releases")
    format: RawFormat
    uri: str
    labels: str = pydantic.Field("", description="where the table of labels came from; empty: there is none")
    files: list[RawFile]
    bytes: int = pydantic.Field(description="of the files, or of the objects that they list")
    sha256: str = pydantic.Field(
        description="SHA-256 of the one file, or of the sorted `sha256  name` lines of several"
    )


def read_raw(directory: str | pathlib.Path) -> RawInfo:
    """Reads source.json and checks that its files are there in full size.

    Raises:
        PipelineError: not a raw artifact, or a file is missing or of another size.
    """
    directory = pathlib.Path(directory)
    info = read_json(RawInfo, directory / SOURCE_FILE, "a raw artifact", "run download first")
    for file in info.files:
        path = directory / file.name
        size = path.stat().st_size if path.is_file() else None
        if size != file.bytes:
            received = "none" if size is None else f"{size:,} bytes"
            raise PipelineError(
                f"expected {path} of {file.bytes:,} bytes, received {received}; run download again (CACHE=0)"
            )
    return info


def write_listing(path: pathlib.Path, uri: str, objects: Iterable[Stored]) -> Listing:
    """Writes a listing of objects, whose keys are below `uri`. Plain and not compressed: equal bytes wherever it is
    written, and a line can be found by its offset."""
    count = total = 0
    with path.open("wb", buffering=1 << 20) as file:
        for listed in objects:
            line = json.dumps([listed.key, listed.size, listed.generation], ensure_ascii=False, separators=(",", ":"))
            file.write(line.encode("utf-8") + b"\n")
            count, total = count + 1, total + listed.size
    return Listing(uri=uri, objects=count, bytes=total)


def iter_listing(path: pathlib.Path) -> Iterator[tuple[int, Stored]]:
    """Yields what a listing lists, each with the offset of its line."""
    offset = 0
    with path.open("rb", buffering=1 << 20) as file:
        for line in file:
            yield offset, Stored(*json.loads(line))
            offset += len(line)


def listed_at(path: pathlib.Path, offsets: Iterable[int]) -> Iterator[Stored]:
    """Yields the lines of a listing at these offsets."""
    with path.open("rb") as file:
        for offset in offsets:
            file.seek(offset)
            yield Stored(*json.loads(file.readline()))
