"""The whole quickstart with its source, event files, checkpoints and registry in an object store's emulator, and with a
Kubeflow Hub that is told."""

import gzip
import pathlib

import pytest
import sklearn

from components.core.registry import Registry
from components.core.storage import open_store
from tests.servers.fixtures import gcs, gcs_server  # noqa: F401
from tests.servers.model_registry import ModelRegistry

DIGITS = pathlib.Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz"


@pytest.fixture
def store(gcs):  # noqa: F811
    """A bucket with the digits in it."""
    store = open_store(gcs.uri)
    store.upload_file(DIGITS, "data/digits.csv.gz")
    return store


@pytest.fixture
def hub():
    hub = ModelRegistry()
    with hub.serving() as hub.url:
        yield hub


def test_everything_lives_in_the_bucket(store, hub, command_line, summary_of, steps_run, tmp_path):
    uri = store.uri()
    settings = [
        "DATASET=digits",
        f"SOURCE={uri}/data/digits.csv.gz",
        f"MIRROR={uri}/mirror",
        f"CHECKPOINTS={uri}/checkpoints",
        f"TENSORBOARD_URI={uri}/boards",
        f"PUBLISH_URI={uri}",
        f"MODEL_REGISTRY_URL={hub.url}",
        "EPOCHS=4",
        "BEHAVIOUR=off",
    ]
    outputs = tmp_path / "outputs"
    process = command_line.run_local(outputs, *settings)
    assert process.returncode == 0, process.stdout + process.stderr
    assert summary_of(outputs)["metrics"]["accuracy"] > 0.9

    registry = Registry(uri)
    [version] = registry.versions("digits")
    assert registry.champion("digits").version == version.number == 1
    assert version.facts["source_uri"] == f"{uri}/data/digits.csv.gz"
    assert store.exists("models/digits/1/saved_model.pb")

    told = hub.properties("1")
    assert (told["champion"], told["accuracy"]) == (True, version.facts["accuracy"])
    assert told["uri"] == registry.uri("digits", 1)

    [board] = store.directories("boards")
    events = [item for item in store.list(f"boards/{board}") if "tfevents" in item.key]
    assert {item.key.split("/")[2] for item in events} == {"train", "validation", "result"}
    assert list(store.list("checkpoints")) == [], "they are deleted once the model is there"

    again = command_line.run_local(outputs, *settings)
    assert again.returncode == 0
    assert steps_run(summary_of(outputs)) == ["evaluate", "export"], "unchanged means cached, but for the gate"
    assert "not exported; the model does not pass the gate: test accuracy 0.9" in again.stdout
    assert " equals the 0.9" in again.stdout
    assert [found.number for found in registry.versions("digits")] == [1]
    store.write_bytes("data/digits.csv.gz", gzip.compress(b"no digits"))
    changed = command_line.run_local(outputs, *settings)
    assert (changed.returncode, steps_run(summary_of(outputs))) == (1, ["download"])
    assert changed.stderr.startswith("error: preprocess failed: "), "it was given the new file, past the mirror's copy"
