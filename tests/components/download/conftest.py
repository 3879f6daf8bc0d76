"""Servers, a cache of its own for each test, and fetches with a short patience."""

import pathlib
import threading
from collections.abc import Callable, Iterator

import pytest

from components.core.artifacts.raw import RawInfo, read_raw
from components.core.catalog import KnownDataset, Original
from components.download import transfer
from components.download.run import download
from components.download.settings import DownloadSettings
from tests.components.download.faulty_server import ATTEMPTS, DATA, Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def second_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    yield from server.__wrapped__(monkeypatch)


@pytest.fixture
def cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CONV2D_DOWNLOAD_CACHE", str(folder))
    return folder


Fetch = Callable[..., RawInfo]


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ATTEMPTS": ATTEMPTS,
        "TIMEOUTS_S": (20, 20),
        "FIRST_WAIT_S": 0.01,
        "LONGEST_WAIT_S": 3,
    }.items():
        monkeypatch.setattr(transfer, name, value)


@pytest.fixture
def fetch_known(tmp_path: pathlib.Path, cache: pathlib.Path) -> Fetch:
    """Fetches originals as a data set of the catalog would be."""

    def run(*originals: Original, raw: str = "raw", **settings: str) -> RawInfo:
        known = KnownDataset("idx" if len(originals) > 1 else "cifar_binary", originals)
        return download(DownloadSettings.checked(dataset="cifar10", **settings), str(tmp_path / raw), known)

    return run


@pytest.fixture
def fetch_pictures(tmp_path: pathlib.Path, cache: pathlib.Path) -> Fetch:
    """Fetches a source of class folders."""

    def run(source: str | pathlib.Path, **settings: str) -> RawInfo:
        checked = DownloadSettings.checked(dataset="image_folder", source=str(source), **settings)
        return download(checked, str(tmp_path / "raw"), KnownDataset("pictures", ()))

    return run


def fetched(tmp_path: pathlib.Path, name: str = "small.tar.gz") -> bytes:
    assert read_raw(tmp_path / "raw").files[0].name == name
    return (tmp_path / "raw" / name).read_bytes()


def nothing_but_the_cache(tmp_path: pathlib.Path) -> bool:
    return [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.fixture
def place(server) -> str:
    server.files["/small.tar.gz"] = DATA
    return server.url("/small.tar.gz")
