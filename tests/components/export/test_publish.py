"""Publishing an export: a number of its own, champion as the gate decided, and everything there that was exported."""

import json

import pytest

from components.core.artifacts.evaluation import write_decision
from components.core.errors import PipelineError
from components.core.registry import Registry
from components.export.publish import publish
from components.export.settings import ExportSettings
from tests.decisions import decision

# By S3 it is the same, which the first test shows, and takes twice as long.
in_two_places = pytest.mark.parametrize("place", ["file", "gs"], indirect=True)


@pytest.fixture
def exported(tmp_path):
    """Makes an export artifact in small, of a model by its sha256."""

    def make(model: str = "first", directory: str = "") -> str:
        directory = tmp_path / (directory or model)
        (directory / "saved_model" / "1" / "variables").mkdir(parents=True)
        (directory / "saved_model" / "1" / "saved_model.pb").write_bytes(b"graph")
        (directory / "saved_model" / "1" / "variables" / "variables.index").write_bytes(model.encode())
        (directory / "model.keras").write_bytes(b"keras")
        facts = {"accuracy": 0.9, "source_sha256": "abc", "model_sha256": model, "formats": {"keras": {}}, "files": []}
        facts["decision"] = {"of": directory.name}
        (directory / "manifest.json").write_text(json.dumps(facts))
        return str(directory)

    return make


@pytest.fixture
def decided(tmp_path, place):
    """Makes an evaluation artifact whose decision was taken against that champion."""

    def make(champion: int, **changes) -> str:
        made = decision(True, "it is better", registry=place.uri, champion=champion)
        directory = tmp_path / f"evaluation-{champion}"
        directory.mkdir(exist_ok=True)
        write_decision(directory, made.model_copy(update=changes))
        return str(directory)

    return make


def test_each_winner_is_a_version_and_the_champion(place, exported, decided, capsys):
    assert publish(place.uri, "digits", exported("first"), decided(0)) == (
        (1, True, "exported and published as version 1, the champion")
    )
    assert publish(place.uri, "digits", exported("second"), decided(1))[:2] == (2, True)
    registry = Registry(place.uri)
    assert [version.number for version in registry.versions("digits")] == [1, 2]
    assert (registry.champion("digits").version, registry.champion("digits").history) == (2, [1])
    assert capsys.readouterr().out.splitlines()[-1] == "exported and published as version 2, the champion"


@in_two_places
def test_a_champion_that_nobody_compared_with_stays_and_servers_see_nothing_new(place, exported, decided):
    publish(place.uri, "digits", exported("first"), decided(0))
    publish(place.uri, "digits", exported("second"), decided(1))
    late = publish(place.uri, "digits", exported("third"), decided(1))
    assert late == (
        0,
        False,
        "exported, not published: the gate compared with version 1 as the champion, which is version 2 now; run again "
        "to compare with that",
    )
    registry = Registry(place.uri)
    assert [version.number for version in registry.versions("digits")] == [1, 2]
    assert registry.champion("digits").version == 2


@in_two_places
def test_one_that_is_overtaken_while_it_publishes_is_withdrawn(place, exported, decided, monkeypatch, capsys):
    publish(place.uri, "digits", exported("first"), decided(0))
    late, promote = exported("late"), Registry.promote

    def overtaken(registry, name, version, **options):
        monkeypatch.setattr(Registry, "promote", promote)
        assert version == 2
        assert publish(place.uri, "digits", exported("quicker"), decided(1))[:2] == (3, True)
        return promote(registry, name, version, **options)

    monkeypatch.setattr(Registry, "promote", overtaken)
    assert publish(place.uri, "digits", late, decided(1)) == (
        0,
        False,
        "exported, not published: the gate compared with version 1 as the champion, which is version 3 now; run again "
        "to compare with that",
    )
    registry = Registry(place.uri)
    assert registry.champion("digits").version == 3
    assert [version.number for version in registry.versions("digits")] == [1, 3]
    assert registry.store.directories("models/digits") == ["1", "3"]
    assert "withdrew version 2 of digits, which no server has seen\n" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_what_can_not_be_withdrawn_fails_no_step(exported, decided, bucket, monkeypatch, capsys):
    """Nothing may be deleted there: champion.json counts the overtaken one as gone, and no server has seen it."""
    publish(bucket.uri, "digits", exported("first"), decided(0, registry=bucket.uri))
    late, promote = exported("late"), Registry.promote

    def overtaken(registry, name, version, **options):
        monkeypatch.setattr(Registry, "promote", promote)
        publish(bucket.uri, "digits", exported("quicker"), decided(1, registry=bucket.uri))
        bucket.proxy.fail("status:403", times=10_000, method="DELETE")
        return promote(registry, name, version, **options)

    monkeypatch.setattr(Registry, "promote", overtaken)
    late = publish(bucket.uri, "digits", late, decided(1, registry=bucket.uri))
    assert late.said.startswith("exported, not published: the gate compared")
    assert "what was sent as version 2 of digits stays, counted as deleted: no permission" in capsys.readouterr().out
    registry = Registry(bucket.uri)
    assert [version.number for version in registry.versions("digits")] == [1, 3]
    registry.sweep("digits")
    assert "what is left of version 2 of digits, which is deleted, stays: no permission" in capsys.readouterr().out


