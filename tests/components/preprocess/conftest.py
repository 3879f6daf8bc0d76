"""A raw artifact around any file, and the data set that a source gives."""

import functools
import json
import pathlib
from collections.abc import Callable

import pytest

from components.core.artifacts.dataset import DatasetInfo
from components.core.artifacts.raw import SOURCE_FILE, RawFile, RawInfo
from components.core.files import sha256_of, write_json
from components.download.run import download
from components.download.settings import DownloadSettings
from components.preprocess.run import preprocess
from components.preprocess.settings import PreprocessSettings


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


@pytest.fixture
def made(tmp_path: pathlib.Path) -> Callable[..., DatasetInfo]:
    """Downloads and preprocesses a source; without one what was downloaded before. Gives the dataset's description."""

    def run(
        *source: object, workers: int = 1, max_unreadable: float = 0.01, group_column: str = "", **settings: object
    ) -> DatasetInfo:
        if source:
            places = list(map(str, source))
            named = json.dumps(places) if len(places) > 1 else places[0]
            got = {name: str(value) for name, value in settings.items()}
            download(DownloadSettings.checked(dataset="image_folder", source=named, **got), str(tmp_path / "raw"))
        paths = [str(tmp_path / name) for name in ("raw", "dataset", "report.html")]
        wanted = PreprocessSettings(max_unreadable=max_unreadable, group_column=group_column)
        return preprocess(wanted, *paths, workers=workers)

    return run
