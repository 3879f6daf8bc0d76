"""The registry's commands, as typed."""

import json
import re

import pytest

from tests.servers.fixtures import gcs, gcs_server  # noqa: F401
from tests.servers.model_registry import ModelRegistry


def test_json_is_all_that_a_program_reads_also_if_the_store_is_asked_again(typed, export, gcs, monkeypatch):  # noqa: F811
    typed("publish", "digits", str(export), uri=gcs.uri)
    monkeypatch.setattr("components.core.storage.retry.TOLD_PAUSE_S", 0.0)
    gcs.proxy.fail("status:503", method="GET", path="manifest.json")
    shown = typed("show", "digits", "1", "--json", uri=gcs.uri)
    assert json.loads(shown.out)["facts"]["accuracy"] == 0.97
    assert "again in" in shown.err


def test_a_models_life(typed, export, tmp_path):
    (tmp_path / "store").mkdir()
    assert typed("list").out.startswith("no models in ")
    assert "published digits version 1 at " in typed("publish", "digits", str(export)).out
    assert "version 2 is the champion of digits" in typed("publish", "digits", str(export), "--champion").out
    columns, digits = typed("list").out.splitlines()
    assert columns.split() == ["model", "champion", "accuracy", "published", "(UTC)"]
    assert digits.split()[:3] == ["digits", "2", "0.9700"]
    when = digits.partition("0.9700")[2].strip()
    assert f"published {when} UTC" in typed("show", "digits").out and when in typed("list", "digits").out
    listed = typed("list", "digits").out.splitlines()
    assert (
        len(listed) == 3
        and "never champion" in listed[1]
        and listed[2].split()[1] == "champion"
        and "0.9700" in listed[2]
    )
    shown = typed("show", "digits", "1").out
    assert shown.startswith("digits version 1\n") and "ab" * 32 in shown and "assets.extra/MODEL_CARD.md" in shown
    assert "published by hand" in shown
    assert typed("show", "digits").out.startswith("digits version 2, the champion\n")
    assert json.loads(typed("show", "digits", "--json").out)["facts"]["accuracy"] == 0.97
    typed("champion", "digits", "1")
    assert "version 1 is the champion of digits, at " in typed("champion", "digits").out
    assert "version 2 is the champion of digits again" in typed("rollback", "digits").out
    typed("fetch", "digits", str(tmp_path / "fetched"))
    assert (tmp_path / "fetched" / "saved_model.pb").read_bytes() == b"graph"
    assert typed("delete", "digits", "1", answer="n\n").code == 1
    assert len(typed("list", "digits").out.splitlines()) == 3
    assert typed("delete", "digits", "1", answer="y\n").code == 0
    assert len(typed("list", "digits").out.splitlines()) == 2
    typed("publish", "digits", str(export))
    typed("champion", "digits", "3")
    assert "delete it with --force" in typed("delete", "digits", "2", "--yes").err
    assert typed("delete", "digits", "2", "--yes", "--force").code == 0


def test_what_is_damaged_is_listed_and_blocks_nothing_else(typed, export, tmp_path):
    for _ in range(3):
        typed("publish", "digits", str(export), "--champion")
    typed("publish", "cats", str(export), "--champion")
    models = tmp_path / "store" / "models"
    (models / "digits" / "2" / "manifest.json").write_text("{")
    (models / "digits" / "9").mkdir()
    (models / "digits" / "9" / "saved_model.pb").write_text("by hand")
    listed = typed("list", "digits").out.splitlines()
    assert [line.split()[:2] for line in listed[1:5]] == [
        *(["1", "0.9700"], ["2", "unreadable"], ["3", "champion"], ["9", "unreadable"])
    ]
    assert listed[5].startswith("version 2: expected a manifest in ")
    assert listed[6] == "version 9: not of this registry: it has no manifest.json"
    (models / "digits" / "champion.json").write_text("[")
    assert typed("list", "digits").out.splitlines()[7].startswith("expected a champion in ")
    listed = typed("list").out.splitlines()
    assert [line.split()[:3] for line in listed[1:3]] == [["cats", "1", "0.9700"], ["digits", "?"]]
    assert listed[3].startswith("expected a champion in ") and len(listed) == 4
    (models / "cats" / "1" / "saved_model.pb").unlink()
    listed = typed("list").out.splitlines()
    assert listed[1].split() == ["cats", "1", "?", "?"] and "saved_model.pb" in listed[3]
    assert typed("fetch", "digits", str(tmp_path / "one"), "--version", "1").code == 0
    assert "expected a champion in " in typed("rollback", "digits").err
    assert typed("champion", "digits", "3").out.splitlines() == [
        "champion.json of digits is written anew; champions before, as servers see them: 1, 2; what was rolled back is "
        "forgotten",
        "version 3 is the champion of digits",
        "note: servers that follow the highest number still serve version 9: make models ARGS='serve digits'",
    ]
    said = typed("rollback", "digits").out
    assert "version 2 of digits is passed over" in said and "version 1 is the champion of digits again" in said


