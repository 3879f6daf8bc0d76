"""Publishing an export: a number of its own, the first one champion, and everything there that was exported."""

import json
import pathlib

import pytest

from components.core.errors import PipelineError
from components.core.registry import Registry
from components.export.publish import publish
from components.export.settings import ExportSettings
from tests.servers.fixtures import gcs_server, place, s3_server  # noqa: F401


@pytest.fixture
def exported(tmp_path) -> pathlib.Path:
    """An export artifact in small."""
    directory = tmp_path / "exported"
    (directory / "saved_model" / "1" / "variables").mkdir(parents=True)
    (directory / "saved_model" / "1" / "saved_model.pb").write_bytes(b"graph")
    (directory / "saved_model" / "1" / "variables" / "variables.index").write_bytes(b"index")
    (directory / "model.keras").write_bytes(b"keras")
    (directory / "manifest.json").write_text(json.dumps({"accuracy": 0.9, "source_sha256": "abc", "files": []}))
    return directory


def test_versions_are_numbered_and_the_first_is_the_champion(place, exported, capsys):  # noqa: F811
    assert publish(place.uri, "digits", str(exported)) == 1
    assert publish(place.uri, "digits", str(exported)) == 2
    registry = Registry(place.uri)
    assert [version.number for version in registry.versions("digits")] == [1, 2]
    assert registry.champion("digits").version == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"published {registry.show('digits', 2).uri}, the champion stays version 1"


def test_a_version_knows_where_it_came_from(place, exported):  # noqa: F811
    publish(place.uri, "digits", str(exported))
    shown = Registry(place.uri).show("digits", 1)
    assert (shown.facts["accuracy"], shown.facts["source_sha256"]) == (0.9, "abc")
    assert {"saved_model.pb", "variables/variables.index", "assets.extra/model.keras"} <= set(shown.files)


def test_a_registry_that_is_none_is_refused_before_anything_runs():
    with pytest.raises(PipelineError, match="publish_uri|scheme"):
        ExportSettings.checked(publish_uri="ftp://host/models")
