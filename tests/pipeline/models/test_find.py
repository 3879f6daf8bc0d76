"""What MODEL= may name: runs, paths, and versions of registries, which are fetched and proven."""

import datetime
import json
import os
import pathlib
import shutil

import pytest

from components.core.errors import PipelineError
from components.core.registry import Registry
from pipeline.models.find import find_model, trained_in
from tests.servers.fixtures import gcs, gcs_server  # noqa: F401
from tests.trees import tree


@pytest.fixture
def saved_model(tmp_path) -> pathlib.Path:
    directory = tmp_path / "saved_model" / "1"
    (directory / "variables").mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(b"graph")
    (directory / "variables" / "variables.index").write_bytes(b"index")
    return directory


@pytest.fixture
def publish(saved_model):
    """A registry with two versions of digits, the first the champion."""

    def made(uri: str) -> Registry:
        registry = Registry(uri)
        for _ in range(2):
            registry.publish("digits", saved_model)
        registry.promote("digits", 1)
        return registry

    return made


def run(outputs: pathlib.Path, name: str, **artifacts: str) -> pathlib.Path:
    (outputs / name).mkdir(parents=True)
    (outputs / name / "summary.json").write_text(json.dumps({"artifacts": artifacts}))
    return outputs / name


def test_the_latest_export_is_what_answers_by_default(tmp_path):
    with pytest.raises(PipelineError, match="expected MODEL=path, or a run that made a model"):
        find_model("", tmp_path)
    run(tmp_path, "latest", saved_model="/runs/7/export/exported/saved_model", model="/runs/7/train/model/model.keras")
    assert find_model("", tmp_path) == pathlib.Path("/runs/7/export/exported")


def test_the_newest_run_that_exported_answers_though_later_ones_exported_nothing(tmp_path, capsys):
    made = [
        run(tmp_path, "training-1", saved_model="/runs/1/export/exported/saved_model", model="/runs/1/train/model/m"),
        run(tmp_path, "training-3", saved_model="/runs/3/export/exported/saved_model"),
        run(tmp_path, "training-2", saved_model=f"{tmp_path}/pets/export/exported/saved_model"),  # ended last of three
        run(tmp_path, "training-4", model="/runs/4/train/model/model.keras"),  # kept by the gate
        run(tmp_path, "training-5"),  # failed
    ]
    for second, directory in enumerate(made):
        os.utime(directory / "summary.json", (second, second))
    (tmp_path / "latest").symlink_to("training-5")
    tree(tmp_path / "pets/export/exported", {"manifest.json": '{"model_name": "pets"}'})
    assert find_model("", tmp_path) == tmp_path / "pets/export/exported"
    assert capsys.readouterr().out == f"model: pets, exported by {tmp_path / 'training-2'}\n"


def test_a_copy_of_the_runs_answers_by_itself_and_by_its_own_times(tmp_path):
    """The places in its summaries are those of the runs that were copied, and the times of its files are the copy's."""
    outputs, copy = tmp_path / "outputs", tmp_path / "copy"
    for number, ended in ((1, "2026-11-27T10:00:00.000000+00:00"), (2, "2026-11-28T09:00:00.000000+00:00")):
        directory = outputs / f"training-{number}"
        made = {
            "saved_model": directory / "export/exported/saved_model",
            "model": directory / "train/model/model.keras",
        }
        for path in made.values():
            path.mkdir(parents=True)
        said = {"ended": ended, "artifacts": {name: str(path) for name, path in made.items()}}
        (directory / "summary.json").write_text(json.dumps(said))
    shutil.copytree(outputs, copy)
    for second, number in enumerate((2, 1)):
        os.utime(copy / f"training-{number}" / "summary.json", (second, second))
    assert find_model("", copy) == copy / "training-2" / "export" / "exported"
    shutil.rmtree(outputs)
    (copy / "latest").symlink_to("training-1")  # which a run that ends leads elsewhere, while this model answers
    for name in ("training-1", "latest"):
        assert find_model(str(copy / name), copy) == copy / "training-1" / "export" / "exported"
    assert trained_in(copy / "training-1") == copy / "training-1" / "train" / "model"


def test_the_latest_run_is_the_newest_though_the_clock_was_put_back(tmp_path):
    for number, year in ((1, 2038), (2, 2026)):
        directory = run(tmp_path, f"training-{number}", saved_model=f"/runs/{number}/export/exported/saved_model")
        os.utime(directory / "summary.json", (0, datetime.datetime(year, 1, 1).timestamp()))  # noqa: DTZ001
    (tmp_path / "latest").symlink_to("training-2")
    assert find_model("", tmp_path) == pathlib.Path("/runs/2/export/exported")


