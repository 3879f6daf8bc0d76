"""Publishing: what servers expect appears whole, under a number that nobody else gets."""

import json

import pytest

from components.core.registry import Registry, read_export
from components.core.storage import StorageError
from tests.components.core.registry.publishing import MODEL, keys, publish, publisher
from tests.servers.small import SMALL


def test_a_published_version_is_what_servers_expect(anywhere, saved_model, tmp_path):
    card = tmp_path / "MODEL_CARD.md"
    card.write_text("# digits")
    version = anywhere.publish("digits", saved_model, {"MODEL_CARD.md": card}, {"accuracy": 0.97, "source": "abc"})
    assert (version.name, version.number, version.champion) == ("digits", 1, False)
    assert version.facts["accuracy"] == 0.97
    assert keys(anywhere, "models/digits") == [] and not version.served
    anywhere.promote("digits", 1)
    version = anywhere.show("digits")
    assert (version.champion, version.served, version.uri) == (True, True, anywhere.uri("digits") + "/1")
    expected = [*MODEL, "assets.extra/MODEL_CARD.md", "manifest.json"]
    assert sorted(keys(anywhere, "models/digits/1")) == sorted(f"models/digits/1/{name}" for name in expected)
    assert anywhere.store.directories("models/digits") == ["1"]
    manifest = json.loads(anywhere.store.read_bytes("models/digits/1/manifest.json"))
    assert set(manifest["files"]) == {*MODEL, "assets.extra/MODEL_CARD.md"}
    assert keys(anywhere, "models/.staging") == []


def test_the_rights_of_a_kubeflow_profile_are_enough(s3, saved_model, monkeypatch):
    """They end below the bucket. What is not there was once asked of the bucket too: the promotion failed once it had
    named the champion, which no server then found."""
    monkeypatch.setattr(s3.server, "profiles", {s3.uri.split("/")[2]})
    registry = Registry(s3.uri, SMALL)
    assert not registry.store.exists("models")
    registry.promote("digits", registry.publish("digits", saved_model).number)
    assert registry.show("digits").served


def test_a_number_is_never_used_twice(registry, saved_model):
    registry.publish("digits", saved_model)
    registry.publish("digits", saved_model)
    registry.delete("digits", 2)
    assert registry.publish("digits", saved_model).number == 3


def test_nor_after_its_claim_is_lost(registry, saved_model):
    """To a bucket's lifecycle rule, for instance. The upload went over the files of a staged version."""

    def next_number() -> int:
        for key in keys(registry, "models/.claims"):
            registry.store.delete(key)
        return registry.publish("digits", saved_model).number

    assert [next_number() for _ in range(3)] == [1, 2, 3]
    for number in (1, 3):
        registry.promote("digits", number)
    registry.rollback("digits")
    registry.delete("digits", 3)
    registry.delete("digits", 2)
    registry.store.delete("models/.staging/digits/2/manifest.json")
    assert next_number() == 4


def test_what_is_no_model_is_refused_before_a_number_is_taken(registry, saved_model, tmp_path):
    with pytest.raises(StorageError, match="expected a SavedModel directory with saved_model.pb"):
        registry.publish("digits", tmp_path)
    for name in ("", "..", ".hidden", "a/b", "a b", "x" * 65):
        with pytest.raises(StorageError, match="expected a model name"):
            registry.publish(name, saved_model)
    (saved_model / "manifest.json").write_text("{}")
    with pytest.raises(StorageError, match="received one that is called manifest.json"):
        registry.publish("digits", saved_model)
    assert keys(registry) == []


def test_publishers_at_once_never_share_a_number(place, anywhere, saved_model):
    processes = [publisher(place, saved_model, times=2) for _ in range(2)]
    numbers = [int(line) for process in processes for line in process.communicate(timeout=60)[0].split()]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(numbers) == [1, 2, 3, 4]
    for number in numbers:
        anywhere.show("digits", number)


