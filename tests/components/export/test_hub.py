"""Kubeflow Hub is told what the registry holds: through failures, repeats, and a champion that moves."""

import json

import pytest

from components.core.registry import Registry
from components.export.hub import tell_hub
from components.export.settings import ExportSettings
from tests.servers.http_api import Api
from tests.servers.model_registry import ModelRegistry, refusal

FACTS = {
    "accuracy": 0.97,
    "loss": 0.1,
    "dataset": "digits",
    "dataset_fingerprint": "ab" * 32,
    "source_uri": "package:digits",
    "source_sha256": "cd" * 32,
    "weights_sha256": "ef" * 32,
    "code_revision": "0123456789ab",
    "metrics": {"macro_f1": 0.96, "test_pictures": 500, "calibration_error": 0.02},
    "decision": {"reasons": [{"said": "test accuracy 0.9700 reaches min_accuracy 0.9", "holds": True}]},
    "formats": {"saved_model": {}, "onnx": {}},
}


@pytest.fixture
def registry(tmp_path):
    return Registry(str(tmp_path / "store"))


@pytest.fixture
def publish(registry, tmp_path):
    """Publishes a small model; the same number of versions each time."""

    def make(accuracy: float = 0.97) -> int:
        place = tmp_path / f"export-{accuracy}"
        place.mkdir()
        (place / "saved_model.pb").write_text(str(accuracy))
        return registry.publish("digits", place, {}, FACTS | {"accuracy": accuracy}).number

    return make


@pytest.fixture
def told(registry):
    """Tells a Hub at that address of digits."""
    return lambda url: tell_hub(url, registry.store.uri(), "digits")


def test_what_is_published_can_be_found_and_the_champion_follows(registry, publish, told):
    hub = ModelRegistry()
    with hub.serving() as url:
        publish(0.97)
        assert told(url)
        assert not hub.properties("1")["champion"]
        registry.promote("digits", 1)
        publish(0.98)
        registry.promote("digits", 2)
        assert told(url)
        [model] = hub.kept["registered_models"].values()
        first, second = hub.properties("1"), hub.properties("2")
        registry.rollback("digits")
        assert told(url)
    assert (model["name"], model["customProperties"]["champion"]["string_value"]) == ("digits", "1")
    assert (first["champion"], second["champion"]) == (False, True)
    assert (hub.properties("1")["champion"], hub.properties("2")["champion"]) == (True, False)
    told_of_all = {name: first[name] for name in FACTS if isinstance(FACTS[name], str | float)}
    assert told_of_all == {name: FACTS[name] for name in told_of_all}
    assert (first["macro_f1"], first["test_pictures"], first["formats"]) == (0.96, "500", "saved_model,onnx")
    assert first["gate"] == "test accuracy 0.9700 reaches min_accuracy 0.9"
    artifacts = {each["name"]: each for each in hub.kept["artifacts"].values()}
    assert set(artifacts) == {"digits-1", "digits-2"}
    assert artifacts["digits-1"]["uri"] == registry.uri("digits", 1)  # moved by the promotion from where it was staged
    assert (artifacts["digits-1"]["modelFormatName"], artifacts["digits-1"]["modelFormatVersion"]) == (
        "tensorflow",
        "2",
    )


@pytest.mark.parametrize("api", ["v1", "v1alpha3"])
def test_again_changes_nothing(registry, publish, told, api):
    """Also with more versions than a page holds; the API of before 2026 too."""
    hub = ModelRegistry(api)
    for accuracy in (0.91, 0.92, 0.93):
        publish(accuracy)
    with hub.serving() as url:
        assert told(url)
        before = json.dumps(hub.kept)
        hub.requests.clear()
        assert told(url)
    assert {request[0] for request in hub.requests} == {"GET"}
    assert json.dumps(hub.kept) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "registered_models"),
        ("POST", "model_versions"),
        ("POST", "model_versions/2/artifacts"),
        ("GET", "registered_model?"),
        ("GET", "registered_models/1/versions"),
    ],
)
@pytest.mark.parametrize("fault", ["drop after", "drop", (503, "<html>Unavailable</html>")])
def test_a_fault_that_passes_is_outlived_and_makes_nothing_twice(registry, publish, told, method, path, fault):
    hub = ModelRegistry()
    hub.faults = [(method, f"/api/model_registry/v1/{path}".rstrip("?"), fault)]
    publish()
    with hub.serving() as url:
        assert told(url)
    assert [len(kept) for kept in hub.kept.values()] == [1, 1, 1]


