"""Deleting: never the champion, also when somebody promotes at the same moment."""

import pytest

from components.core.registry import Registry
from components.core.storage import NotFound, StorageError


def test_deleting_is_guarded(registry, saved_model):
    for number in (1, 2, 3, 4):
        registry.publish("digits", saved_model)
        if number < 4:
            registry.promote("digits", number)
    with pytest.raises(StorageError, match="version 3 is the champion of digits, never deleted; promote another first"):
        registry.delete("digits", 3, force=True)
    with pytest.raises(
        StorageError, match="version 2 is what a rollback of digits would choose; delete it with --force"
    ):
        registry.delete("digits", 2)
    with pytest.raises(NotFound, match="expected version 9 of digits, received none; there: 1, 2, 3, 4"):
        registry.delete("digits", 9)
    registry.delete("digits", 1)
    registry.delete("digits", 2, force=True)
    registry.delete("digits", 4)
    assert [found.number for found in registry.versions("digits")] == [3]
    assert registry.store.directories("models/digits") == ["3"]


def test_a_deleted_version_can_not_be_promoted_in_between(registry, saved_model, monkeypatch):
    """Promoting looks, deleting finishes, promoting moves the pointer: it notices and moves it back."""
    for _ in range(2):
        registry.publish("digits", saved_model)
    registry.promote("digits", 1)
    from components.core.registry import champion

    move = champion.move

    def deleted_meanwhile(store, name, version, history, generation):
        monkeypatch.setattr(champion, "move", move)
        Registry.delete(registry, name, version)
        return move(store, name, version, history, generation)

    monkeypatch.setattr(champion, "move", deleted_meanwhile)
    with pytest.raises(StorageError, match="version 2 of digits was deleted meanwhile"):
        registry.promote("digits", 2)
    assert registry.champion("digits").version == 1


def test_a_version_promoted_while_it_is_deleted_is_kept(registry, saved_model, monkeypatch):
    for _ in range(2):
        registry.publish("digits", saved_model)
    looks = []

    def champion(name):
        # Promoted by somebody else, just after deleting has looked for the first time.
        found = Registry.champion(registry, name)
        if not looks:
            registry.promote(name, 2)
        looks.append(found)
        return found

    monkeypatch.setattr(registry, "champion", champion)
    with pytest.raises(StorageError, match="version 2 is the champion of digits"):
        registry.delete("digits", 2)
    assert registry.show("digits", 2).champion
