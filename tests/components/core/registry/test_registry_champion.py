"""The champion: a pointer that moves for one at a time, and rolls back."""

import datetime
import re

import pytest

from components.core.registry import OvertakenError, Registry, RolledBackError
from components.core.storage import Corrupted, NotFound, PreconditionFailed, StorageError, bundle
from components.core.storage.errors import Transient
from tests.components.core.registry.publishing import publish
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
    publish(registry, saved_model, 3)
    registry.delete("digits", 2, force=True)
    assert registry.champion("digits").history == [1]
    assert registry.rollback("digits").version == 1


def test_a_rollback_passes_over_what_is_damaged_and_tells_it(registry, saved_model, capsys):
    """As far back as it takes."""
    publish(registry, saved_model, 5)
    registry.store.delete("models/digits/4/saved_model.pb")
    registry.store.write_bytes("models/digits/3/manifest.json", b"{")
    registry.store.write_bytes("models/digits/2/variables/variables.index", b"?" * 13)
    assert registry.rollback("digits").version == 1
    said = capsys.readouterr().out
    for number, why in ((4, ".*/4/saved_model.pb of 9 bytes"), (3, "a manifest in "), (2, ".*index with sha256")):
        assert re.search(f"version {number} of digits is passed over: expected {why}", said)


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


@pytest.mark.parametrize(("over", "refused"), [(None, PreconditionFailed), (1, OvertakenError)])
def test_of_two_who_move_the_champion_at_once_one_is_told(anywhere, saved_model, place, over, refused):
    publish(anywhere, saved_model, 1, staged=2)
    read, other = anywhere.store.read, Registry(place.uri, SMALL)

    def overtaken(key):
        found = read(key)
        if key.endswith("champion.json"):
            anywhere.store.read = read
            other.promote("digits", 2)
        return found

    anywhere.store.read = overtaken
    with pytest.raises(refused, match="moved by somebody else meanwhile|received 2; compare"):
        anywhere.promote("digits", 3, over=over)
    assert (other.champion("digits").version, other.champion("digits").history) == (2, [1])
    assert other.store.directories("models/digits") == ["1", "2"]


@pytest.mark.parametrize("deed", ["promote", "rollback"])
def test_a_move_whose_answer_was_lost_is_done_though_something_was_deleted_since(registry, saved_model, deed):
    publish(registry, saved_model, 3, staged=1)
    put, other = registry.store.backend.put, Registry(registry.store.uri(), SMALL)

    def put_and_lose_the_answer(key, data, condition):
        put(key, data, condition)
        registry.store.backend.put = put
        other.delete("digits", 1, force=True)
        raise Transient("the connection was lost")

    registry.store.backend.put = put_and_lose_the_answer
    champion = registry.promote("digits", 4) if deed == "promote" else registry.rollback("digits")
    assert (champion.version, champion.history) == ((4, [2, 3]) if deed == "promote" else (2, []))
    assert registry.show("digits").served
    assert registry.champion("digits") == champion


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
    assert registry.champion("digits").history == [2]


@pytest.mark.parametrize("pointer", [b"{}", None])
def test_a_champion_that_is_no_pointer_is_named_and_replaced_by_hand_only(registry, saved_model, pointer):
    publish(registry, saved_model, 2, staged=1)
    # In no way the same as a registry without a champion, which the next challenger would win unseen.
    key, received = (
        "models/digits/champion.json",
        r"something else \(version: Field required\)" if pointer else "none, though servers see version 1",
    )
    registry.store.write_bytes(key, pointer) if pointer else registry.store.delete(key)
    for ask in (
        registry.champion,
        registry.show,
        registry.rollback,
        lambda name: registry.promote(name, 1),
        lambda name: registry.promote(name, 1, over=0, named=True),
    ):
        with pytest.raises(Corrupted, match=f"champion.json, received {received}; .*ARGS='champion digits VERSION'"):
            ask("digits")
    registry.store.write_bytes("models/digits/1/variables/variables.index", b"?" * 13)
    with pytest.raises(Corrupted, match="variables.index with sha256"):
        registry.promote("digits", 1, named=True)
    assert not pointer or registry.store.read_bytes(key) == pointer
    assert registry.promote("digits", 3, named=True).version == registry.champion("digits").version == 3
    # What servers see counts as what was champion before.
    assert registry.champion("digits").history == [1, 2]
    assert registry.rollback("digits").version == 2
    registry.store.write_bytes("models/digits/9/saved_model.pb", b"by hand")
    registry.store.write_bytes(key, b"{")
    assert registry.promote("digits", 2, named=True).history == [1, 3]


