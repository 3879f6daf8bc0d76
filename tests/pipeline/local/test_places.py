"""Where the places that a run names lie on this machine."""

import pytest

from components.core.errors import PipelineError
from components.download.look import look
from components.download.places import places_of
from pipeline.local.places import local_sources, with_places, written_places
from pipeline.parameters.parameters import Parameters, configure


def test_a_local_path_becomes_absolute(tmp_path, monkeypatch):
    for name in ("photos", "more"):
        (tmp_path / name).mkdir()
    (tmp_path / "labels.csv").write_text("path,label\n")
    monkeypatch.chdir(tmp_path)
    assert with_places(Parameters(dataset="image_folder", source="photos"), tmp_path).source == str(tmp_path / "photos")
    several = Parameters(dataset="image_folder", source='["photos", "more"]', labels="labels.csv")
    placed = with_places(several, tmp_path)
    assert places_of(placed.source) == [str(tmp_path / "photos"), str(tmp_path / "more")]
    assert placed.labels == str(tmp_path / "labels.csv")
    assert local_sources(placed) == [tmp_path / name for name in ("photos", "more", "labels.csv")]
    assert local_sources(Parameters(dataset="image_folder", source=f"file://{tmp_path}/a%20b")) == [tmp_path / "a b"]
    assert local_sources(Parameters(dataset="image_folder", source="gs://bucket/x")) == []


def test_the_source_its_labels_and_the_model_to_start_from_are_looked_at(tmp_path):
    file, table, model = (tmp_path / name for name in ("photos.tar", "labels.csv", "model.keras"))
    for place in (file, table, model):
        place.write_bytes(b"one")
    assert with_places(Parameters(dataset="image_folder", source=str(file)), tmp_path).source_version == look(str(file))
    all_of_it = Parameters(dataset="image_folder", source=str(file), labels=str(table), start_from=str(model))
    placed = with_places(all_of_it, tmp_path)
    assert placed.source_version == look(str(file), labels=str(table)) != look(str(file))
    assert placed.start_version == look(str(model))
    own = Parameters(dataset="image_folder", source=str(file), source_version="of mine")
    assert with_places(own, tmp_path).source_version == "of mine"


def test_a_missing_local_source_is_refused(tmp_path):
    with pytest.raises(PipelineError, match="does not exist"):
        with_places(Parameters(dataset="image_folder", source="/no/such/place"), tmp_path)


def test_a_run_that_would_write_among_the_pictures_is_refused_before_anything_is_written(tmp_path):
    """The registry's folder was a class in the next run, and a link of the runs stopped each later one."""
    photos, outputs = tmp_path / "photos", tmp_path / "outputs"
    photos.mkdir()
    (tmp_path / "link").symlink_to("photos")
    for outside in (str(tmp_path), "gs://bucket/registry", str(tmp_path / "photos.registry")):
        with_places(Parameters(dataset="image_folder", source=str(photos), publish_uri=outside), outputs)
    for inside in (photos, photos / "registry", tmp_path / "link" / "registry"):
        own = Parameters(dataset="image_folder", source=str(photos), publish_uri=str(inside))
        with pytest.raises(PipelineError, match="^publish_uri: expected a place outside of the source"):
            with_places(own, outputs)
        with pytest.raises(PipelineError, match="^outputs: expected a place outside of the source"):
            with_places(Parameters(dataset="image_folder", source=str(photos)), inside)


def test_places_to_write_to_become_absolute_and_are_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = Parameters(publish_uri="registry", tensorboard_uri=f"file://{tmp_path}/a%20b", checkpoints="gs://bucket/x")
    placed = with_places(given, tmp_path / "outputs")
    assert (placed.publish_uri, placed.checkpoints) == (str(tmp_path / "registry"), "gs://bucket/x")
    assert written_places(placed) == {"publish_uri": tmp_path / "registry", "tensorboard_uri": tmp_path / "a b"}


def test_checkpoints_lie_beside_the_runs_unless_a_place_is_named(tmp_path):
    assert with_places(Parameters(), tmp_path).checkpoints == str(tmp_path / ".checkpoints")
    environment = {"CONV2D_CHECKPOINTS": "/mnt/checkpoints"}
    assert configure("quickstart", environment=environment).parameters.checkpoints == "/mnt/checkpoints"


def test_a_path_without_a_model_to_start_from_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "model.keras").touch()
    (tmp_path / "latest").symlink_to(".")  # which another run leads elsewhere before this one trains
    for folder in (tmp_path, tmp_path / "latest"):
        assert with_places(Parameters(start_from=str(folder)), tmp_path).start_from == str(tmp_path)
    (tmp_path / "5e9ab1").touch()
    (pets := tmp_path / "pets.keras").symlink_to("5e9ab1")  # as DVC and Hugging Face's client keep files
    assert with_places(Parameters(start_from=str(pets)), tmp_path).start_from == str(pets)
    (tmp_path / "README.md").touch()
    (tmp_path / "photos").mkdir()
    for name in ("README.md", "photos", "gone.keras"):
        with pytest.raises(PipelineError, match=f"^start_from: expected .*{name}', where there is none"):
            with_places(Parameters(start_from=str(tmp_path / name)), tmp_path)
