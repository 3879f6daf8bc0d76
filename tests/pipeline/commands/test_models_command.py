"""The registry's commands, as typed."""

import io
import json
import pathlib
import re
import shutil
from types import SimpleNamespace

import click
import pytest
import yaml

from components.core.errors import one_line_errors
from pipeline.commands.models import models
from pipeline.models import serving
from tests.servers.fixtures import gcs, gcs_server  # noqa: F401
from tests.servers.model_registry import ModelRegistry


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    """Runs `models ARGUMENTS` on a registry in a directory; returns what it printed."""

    def run(*arguments: str, answer: str = "", uri: str | None = None) -> SimpleNamespace:
        monkeypatch.setenv("CONV2D_PUBLISH_URI", str(tmp_path / "store") if uri is None else uri)
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        capsys.readouterr()
        code = 0
        try:
            with one_line_errors():
                models.main([*arguments], prog_name="models", standalone_mode=False)
        except (SystemExit, click.exceptions.Abort):
            code = 1
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


@pytest.fixture
def export(tmp_path) -> pathlib.Path:
    """What the export component writes, in small."""
    directory = tmp_path / "export"
    (directory / "saved_model" / "7" / "variables").mkdir(parents=True)
    (directory / "saved_model" / "7" / "saved_model.pb").write_bytes(b"graph")
    (directory / "saved_model" / "7" / "variables" / "variables.index").write_bytes(b"index")
    (directory / "MODEL_CARD.md").write_text("# digits")
    (directory / "manifest.json").write_text(json.dumps({"accuracy": 0.97, "source_sha256": "ab" * 32, "files": []}))
    return directory


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
        "servers that follow the highest number go on serving version 9: make models ARGS='serve digits'",
    ]
    said = typed("rollback", "digits").out
    assert "version 2 of digits is passed over" in said and "version 1 is the champion of digits again" in said


def test_a_model_that_was_rolled_back_is_named_or_refused(typed, export, tmp_path):
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


@pytest.fixture
def overlay(tmp_path, monkeypatch) -> pathlib.Path:
    """The serving overlay, pointed at the registry's `digits`."""
    copied = tmp_path / "serving"
    shutil.copytree(serving.OVERLAY, copied)
    common = copied / "common" / "kustomization.yaml"
    common.write_text(re.sub(r"URI=\S+", f"URI={tmp_path}/store/models/digits", common.read_text()))
    monkeypatch.setattr(serving.pin, "__defaults__", (None, copied))
    monkeypatch.setattr(serving.unpin, "__defaults__", (copied,))
    return copied


def policy(overlay: pathlib.Path) -> str:
    return re.search(r"^ +model_version_policy (.*)$", (overlay / "models.config").read_text(), re.MULTILINE)[1]


def test_the_champion_is_what_is_served(typed, export, overlay, tmp_path):
    (tmp_path / "store").mkdir()
    assert "expected a champion of digits" in typed("serve", "digits").err
    typed("publish", "digits", str(export), "--champion")
    typed("publish", "digits", str(export), "--champion")
    untouched = (overlay / "models.config").read_text()
    said = typed("serve", "digits").out
    assert said.splitlines()[:2] == [
        "version 2 of digits is served, after: kubectl apply --server-side -k OVERLAY, which is one of these, or one "
        "of yours that takes it in",
        "  k8s/overlays/serving: TensorFlow Serving follows within two minutes, without a restart",
    ]
    assert said.endswith("a later champion is served after the same again, or after --newest\n")
    assert policy(overlay) == "{ specific { versions: 2 } }"
    typed("rollback", "digits")
    typed("serve", "digits")
    assert policy(overlay) == "{ specific { versions: 1 } }"
    typed("serve", "digits", "2")
    assert policy(overlay) == "{ specific { versions: 2 } }"
    newest = typed("serve", "digits", "--newest").out
    assert "later champion" not in newest
    assert newest.endswith("go on serving version 2: make models ARGS='serve digits'\n")  # which was rolled back
    assert (overlay / "models.config").read_text() == untouched
    assert "received none" in typed("serve", "digits", "7").err
    typed("publish", "digits", str(export))
    assert (
        "since servers see no other, received digits 3; make it the champion first" in typed("serve", "digits", "3").err
    )