@pytest.mark.parametrize("ignored", ["if_absent", "if_generation"])
def test_a_store_that_ignores_conditions_is_refused(registry, saved_model, monkeypatch, ignored):
    """Old S3-compatible stores: the second writer of a claim, or of champion.json, would not be told."""
    write = registry.store.write_bytes
    monkeypatch.setattr(
        registry.store,
        "write_bytes",
        lambda key, data, **conditions: write(key, data, **{k: v for k, v in conditions.items() if k != ignored}),
    )
    with pytest.raises(StorageError, match="ignores preconditions of writes"):
        registry.publish("digits", saved_model)
    assert registry.versions("digits") == []


def test_a_claim_that_was_overwritten_is_not_ours(registry, saved_model, monkeypatch):
    """A store that creates without atomicity lets two create the same claim: the second is noticed by its token."""
    write, others = registry.store.write_bytes, []

    def overwritten(key, data, **condition):
        stored = write(key, data, **condition)
        if condition.get("if_absent") and ".claims" in key and not others:
            others.append(write(key, b"another publisher's"))
        return stored

    monkeypatch.setattr(registry.store, "write_bytes", overwritten)
    assert registry.publish("digits", saved_model).number == 2


def test_a_version_that_was_never_champion_is_seen_by_no_server(anywhere, saved_model, tmp_path):
    """And is listed, shown and fetched like any other."""
    publish(anywhere, saved_model, 1, staged=1)
    assert anywhere.store.directories("models/digits") == ["1"]
    assert [(found.number, found.served) for found in anywhere.versions("digits")] == [(1, True), (2, False)]
    assert anywhere.show("digits", 2).uri.endswith("/models/.staging/digits/2")
    anywhere.fetch("digits", 2, tmp_path / "fetched")
    assert (tmp_path / "fetched" / "saved_model.pb").read_bytes() == MODEL["saved_model.pb"]
    anywhere.delete("digits", 2)
    assert [found.number for found in anywhere.versions("digits")] == [1]


def test_a_fetched_version_can_be_published_elsewhere(anywhere, registry, saved_model, tmp_path):
    card = tmp_path / "MODEL_CARD.md"
    card.write_text("# digits")
    first = anywhere.publish("digits", saved_model, {"MODEL_CARD.md": card}, {"accuracy": 0.97})
    anywhere.fetch("digits", 1, tmp_path / "fetched")
    registry.publish("other", saved_model)
    second = registry.publish("other", *read_export(tmp_path / "fetched"))
    assert (second.number, second.facts["accuracy"], second.files) == (2, 0.97, first.files)
    (tmp_path / "fetched" / "assets.extra" / "MODEL_CARD.md").write_text("# DIGITS")
    with pytest.raises(StorageError, match="MODEL_CARD.md as .*manifest.json describes it, received another; fetch"):
        registry.publish("other", *read_export(tmp_path / "fetched"))
    (tmp_path / "fetched" / "fingerprint.pb").unlink()
    with pytest.raises(StorageError, match="received (another|none); fetch the version again"):
        registry.publish("other", *read_export(tmp_path / "fetched"))


def test_a_publisher_that_was_taken_for_dead_is_told(registry, saved_model):
    """Swept though it lives, at the worst moment: when all is uploaded and only the manifest is missing."""
    write, other = registry.store.write_bytes, Registry(registry.store.uri(), SMALL)

    def slow(key, data, **condition):
        if key.endswith("/1/manifest.json"):
            registry.store.write_bytes = write
            assert other.sweep("digits", older_than_s=0) == [1]
        return write(key, data, **condition)

    registry.store.write_bytes = slow
    with pytest.raises(StorageError, match="version 1 of digits was cleaned away while it was being published"):
        registry.publish("digits", saved_model)
    assert registry.versions("digits") == registry.names() == []
    assert registry.publish("digits", saved_model).number == 2