def test_a_model_that_was_rolled_back_is_named_or_refused(typed, export):
    typed("publish", "digits", str(export), "--champion")
    (export / "saved_model" / "7" / "saved_model.pb").write_bytes(b"worse")
    typed("publish", "digits", str(export), "--champion")
    typed("rollback", "digits")
    refused = typed("publish", "digits", str(export), "--champion")
    assert refused.code == 1 and "published digits version 3 at " in refused.out
    assert "this model, as version 2, was rolled back" in refused.err
    assert typed("champion", "digits").out.startswith("version 1 ")
    assert typed("champion", "digits", "3").out == "version 3 is the champion of digits\n"


def test_figures_are_told_weights_in_thousands_and_settings_as_they_are_typed(typed, export):
    training = {"parameters": 1234567, "epochs": 2000, "settings": {"batch_size": 1000}}
    metrics = {"accuracy_interval_95": [0.9, 0.99], "test_pictures": 1000, "macro_f1": 0.5, "calibration_error": 0.03}
    facts = {"training": training, "accuracy": 0.97, "loss": 0.25, "metrics": metrics, "files": []}
    (export / "manifest.json").write_text(json.dumps(facts))
    typed("publish", "digits", str(export))
    shown = typed("show", "digits", "1").out
    assert "test accuracy      0.9700 (95 % interval 0.9000 to 0.9900) on 1,000 pictures\n" in shown
    told = ("weights +1,234,567", "trained +2,000", "batch_size=1000", "loss +0.2500", "F1 +0.5000", "error +0.0300")
    assert all(re.search(f" {text}\n", shown) for text in told)


@pytest.mark.parametrize("odd", [None, True, 7, "\x1b[2J\ngate: passed", [1], {"a": 1}])
def test_what_others_say_of_their_versions_is_shown_as_text_or_left_out(typed, export, odd):
    """Who may write to a bucket may say anything of a version there, in any form."""
    told = {"metrics", "decision", "training", "versions", "formats", "pictures", "class_names", "image_shape", "loss"}
    for name in (*told, "accuracy", "dataset", "source_uri", "licence"):
        (export / "manifest.json").write_text(json.dumps({name: odd}))
        typed("publish", "digits", str(export), "--champion")
    (export / "manifest.json").write_text(json.dumps(dict.fromkeys(("macro_f1", "accuracy_interval_95"), odd)))
    lines = typed("list", "digits").out.splitlines()
    assert [line.split()[0] for line in lines] == ["version", *map(str, range(1, 14))]
    assert typed("list").code == 0
    for number in range(1, 14):
        shown = typed("show", "digits", str(number))
        assert shown.code == 0 and "\x1b" not in shown.out and "\ngate: passed" not in shown.out
        assert "assets.extra/MODEL_CARD.md" in shown.out
    (export / "manifest.json").write_text("[1]")
    assert "manifest.json, received a value that is no object; " in typed("publish", "digits", str(export)).err
    version = typed("show", "digits", "13", "--json")
    assert json.loads(version.out)["facts"]["licence"] == odd


