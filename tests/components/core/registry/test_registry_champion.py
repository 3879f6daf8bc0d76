"""The champion: a pointer that moves for one at a time, and rolls back."""

import pytest

from components.core.registry import Registry
from components.core.storage import Corrupted, NotFound, PreconditionFailed, StorageError, bundle
from tests.servers.small import SMALL


def test_the_champion_moves_and_rolls_back(registry, saved_model):
    for _ in range(4):
        registry.publish("digits", saved_model)
    assert registry.champion("digits") is None
    with pytest.raises(NotFound, match="expected a champion of digits to roll back, received none"):
        registry.rollback("digits")
    for number in (1, 2, 3):
        registry.promote("digits", number, over=number - 1)
    assert registry.champion("digits").version == 3
    assert [found.number for found in registry.versions("digits") if found.champion] == [3]
    assert registry.show("digits").number == 3
    assert registry.promote("digits", 3).version == 3
    assert registry.rollback("digits").version == 2
    assert registry.rollback("digits").version == 1
    with pytest.raises(StorageError, match="expected an earlier champion of digits"):
        registry.rollback("digits")
    assert registry.champion("digits").version == 1


def test_a_rollback_skips_what_is_gone(registry, saved_model):
    for number in (1, 2, 3):
        registry.publish("digits", saved_model)
        registry.promote("digits", number)
    registry.delete("digits", 2, force=True)
    assert registry.rollback("digits").version == 1


def test_a_challenger_beats_only_the_champion_it_was_compared_with(registry, saved_model):
    for _ in range(3):
        registry.publish("digits", saved_model)
    registry.promote("digits", 1, over=0)
    with pytest.raises(StorageError, match="expected version none as the champion of digits, received 1"):
        registry.promote("digits", 2, over=0)
    registry.promote("digits", 2, over=1)
    with pytest.raises(
        StorageError, match="expected version 1 as the champion of digits, received 2; compare with that"
    ):
        registry.promote("digits", 3, over=1)
    assert registry.champion("digits").version == 2


def test_of_two_who_move_the_champion_at_once_one_is_told(anywhere, saved_model, place):
    from components.core.registry import champion

    for _ in range(2):
        anywhere.publish("digits", saved_model)
    anywhere.promote("digits", 1)
    _, generation = champion.read(anywhere.store, "digits")
    Registry(place.uri, SMALL).promote("digits", 2)
    with pytest.raises(PreconditionFailed, match="champion of digits was moved by somebody else meanwhile"):
        champion.move(anywhere.store, "digits", 1, [], generation)
    assert anywhere.champion("digits").version == 2


def test_a_champion_that_is_gone_is_named(registry, saved_model, tmp_path):
    registry.publish("digits", saved_model)
    registry.publish("digits", saved_model)
    registry.promote("digits", 2)
    bundle.delete(registry.store, "models/digits/2")
    for attempt in (lambda: registry.show("digits"), lambda: registry.fetch("digits", None, tmp_path / "x")):
        with pytest.raises(NotFound, match="the champion of digits is version 2, which is gone; promote another of: 1"):
            attempt()
    assert [found.number for found in registry.versions("digits")] == [1]
    assert registry.promote("digits", 1).version == 1


def test_a_champion_that_is_no_pointer_is_named_and_replaced_by_hand_only(anywhere, saved_model):
    anywhere.publish("digits", saved_model)
    anywhere.store.write_bytes("models/digits/champion.json", b"{}")
    for ask in (anywhere.champion, lambda name: anywhere.promote(name, 1, over=0)):
        with pytest.raises(Corrupted, match="champion.json, received something else .*ARGS='champion digits VERSION'"):
            ask("digits")
    assert anywhere.promote("digits", 1).version == anywhere.champion("digits").version == 1