def test_a_run_that_exported_nothing_answers_only_when_it_is_named(tmp_path, capsys):
    kept = run(tmp_path, "latest", model="/runs/8/train/model/model.keras")
    with pytest.raises(PipelineError, match=f"which exported none; MODEL={kept} takes what it trained"):
        find_model("", tmp_path)
    assert find_model(str(kept), tmp_path) == pathlib.Path("/runs/8/train/model")
    assert "exported nothing" in capsys.readouterr().out
    exported = run(tmp_path, "other", saved_model="/runs/9/export/exported/saved_model")
    assert find_model(str(exported), tmp_path) == pathlib.Path("/runs/9/export/exported")


def test_other_paths_are_taken_as_they_are(tmp_path, saved_model):
    assert find_model("my/model.keras", tmp_path) == pathlib.Path("my/model.keras")
    assert find_model(str(saved_model), tmp_path) == saved_model
    for copied in ("models/digits", "models/digits/3"):  # an export, which a registry's manifest.json is called like
        shutil.copytree(saved_model, tmp_path / copied)
        (tmp_path / copied / "manifest.json").write_text("{}")
        assert find_model(str(tmp_path / copied), tmp_path) == tmp_path / copied


def test_a_version_is_fetched_by_name_by_uri_and_by_path(tmp_path, publish, gcs, capsys):  # noqa: F811
    publish(gcs.uri)
    publish(str(tmp_path / "registry"))
    outputs = tmp_path / "outputs"
    for model, registry, number in (
        ("digits@2", gcs.uri, 2),
        ("digits@champion", gcs.uri, 1),
        ("digits", gcs.uri, 1),
        (f"{gcs.uri}/models/digits/2", "", 2),
        (f"{gcs.uri}/models/digits/", "", 1),
        (f"{gcs.uri}/models/digits/champion", "elsewhere", 1),
        (f"{tmp_path}/registry/models/digits/2", "", 2),
        (f"{tmp_path}/registry/models/digits", "", 1),
    ):
        place = find_model(model, outputs, registry)
        assert place.name == str(number) and outputs in place.parents
        assert (place / "variables" / "variables.index").read_bytes() == b"index"
        champion = ", the champion" if number == 1 else ""
        assert capsys.readouterr().out.splitlines()[-1] == f"model: digits version {number}{champion}"


def test_a_copy_is_used_again_and_replaced_where_it_was_changed(tmp_path, publish, gcs):  # noqa: F811
    publish(gcs.uri)
    place = find_model("digits@2", tmp_path, gcs.uri)
    before = (place / "saved_model.pb").stat().st_ino
    assert find_model("digits@2", tmp_path, gcs.uri) == place
    assert (place / "saved_model.pb").stat().st_ino == before
    (place / "saved_model.pb").write_bytes(b"GRAPH")
    assert find_model("digits@2", tmp_path, gcs.uri) == place
    assert (place / "saved_model.pb").read_bytes() == b"graph"


def test_a_damaged_version_is_not_used(tmp_path, publish):
    registry = publish(str(tmp_path / "registry"))
    registry.store.write_bytes("models/.staging/digits/2/saved_model.pb", b"GRAPH")
    for model, where in (("digits@2", str(tmp_path / "registry")), (f"{tmp_path}/registry/models/digits/2", "")):
        with pytest.raises(PipelineError, match="with sha256 .* as its manifest.json says, received"):
            find_model(model, tmp_path / "outputs", where)
    assert not list((tmp_path / "outputs").rglob("saved_model.pb"))


@pytest.mark.parametrize(
    ("model", "registry", "said"),
    [
        ("digits@2", "", "expected a registry for digits@2, received none; give --registry gs://bucket"),
        ("gs://bucket/digits", "", "expected a version such as gs://bucket/models/digits/3"),
        ("digits@9", "REGISTRY", "expected version 9 of digits, received none; there: 1, 2"),
        ("cats@champion", "REGISTRY", "expected a champion of cats, received no such model; there: digits"),
        ("cats@champion", "EMPTY", "expected a champion of cats, received none, and no model at all at "),
        ("ftp://host/models/digits/1", "", "received the scheme 'ftp'"),
    ],
)
def test_what_is_not_there_is_one_line(tmp_path, publish, model, registry, said):
    publish(str(tmp_path / "registry"))
    with pytest.raises(PipelineError) as caught:
        find_model(model, tmp_path, str(tmp_path / registry.lower()) if registry else "")
    assert said in str(caught.value)