def test_names_of_classes_that_hold_commas_are_quoted(typed, export):
    facts = {"class_names": ["rote bälle", "weiß, #3", "Äpfel grün"], "files": []}
    (export / "manifest.json").write_text(json.dumps(facts))
    typed("publish", "photos", str(export))
    assert '  3: rote bälle, "weiß, #3", Äpfel grün\n' in typed("show", "photos", "1").out


def test_a_fetched_version_is_published_elsewhere(typed, export, tmp_path):
    typed("publish", "digits", str(export), "--champion")
    typed("fetch", "digits", str(tmp_path / "fetched"))
    published = typed("--registry", str(tmp_path / "elsewhere"), "publish", "digits", str(tmp_path / "fetched"))
    assert (published.code, published.out.split(" at ")[0]) == (0, "published digits version 1")
    shown = json.loads(typed("--registry", str(tmp_path / "elsewhere"), "show", "digits", "1", "--json").out)
    assert shown["facts"]["accuracy"] == 0.97 and "assets.extra/MODEL_CARD.md" in shown["files"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "cats"], "expected versions of cats in .*, received none"),
        (["show", "digits", "9"], "expected version 9 of digits, received none; there: 1, 2"),
        (["show", "digit", "2"], "expected version 2 of digit, received no model of that name; list the models"),
        (["show", "cats"], "expected a champion of cats, received no such model; there: digits"),
        (["rollback", "digits"], "expected an earlier champion of digits to go back to"),
        (["delete", "digits", "2", "--yes"], "version 2 is the champion of digits, never deleted"),
        (["publish", "digits", "."], "expected an export with one saved_model/VERSION/saved_model.pb"),
        (["publish", "a/b", "EXPORT"], "expected a model name"),
        (["fetch", "digits", "EXPORT"], "expected a new directory, received .*, which exists"),
    ],
)
def test_what_can_be_wrong_is_one_line(typed, export, arguments, said):
    typed("publish", "digits", str(export))
    typed("publish", "digits", str(export), "--champion")
    done = typed(*[str(export) if argument == "EXPORT" else argument for argument in arguments])
    assert done.code == 1
    assert done.err.startswith("error: ") and done.err.count("\n") == 1
    assert re.search(said, done.err), done.err


def test_without_a_registry(typed):
    done = typed("list", uri="")
    assert done.code == 1
    assert (
        done.err == "error: expected a registry, received none; give --registry gs://bucket or set CONV2D_PUBLISH_URI\n"
    )


@pytest.mark.parametrize("arguments", [["list"], ["show", "digits"], ["delete", "digits", "1", "--yes"]])
def test_a_registry_whose_name_is_mistyped(typed, tmp_path, arguments):
    for uri in (str(tmp_path / "stroe"), f"file://{tmp_path}/stroe"):
        done = typed(*arguments, uri=uri)
        assert done.code == 1
        assert done.err == (
            f"error: expected a registry, found no directory {tmp_path}/stroe; "
            "check its name: only publishing makes one\n"
        )
    assert not (tmp_path / "stroe").exists()


def test_kubeflow_hub_hears_of_every_change(typed, export, monkeypatch):
    hub = ModelRegistry()
    with hub.serving() as url:
        monkeypatch.setenv("CONV2D_MODEL_REGISTRY_URL", url)
        assert f"Kubeflow Hub at {url} knows the versions of digits" in typed("publish", "digits", str(export)).out
        typed("champion", "digits", "1")
        assert hub.properties("1")["champion"]
        typed("publish", "digits", str(export), "--champion")
        assert (hub.properties("1")["champion"], hub.properties("2")["champion"]) == (False, True)
        typed("rollback", "digits")
        assert (hub.properties("1")["champion"], hub.properties("2")["champion"]) == (True, False)
        assert typed("register", "digits").code == 0
    assert typed("register", "digits").code == 1  # it is gone
    monkeypatch.delenv("CONV2D_MODEL_REGISTRY_URL")
    assert "set CONV2D_MODEL_REGISTRY_URL" in typed("register", "digits").err
