"""A local run notices that its source changed, wherever the source lies."""

import http.server
import os
import threading

import pytest

from components.core.errors import PipelineError
from components.core.storage import open_store
from pipeline.local.places import local_source, with_places, written_places
from pipeline.parameters.parameters import Parameters
from tests.servers.fixtures import gcs, gcs_server  # noqa: F401


def version(source) -> str:
    return with_places(Parameters(dataset="image_folder", source=str(source))).source_version


def test_without_a_source_there_is_nothing_to_say():
    assert with_places(Parameters()) == Parameters()


def test_a_local_path_becomes_absolute(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    assert with_places(Parameters(dataset="image_folder", source="photos")).source == str(tmp_path / "photos")
    assert local_source(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert local_source("gs://bucket/x") is None


def test_a_file_or_a_folder_that_changed_has_another_version(tmp_path):
    file = tmp_path / "photos" / "cat" / "1.png"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"one")
    before = version(tmp_path / "photos"), version(file)
    assert before == (version(tmp_path / "photos"), version(file))
    file.write_bytes(b"other")
    assert version(tmp_path / "photos") != before[0]
    assert version(file) != before[1]
    os.utime(file, ns=(0, 0))
    touched = version(file)
    file.rename(file.with_name("2.png"))
    assert version(tmp_path / "photos") != before[0]
    assert version(file.with_name("2.png")) == touched


def test_objects_that_changed_have_another_version(gcs):  # noqa: F811
    store = open_store(gcs.uri)
    store.write_bytes("photos.tar", b"one")
    before = version(f"{gcs.uri}/photos.tar")
    assert version(f"{gcs.uri}/photos.tar") == before
    store.write_bytes("photos.tar", b"two")
    assert version(f"{gcs.uri}/photos.tar") != before


class Head(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:  # noqa: N802 - http.server's name
        self.send_response(200)
        self.send_header("ETag", self.server.etag)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.HTTPServer(("127.0.0.1", 0), Head) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_url_whose_etag_changed_has_another_version(server):
    url = f"http://127.0.0.1:{server.server_port}/photos.tar"
    server.etag = '"one"'
    before = version(url)
    assert before == version(url) != ""
    server.etag = '"two"'
    assert version(url) != before


def test_a_server_that_does_not_answer_is_left_to_download(server):
    server.shutdown()
    server.server_close()
    assert version(f"http://127.0.0.1:{server.server_port}/photos.tar") == ""


def test_a_missing_local_source_is_refused():
    with pytest.raises(PipelineError, match="does not exist"):
        version("/no/such/place")


def test_places_to_write_to_become_absolute_and_are_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    placed = with_places(Parameters(publish_uri="registry", checkpoints="gs://bucket/x"))
    assert (placed.publish_uri, placed.checkpoints) == (str(tmp_path / "registry"), "gs://bucket/x")
    assert written_places(placed) == [tmp_path / "registry"]
