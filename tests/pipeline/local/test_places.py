"""Where the places that a run names lie on this machine."""

import pytest

from components.core.errors import PipelineError
from components.download.look import look
from pipeline.local.places import local_source, with_places, written_places
from pipeline.parameters.parameters import Parameters


def test_without_a_source_there_is_nothing_to_say():
    assert with_places(Parameters()) == Parameters()


def test_a_local_path_becomes_absolute(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    assert with_places(Parameters(dataset="image_folder", source="photos")).source == str(tmp_path / "photos")
    assert local_source(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert local_source("gs://bucket/x") is None


def test_the_source_is_looked_at(tmp_path):
    file = tmp_path / "photos.tar"
    file.write_bytes(b"one")
    assert with_places(Parameters(dataset="image_folder", source=str(file))).source_version == look(str(file))
    own = Parameters(dataset="image_folder", source=str(file), source_version="of mine")
    assert with_places(own).source_version == "of mine"


def test_a_missing_local_source_is_refused():
    with pytest.raises(PipelineError, match="does not exist"):
        with_places(Parameters(dataset="image_folder", source="/no/such/place"))


def test_places_to_write_to_become_absolute_and_are_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    placed = with_places(Parameters(publish_uri="registry", checkpoints="gs://bucket/x"))
    assert (placed.publish_uri, placed.checkpoints) == (str(tmp_path / "registry"), "gs://bucket/x")
    assert written_places(placed) == [tmp_path / "registry"]
