"""Listing, showing and fetching versions: what is damaged is named and never taken for whole."""

import json

import pytest

from components.core.storage import Corrupted, NotFound
from tests.components.core.registry.publishing import MODEL, keys, publish


def test_versions_are_numbered_listed_and_shown(registry, saved_model):
    assert registry.names() == [] and registry.versions("digits") == []
    for accuracy in (0.5, 0.6, 0.7):
        registry.publish("digits", saved_model, facts={"accuracy": accuracy})
    registry.publish("cats", saved_model)
    assert registry.names() == ["cats", "digits"]
    assert [(found.number, found.facts["accuracy"]) for found in registry.versions("digits")] == [
        (1, 0.5),
        (2, 0.6),
        (3, 0.7),
    ]
    shown = registry.show("digits", 2)
    assert shown.bytes == sum(map(len, MODEL.values()))
    assert shown.created.startswith("20")


def test_a_fetched_version_is_the_published_one(anywhere, saved_model, tmp_path):
    anywhere.publish("digits", saved_model)
    anywhere.promote("digits", 1)
    fetched = anywhere.fetch("digits", None, tmp_path / "fetched")
    assert fetched.number == 1 and fetched.champion
    for name, data in MODEL.items():
        assert (tmp_path / "fetched" / name).read_bytes() == data
    assert (tmp_path / "fetched" / "manifest.json").is_file()


@pytest.mark.parametrize("damage", ["missing", "longer"])
def test_a_manifest_that_disagrees_with_the_files_is_named(registry, saved_model, tmp_path, damage):
    publish(registry, saved_model, 1)
    key = "models/digits/1/variables/variables.index"
    registry.store.delete(key) if damage == "missing" else registry.store.write_bytes(
        key, b"something longer than it was"
    )
    received = "none" if damage == "missing" else "28 bytes"
    for attempt in (lambda: registry.show("digits", 1), lambda: registry.fetch("digits", 1, tmp_path / "x")):
        with pytest.raises(
            Corrupted, match=f"variables.index of 13 bytes as its manifest.json says, received {received}"
        ):
            attempt()
    assert not (tmp_path / "x").exists()


def test_a_file_of_the_right_size_and_wrong_bytes_is_named(registry, saved_model, tmp_path):
    publish(registry, saved_model, 1)
    registry.store.write_bytes("models/digits/1/variables/variables.index", b"where what IS")
    with pytest.raises(Corrupted, match="variables.index with sha256 [0-9a-f]{64} as its manifest.json says, received"):
        registry.fetch("digits", 1, tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[]",
        b'{"format_version": 9, "files": {}}',
        b'{"files": {"../../out": {"bytes": 1, "sha256": "%s"}}}' % (b"0" * 64),
    ],
)
def test_a_manifest_that_is_none_is_named(registry, saved_model, document):
    registry.publish("digits", saved_model)
    registry.store.write_bytes("models/.staging/digits/1/manifest.json", document)
    with pytest.raises(Corrupted, match="expected a manifest in .*digits/1/manifest.json"):
        registry.show("digits", 1)
    registry.delete("digits", 1)
    assert registry.names() == []


def test_a_damaged_version_does_not_hide_the_others(registry, saved_model, tmp_path, capsys):
    for _ in range(3):
        registry.publish("digits", saved_model)
    registry.store.write_bytes("models/.staging/digits/2/manifest.json", b"{")
    registry.promote("digits", 3)
    assert registry.fetch("digits", None, tmp_path / "fetched").number == 3
    registry.delete("digits", 2)
    assert capsys.readouterr().out == ""
    for _ in range(2):
        registry.publish("digits", saved_model)
    registry.store.write_bytes("models/.staging/digits/4/manifest.json", b"{")
    assert registry.sweep("digits", older_than_s=0) == []
    assert [found.number for found in registry.versions("digits")] == [1, 3, 5]
    said = capsys.readouterr().out
    assert said.startswith("version 4 of digits is left out: expected a manifest in ") and said.count("\n") == 1


def test_a_registry_of_an_earlier_release_is_read_as_it_is(registry, saved_model, tmp_path):
    """It published to where servers look, before anything was decided."""
    for number in (1, 2, 3):
        registry.publish("digits", saved_model)
        for key in keys(registry, f"models/.staging/digits/{number}"):
            registry.store.copy(key, key.replace(".staging/", ""))
            registry.store.delete(key)
    pointer = {"version": 2, "history": [1], "moved": "2026-01-01", "token": "0" * 32}
    registry.store.write_bytes("models/digits/champion.json", json.dumps(pointer).encode())
    assert [(found.number, found.champion) for found in registry.versions("digits")] == [
        (1, False),
        (2, True),
        (3, False),
    ]
    assert registry.show("digits").number == registry.fetch("digits", None, tmp_path / "x").number == 2
    assert registry.promote("digits", 3, over=2).history == [1, 2]
    assert registry.rollback("digits").version == 2


def test_version_0_is_one_that_there_is_not(registry, saved_model):
    """Also if there is no champion yet, whose number is written as 0."""
    registry.publish("digits", saved_model)
    with pytest.raises(NotFound, match="expected version 0 of digits, received none; there: 1$"):
        registry.show("digits", 0)