@in_two_places
def test_a_model_that_was_rolled_back_is_not_published_again(place, exported, decided):
    """The identical job once more, judged against the champion that came back: refused before anything is sent."""
    publish(place.uri, "digits", exported("first"), decided(0))
    bad = exported("bad")
    publish(place.uri, "digits", bad, decided(1))
    registry = Registry(place.uri)
    registry.rollback("digits")
    again = publish(place.uri, "digits", exported("bad", "the same job again"), decided(1, accuracy=0.91))
    assert again[:2] == (0, False)
    assert again.said.startswith("exported, not published: this model, as version 2, was rolled back at ")
    assert again.said.endswith("to serve it all the same, name it: make models ARGS='champion digits 2'")
    # The very step that published it, run once more: its version stays, as a past champion, and is not made one again.
    assert publish(place.uri, "digits", bad, decided(1))[:2] == (2, False)
    assert registry.champion("digits").version == 1
    assert [version.number for version in registry.versions("digits")] == [1, 2]
    registry.promote("digits", 2, named=True)
    assert registry.champion("digits").version == 2


@in_two_places
def test_a_step_that_comes_too_late_to_tell_of_its_own_success(place, exported, decided):
    """Killed after it had made its version champion, and run again after the next one has replaced that."""
    publish(place.uri, "digits", exported("first"), decided(0))
    second = exported("second")
    publish(place.uri, "digits", second, decided(1))
    publish(place.uri, "digits", exported("third"), decided(2))
    assert publish(place.uri, "digits", second, decided(1)) == (
        2,
        False,
        "exported and published as version 2, the champion until version 3",
    )
    assert [version.number for version in Registry(place.uri).versions("digits")] == [1, 2, 3]


@in_two_places
@pytest.mark.parametrize("died", ["before it was promoted", "after it was promoted"])
def test_a_step_that_was_killed_and_runs_again_publishes_once(place, exported, decided, died, monkeypatch):
    artifact, evaluation = exported("first"), decided(0)
    if died.startswith("before"):

        def killed(*_, **__):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Registry, "promote", killed)
            publish(place.uri, "digits", artifact, evaluation)
        assert Registry(place.uri).champion("digits") is None
    else:
        publish(place.uri, "digits", artifact, evaluation)
    assert publish(place.uri, "digits", artifact, evaluation)[:2] == (1, True)
    registry = Registry(place.uri)
    assert [version.number for version in registry.versions("digits")] == [1]
    assert registry.champion("digits").version == 1


@in_two_places
def test_a_version_knows_where_it_came_from(place, exported, decided):
    publish(place.uri, "digits", exported(), decided(0))
    shown = Registry(place.uri).show("digits", 1)
    assert (shown.facts["accuracy"], shown.facts["source_sha256"]) == (0.9, "abc")
    assert {"saved_model.pb", "variables/variables.index", "assets.extra/model.keras"} <= set(shown.files)


def test_without_a_registry_nothing_is_published(exported, decided):
    assert publish("", "digits", exported(), decided(0)) == (0, False, "exported")


@in_two_places
def test_a_decision_about_another_champion_is_refused(place, exported, decided):
    with pytest.raises(PipelineError, match="on cats in .*, received one on digits in .*; run evaluate with the same"):
        publish(place.uri, "cats", exported(), decided(0))
    with pytest.raises(PipelineError, match="received one on digits in no registry"):
        publish(place.uri, "digits", exported("other"), decided(0, registry=""))
    assert Registry(place.uri).names() == []


def test_a_registry_that_is_none_is_refused_before_anything_runs():
    with pytest.raises(PipelineError, match="publish_uri|scheme"):
        ExportSettings.checked(publish_uri="ftp://host/models")