def test_a_champion_json_that_can_not_be_read_blocks_nothing_else(registry, saved_model, tmp_path):
    publish(registry, saved_model, 2)
    registry.store.write_bytes("models/digits/champion.json", b"{")
    assert [found.number for found in registry.versions("digits")] == [1, 2]
    assert registry.show("digits", 2).number == registry.fetch("digits", 2, tmp_path / "fetched").number == 2
    assert registry.publish("digits", saved_model).number == 3
    assert registry.names() == ["digits"]
    with pytest.raises(StorageError, match="whether version 1 is the champion of digits is not known: .*--force"):
        registry.delete("digits", 1)
    registry.delete("digits", 1, force=True)
    registry.store.write_bytes("models/digits/9/saved_model.pb", b"by hand")
    with pytest.raises(StorageError, match="digits/9, which it did not make"):
        registry.delete("digits", 9, force=True)
    assert registry.store.exists("models/digits/9/saved_model.pb")
    assert [found.number for found in registry.versions("digits")] == [2, 3]
    assert registry.store.read_bytes("models/digits/champion.json") == b"{"


@pytest.mark.parametrize("damage", ["missing", "longer", "flipped", "no manifest"])
def test_what_is_not_whole_is_not_promoted(registry, saved_model, damage):
    publish(registry, saved_model, 1)
    registry.publish("digits", saved_model)
    key = "models/.staging/digits/2/variables/variables.index"
    if damage == "missing":
        registry.store.delete(key)
    elif damage == "longer":
        registry.store.write_bytes(key, b"something longer than it was")
    elif damage == "flipped":
        registry.store.write_bytes(key, b"?" * 13)
    else:
        registry.store.delete("models/.staging/digits/2/manifest.json")
    said = "expected version 2|digits/2/variables/variables.index (of 13 bytes|with sha256)"
    with pytest.raises(StorageError, match=said):
        registry.promote("digits", 2, named=True)
    assert registry.champion("digits").version == 1
    assert registry.store.directories("models/digits") == ["1"]


def test_what_was_rolled_back_comes_back_only_by_name(registry, saved_model, tmp_path):
    """Neither that version, nor the same model once more, whatever else is in its directory."""
    for number in (1, 2):
        (saved_model / "fingerprint.pb").write_bytes(b"%d" % number)
        registry.publish("digits", saved_model)
        registry.promote("digits", number)
    registry.rollback("digits")
    card = tmp_path / "CARD.md"
    card.write_text("written later")
    same = registry.publish("digits", saved_model, {"CARD.md": card})
    said = r"version 2 of digits was rolled back at 20.* UTC; to serve it all the same, name it: .*'champion digits 2'"
    with pytest.raises(RolledBackError, match=said):
        registry.promote("digits", 2, over=1)
    with pytest.raises(RolledBackError, match="this model, as version 2, was rolled back"):
        registry.promote("digits", same.number, over=1)
    with pytest.raises(RolledBackError, match="this model, as version 2, was rolled back"):
        registry.publish("digits", saved_model, challenger=True)
    assert registry.champion("digits").version == 1
    assert registry.promote("digits", 2, named=True).version == 2
    assert registry.promote("digits", same.number, over=2).version == same.number