def test_a_hub_that_fails_is_one_line_and_the_next_telling_makes_up_for_it(registry, publish, told, capsys):
    hub = ModelRegistry()
    publish()
    with hub.serving() as url:
        hub.faults = [("POST", "/api/model_registry/v1/model_versions", refusal(500, "no such\ntable"))]
        assert not told(url)
        [line] = capsys.readouterr().out.splitlines()
        assert line.startswith(
            "warning: Kubeflow Hub was not told of digits: POST model_versions: HTTP 500 no such table"
        )
        assert line.endswith("make models ARGS='register digits'")
        assert told(url)
    assert hub.properties("1")["accuracy"] == 0.97
    assert not told(url)
    assert "no answer at" in capsys.readouterr().out


class LoginPage(Api):
    def handle(self, *request):
        return 302, ("<html>", {"Location": "/login"})


@pytest.mark.parametrize(("server", "said"), [(LoginPage(), "HTTP 302"), (ModelRegistry("v9"), "is no Model Registry")])
def test_something_else_than_a_hub(registry, publish, told, capsys, server, said):
    publish()
    with server.serving() as url:
        assert not told(url)
    assert said in capsys.readouterr().out


def test_a_version_that_says_odd_things_of_itself_holds_up_no_other(registry, publish, told, tmp_path, capsys):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "saved_model.pb").write_text("odd")
    registry.publish("digits", tmp_path / "odd", {}, {"metrics": True, "decision": [1]})
    publish(0.97)
    hub = ModelRegistry()
    with hub.serving() as url:
        assert told(url)
        assert hub.properties("2")["accuracy"] == 0.97
    assert "warning: version 1 of digits does not say of itself what an export does: " in capsys.readouterr().out


def test_what_others_keep_in_the_hub_is_theirs(registry, publish, told, capsys):
    """Labels of people on what is ours, a version that somebody wrote by hand, and a model of another registry."""
    hub = ModelRegistry()
    label = {"string_value": "", "metadataType": "MetadataStringValue"}
    publish(0.91)
    publish(0.92)
    with hub.serving() as url:
        hub.handle("POST", "/api/model_registry/v1/registered_models", {}, {"name": "digits"}, {})
        by_hand = {"name": "2", "registeredModelId": "1", "customProperties": {"mine": label}}
        hub.handle("POST", "/api/model_registry/v1/model_versions", {}, by_hand, {})
        assert told(url)
        assert "version 2 of digits in Kubeflow Hub is not from" in capsys.readouterr().out
        assert hub.properties("2") == {"mine": ""}
        [ours] = [each for each in hub.kept["model_versions"].values() if each["name"] == "1"]
        ours["customProperties"]["reviewed"] = label
        registry.promote("digits", 1)
        assert told(url)
        assert hub.properties("1")["reviewed"] == "" and hub.properties("1")["champion"]
        hub.kept["registered_models"]["1"]["customProperties"]["registry"]["string_value"] = "gs://theirs/models/digits"
        assert not told(url)
    assert "is of another registry, gs://theirs/models/digits" in capsys.readouterr().out


def test_a_version_that_is_deleted_is_archived(registry, publish, told):
    hub = ModelRegistry()
    publish(0.91)
    publish(0.92)
    with hub.serving() as url:
        told(url)
        registry.delete("digits", 1)
        told(url)
    assert [each["state"] for each in hub.kept["model_versions"].values()] == ["ARCHIVED", "LIVE"]


@pytest.mark.parametrize(("url", "registry", "said"), [("", "/models", ""), ("http://hub", "", "give PUBLISH_URI=\n")])
def test_without_an_address_nobody_is_asked(capsys, url, registry, said):
    assert not tell_hub(url, registry, "digits")
    assert capsys.readouterr().out.partition("nowhere: ")[2] == said


@pytest.mark.parametrize("url", ["hub:8080", "http://", "http://ana:secret@hub", "ftp://hub"])
def test_an_address_that_is_none(url):
    with pytest.raises(Exception, match="model_registry_url: expected an address such as") as caught:
        ExportSettings.checked(model_registry_url=url)
    assert "secret" not in str(caught.value)
