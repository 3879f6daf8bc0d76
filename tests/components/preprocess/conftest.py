"""A raw artifact around any file."""

import functools
import pathlib
from collections.abc import Callable

import pytest

from components.core.artifacts.raw import SOURCE_FILE, RawFile, RawInfo
from components.core.files import sha256_of, write_json


def make_raw(
    directory: pathlib.Path,
    *files: pathlib.Path,
    format: str = "pictures",  # noqa: A002
    dataset: str = "image_folder",
) -> str:
    """Makes `directory` a raw artifact around files."""
    directory.mkdir(exist_ok=True)
    listed = []
    for file in files:
        inside = directory / file.name
        inside.write_bytes(file.read_bytes())
        listed.append(RawFile(name=file.name, bytes=inside.stat().st_size, sha256=sha256_of(inside)))
    info = RawInfo(
        dataset=dataset,
        format=format,
        uri="file:///somewhere/pictures",
        files=listed,
        bytes=sum(file.bytes for file in listed),
        sha256=listed[0].sha256,
    )
    write_json(directory / SOURCE_FILE, info.model_dump())
    return str(directory)


@pytest.fixture
def raw_artifact(tmp_path: pathlib.Path) -> Callable[..., str]:
    """Makes a raw artifact around files and returns its directory."""
    return functools.partial(make_raw, tmp_path / "raw")