def test_to_name_an_earlier_champion_is_to_roll_back_those_since(registry, saved_model, capfd):
    """The next run brought the model that somebody had gone back from, and made it champion again."""
    for number in (1, 2, 3):
        (saved_model / "fingerprint.pb").write_bytes(b"%d" % number)
        registry.publish("digits", saved_model)
        registry.promote("digits", number)
    champion = registry.promote("digits", 1, named=True)
    assert (champion.version, champion.history, [off.version for off in champion.rolled_back]) == (1, [], [2, 3])
    assert "rolled back: version 2, 3 of digits, champion since; refused until it is named" in capfd.readouterr().out
    with pytest.raises(RolledBackError, match="this model, as version 3, was rolled back"):
        registry.publish("digits", saved_model, challenger=True)
    with pytest.raises(RolledBackError, match="version 2 of digits was rolled back"):
        registry.promote("digits", 2, over=1)
    champion = registry.promote("digits", 3, named=True)
    assert (champion.version, champion.history, [off.version for off in champion.rolled_back]) == (3, [1], [2])


def test_a_rollback_is_asked_for_before_any_file_is_read(registry, saved_model):
    publish(registry, saved_model, 2)
    registry.rollback("digits")
    registry.store.write_bytes("models/digits/2/variables/variables.index", b"?" * 13)
    with pytest.raises(RolledBackError, match="version 2 of digits was rolled back"):
        registry.promote("digits", 2, over=1)


def test_files_are_read_once_though_the_state_is_written_by_somebody_else_meanwhile(registry, saved_model, monkeypatch):
    publish(registry, saved_model, 1, staged=2)
    reads = []

    def read_while_another_is_deleted(*arguments):
        if not reads:
            registry.delete("digits", 2)
        reads.append(arguments[1])
        return bundle.fetch(*arguments)

    monkeypatch.setattr("components.core.registry.versions.fetch", read_while_another_is_deleted)
    assert registry.promote("digits", 3, over=1).version == 3
    assert len(reads) == 1


@pytest.mark.parametrize("fact", ["model_sha256", "weights_sha256"])
def test_an_identical_model_is_known_by_its_hashes(registry, saved_model, fact):
    """Exporting the same model once more makes other files: the hashes of what was trained are what counts."""
    for number in (1, 2, 3):
        (saved_model / "saved_model.pb").write_bytes(b"%d" % number)
        registry.publish("digits", saved_model, facts={fact: "ab" if number > 1 else ""})
    registry.promote("digits", 1)
    registry.promote("digits", 2)
    registry.rollback("digits")
    with pytest.raises(RolledBackError, match="this model, as version 2, was rolled back"):
        registry.promote("digits", 3)


def test_files_that_somebody_put_under_a_versions_number_are_not_mixed_with_it(registry, saved_model):
    registry.publish("digits", saved_model)
    registry.store.write_bytes("models/digits/1/saved_model.pb", b"by hand")
    with pytest.raises(StorageError, match="expected nothing yet at .*models/digits/1, received .*saved_model.pb"):
        registry.promote("digits", 1, named=True)
    assert registry.store.read_bytes("models/digits/1/saved_model.pb") == b"by hand"
    assert registry.champion("digits") is None


def test_a_champion_is_served_though_nothing_may_be_deleted(bucket, saved_model, capsys):
    registry = Registry(bucket.uri, SMALL)
    bucket.proxy.fail("status:403", times=10_000, method="DELETE")
    for number in (1, 2):
        assert registry.publish("digits", saved_model).number == number
        registry.promote("digits", number)
        assert registry.show("digits").number == number and registry.show("digits").served
        assert f"the staged copy of version {number} of digits stays: no permission" in capsys.readouterr().out
    assert registry.rollback("digits").version == 1
    assert [found.number for found in registry.versions("digits")] == [1, 2]


def test_what_a_dead_publisher_left_and_nobody_may_delete_stops_no_publisher(gcs, saved_model, capsys):
    registry = Registry(gcs.uri, SMALL)
    registry.publish("digits", saved_model)
    registry.store.delete("models/.staging/digits/1/manifest.json")
    claimed = gcs.server.state.buckets[gcs.uri.split("/")[2]]["some/prefix/models/.claims/digits/1.json"]
    claimed.updated -= datetime.timedelta(days=2)
    gcs.proxy.fail("status:403", times=10_000, method="DELETE")
    assert registry.publish("digits", saved_model).number == 2
    assert "what others have left of digits stays: no permission" in capsys.readouterr().out