def fetched(overlay: pathlib.Path) -> tuple[str, str]:
    """What KServe fetches, and to where."""
    [patch] = yaml.safe_load((overlay / "served.yaml").read_text())
    assert (patch["op"], patch["path"]) == ("add", "/spec/predictor/storageUris")
    [one] = patch["value"]
    return one["uri"], one["mountPath"]


def test_kserve_follows_the_champion_in_either_protocol(typed, export, overlay, tmp_path):
    uri = f"{tmp_path}/store/models/digits"
    typed("publish", "digits", str(export), "--champion")
    before = fetched(overlay / "kserve-v2")
    assert "kserve-v2: left as it was, since the version has no ONNX" in typed("serve", "digits").out
    assert fetched(overlay / "kserve") == (f"{uri}/1", "/mnt/models/1")
    assert fetched(overlay / "kserve-v2") == before
    (export / "onnx" / "digits" / "1").mkdir(parents=True)
    (export / "onnx" / "digits" / "1" / "model.onnx").write_bytes(b"onnx")
    for number in (2, 3):
        typed("publish", "digits", str(export), "--champion")
        assert "kserve-v2: KServe's Triton, in new pods" in typed("serve", "digits").out
        assert fetched(overlay / "kserve") == (f"{uri}/{number}", f"/mnt/models/{number}")
        assert fetched(overlay / "kserve-v2") == (f"{uri}/{number}/assets.extra/onnx", "/mnt/models")
        repository = pathlib.Path(fetched(overlay / "kserve-v2")[0])
        assert (repository / "digits" / "1" / "model.onnx").read_bytes() == b"onnx"
    typed("rollback", "digits")
    typed("serve", "digits")
    assert fetched(overlay / "kserve") == (f"{uri}/2", "/mnt/models/2")
    assert fetched(overlay / "kserve-v2")[0] == f"{uri}/2/assets.extra/onnx"
    typed("serve", "digits", "--newest")
    assert fetched(overlay / "kserve") == (uri, "/mnt/models")


@pytest.mark.parametrize("scheme", ["s3", "minio"])
def test_tensorflow_serving_is_not_told_to_read_s3(typed, overlay, scheme):
    common = overlay / "common" / "kustomization.yaml"
    common.write_text(re.sub(r"URI=\S+", f"URI={scheme}://bucket/models/digits", common.read_text()))
    said = typed("serve", "digits", "--newest", uri="").out.splitlines()
    assert said[1:3] == [
        "  k8s/overlays/serving: TensorFlow Serving reads no S3: take KServe",
        "  k8s/overlays/serving/kserve: KServe, in new pods",
    ]
    assert fetched(overlay / "kserve") == ("s3://bucket/models/digits", "/mnt/models")


def test_servers_that_do_not_follow_the_champion_are_told_of(typed, export):
    """In the overlays as they are at first: the highest number is served, a rolled-back one's too."""
    for _ in range(3):
        published = typed("publish", "digits", str(export), "--champion").out
        assert "go on serving" not in published
    told = "servers that follow the highest number go on serving version 3: make models ARGS='serve digits'\n"
    assert typed("rollback", "digits").out.endswith(told)
    assert typed("champion", "digits", "1").out.endswith(told)
    assert "go on serving" not in typed("champion", "digits", "3").out


def test_an_overlay_of_another_model_is_not_pinned(typed, export, overlay):
    typed("publish", "other", str(export), "--champion")
    refused = typed("serve", "other")
    assert (refused.code, policy(overlay)) == (1, "{ latest { num_versions: 1 } }")
    assert "expected the serving overlay to read" in refused.err and "/models/other, received " in refused.err
    (overlay / "models.config").write_text("model_version_policy {\n latest { num_versions: 1 }\n}\n")
    assert "expected one line `model_version_policy { ... }` in " in typed("serve", "digits", "--newest").err


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
