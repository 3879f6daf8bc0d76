"""A look at a source is another text if the source has changed, wherever it lies, and only then."""

import os
import pathlib

import pytest

from components.core.errors import PipelineError
from components.download.component import download as download_component
from components.download.component import look as look_component
from components.download.look import can_change, look
from components.download.settings import DownloadSettings
from tests.servers.http_api import Api


def picture(folder: pathlib.Path, name: str, content: bytes = b"one") -> pathlib.Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, ns=(0, 0))
    return file


def test_without_a_source_there_is_nothing_to_see_and_a_version_of_ones_own_stands():
    assert look("") == ""
    assert look("/no/such/place", "of mine") == "of mine"


def test_a_folder_looks_the_same_until_something_in_it_changes(tmp_path):
    photos = tmp_path / "photos"
    file = picture(photos, "cat/1.png")
    seen = [look(str(photos))]
    assert look(str(photos)) == seen[0]

    file.write_bytes(b"other")
    seen.append(look(str(photos)))
    file.rename(file.with_name("2.png"))
    seen.append(look(str(photos)))
    (photos / "dog").mkdir()
    seen.append(look(str(photos)))
    (photos / "dog" / "x.png").symlink_to("nowhere")
    seen.append(look(str(photos)))
    (photos / "cat").rename(photos / "bird")  # a class of another name: no file has changed
    seen.append(look(str(photos)))
    assert len(set(seen)) == 6


def test_what_programs_leave_in_a_folder_trains_nothing_anew(tmp_path):
    """macOS's Finder writes a .DS_Store when somebody looks at the pictures. None of it is packed."""
    picture(tmp_path, "cat/1.png")
    before = look(str(tmp_path))
    for left in (".DS_Store", "cat/.DS_Store", "cat/@eaDir/1.png", ".git/HEAD", "#recycle/2.png"):
        picture(tmp_path, left)
    assert look(str(tmp_path)) == before


def test_two_files_of_one_size_and_time_that_change_places_are_seen(tmp_path):
    one, two = picture(tmp_path, "cat/1.png"), picture(tmp_path, "dog/2.png", b"two")
    before = look(str(tmp_path))
    one.rename(tmp_path / "between")
    two.rename(one)
    (tmp_path / "between").rename(two)
    assert look(str(tmp_path)) != before


def test_a_file_and_names_of_any_bytes(tmp_path):
    file = picture(tmp_path, "photos.tar")
    before = look(str(file))
    assert before == look(f"file://{file}")
    picture(tmp_path, "photos.tar", b"other")
    assert look(str(file)) != before
    with open(os.fsencode(tmp_path) + b"/\xff.png", "wb"):  # noqa: PTH123 - a name that is no UTF-8
        pass
    assert len(look(str(tmp_path))) == 16


def test_a_missing_source_is_refused():
    with pytest.raises(PipelineError, match="'/no/such/place', which does not exist"):
        look("/no/such/place")


class Changing(Api):
    """Answers with the headers that the test says; HEAD may be refused."""

    says: dict[str, str] = {}
    signed_for_get = False

    def handle(self, method: str, *_: object) -> tuple:
        return 403 if method == "HEAD" and self.signed_for_get else 200, ("", self.says)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    api = Changing()
    with api.serving() as url:
        api.url = f"{url}/photos.tar"
        yield api


@pytest.mark.parametrize("signed_for_get", [False, True])
@pytest.mark.parametrize(("name", "values"), [("ETag", ('"one"', '"two"')), ("Last-Modified", ("Mon", "Tue"))])
def test_a_url_whose_etag_or_date_changed_looks_otherwise(server, signed_for_get, name, values):
    server.signed_for_get = signed_for_get
    server.says = {name: values[0]}
    before = look(server.url)
    assert before == look(f"{server.url}?token=other")
    server.says = {name: values[1]}
    assert look(server.url) != before


def test_a_server_that_tells_nothing_never_looks_the_same(server):
    assert look(server.url) != look(server.url) != ""


def test_a_server_that_does_not_answer_is_left_to_download(server):
    server.faults = [(method, "/", "drop") for method in ("HEAD", "GET")] * 10
    assert look(server.url) != look(server.url)


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ({"source": "gs://bucket/photos"}, True),
        ({"source": "https://host/photos.tar"}, True),
        ({"source": "gs://bucket/photos", "source_version": "7"}, False),
        ({"source": "gs://bucket/photos", "source_sha256": "0" * 64}, False),
        ({"source": "/data/photos"}, False),
        ({"dataset": "digits"}, False),
    ],
)
def test_what_can_change_unnoticed_is_refused_if_no_look_was_taken(given, changes, tmp_path, capsys):
    settings = DownloadSettings(**{"dataset": "image_folder", **given})
    assert can_change(settings) is changes
    if changes:

        class Raw:
            path = str(tmp_path / "raw")

        with pytest.raises(SystemExit):
            download_component.python_func(Raw, **settings.model_dump())
        assert "error: source: expected a pipeline that was compiled with a source" in capsys.readouterr().err


def test_the_component_hands_on_what_it_saw(tmp_path):
    file = picture(tmp_path, "photos.tar")
    seen = look(str(file))
    assert look_component.python_func(str(file), "", "", str(file), "", "", "") == (seen, seen)
    assert look_component.python_func("", "", "", "", "", "", "gs://bucket") == ("", "")
