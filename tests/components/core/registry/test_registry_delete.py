"""Deleting: never the champion, also when somebody promotes at the same moment, and only what this registry made."""

import pytest

from components.core.registry import Registry
from components.core.registry.settling import serve
from components.core.storage import NotFound, StorageError, bundle
from tests.components.core.registry.publishing import keys, publish
from tests.servers.small import SMALL


def test_deleting_is_guarded(registry, saved_model):
    publish(registry, saved_model, 3, staged=1)
    with pytest.raises(StorageError, match="version 3 is the champion of digits, never deleted; promote another first"):
        registry.delete("digits", 3, force=True)
    with pytest.raises(
        StorageError, match="version 2 is what a rollback of digits would choose; delete it with --force"
    ):
        registry.delete("digits", 2)
    with pytest.raises(
        StorageError, match="version 1 is one that a rollback of digits could reach; delete it with --force"
    ):
        registry.delete("digits", 1)
    with pytest.raises(NotFound, match="expected version 9 of digits, received none; there: 1, 2, 3, 4"):
        registry.delete("digits", 9)
    registry.delete("digits", 1, force=True)
    registry.delete("digits", 2, force=True)
    registry.delete("digits", 4)
    assert [found.number for found in registry.versions("digits")] == [3]
    assert registry.store.directories("models/digits") == ["3"]
    assert registry.champion("digits").deleting == registry.champion("digits").history == []


def meanwhile(registry: Registry, deed: str, key: str, act) -> None:
    """Has `act` happen just before the registry's next such call."""
    original = getattr(registry.store, deed)

    def act_first(called, *arguments, **options):
        if called.endswith(key):
            setattr(registry.store, deed, original)
            act()
        return original(called, *arguments, **options)

    setattr(registry.store, deed, act_first)


@pytest.fixture
def other(registry):
    """Somebody else at the same registry."""
    return Registry(registry.store.uri(), SMALL)


def test_a_deleted_version_can_not_be_promoted_in_between(registry, other, saved_model):
    """Promoting looks, deleting finishes, promoting moves the pointer: which has changed, so that it looks again."""
    publish(registry, saved_model, 1, staged=1)
    meanwhile(registry, "write_bytes", "champion.json", lambda: other.delete("digits", 2))
    with pytest.raises(NotFound, match="expected version 2 of digits, received none; there: 1"):
        registry.promote("digits", 2)
    assert registry.champion("digits").version == 1
    assert registry.store.directories("models/digits") == ["1"]


def test_a_version_promoted_while_it_is_deleted_is_kept(registry, other, saved_model):
    for _ in range(2):
        registry.publish("digits", saved_model)
    meanwhile(registry, "write_bytes", "champion.json", lambda: other.promote("digits", 2))
    with pytest.raises(StorageError, match="version 2 is the champion of digits"):
        registry.delete("digits", 2)
    assert registry.show("digits", 2).champion


@pytest.mark.parametrize("late", ["saved_model.pb", "manifest.json"])
def test_a_promotion_that_fails_late_does_not_undo_anybody_elses(registry, other, saved_model, late):
    """The champion is moved twice by others between the promotion and its look at what came of it."""
    publish(registry, saved_model, 1, staged=2)

    def overtake():
        other.promote("digits", 3, over=2)
        other.delete("digits", 2, force=True)

    meanwhile(registry, "copy", late, overtake)
    with pytest.raises(StorageError):
        registry.promote("digits", 2, over=1)
    assert (registry.champion("digits").version, registry.champion("digits").history) == (3, [1])
    assert registry.store.directories("models/digits") == ["1", "3"]


def test_a_publisher_that_is_quicker_than_who_takes_it_for_dead_keeps_its_version(registry, other, saved_model):
    registry.publish("digits", saved_model)
    key = "models/.staging/digits/1/manifest.json"
    manifest = registry.store.read_bytes(key)
    registry.store.delete(key)
    meanwhile(registry, "write_bytes", key, lambda: other.store.write_bytes(key, manifest))
    assert registry.sweep("digits", older_than_s=0) == []
    assert registry.show("digits", 1).number == 1


def promote_and_be_killed(registry: Registry, number: int) -> None:
    """Names the champion, and copies none of its files."""

    def killed(*_, **__):
        raise KeyboardInterrupt

    copy, registry.store.copy = registry.store.copy, killed
    with pytest.raises(KeyboardInterrupt):
        registry.promote("digits", number)
    registry.store.copy = copy


def test_a_champion_that_gave_way_before_a_server_saw_it_is_not_brought_there(registry, saved_model):
    """The next publisher had servers that follow the highest number serve what was rolled back, and told nobody."""
    publish(registry, saved_model, 1, staged=1)
    promote_and_be_killed(registry, 2)
    assert registry.champion("digits").version == 2
    registry.rollback("digits")
    registry.publish("digits", saved_model)
    assert registry.highest("digits") == 1
    registry.promote("digits", 2, named=True)
    assert registry.highest("digits") == 2 and registry.show("digits").served


def test_a_promotion_that_comes_late_brings_nothing_back(registry, other, saved_model):
    """It looked before the deletion began, and copies while the deletion removes: staging goes first."""
    publish(registry, saved_model, 1, staged=2)
    promote_and_be_killed(registry, 2)
    registry.promote("digits", 3)
    meanwhile(registry, "write_bytes", ".staging/digits/2/manifest.json", lambda: serve(other.store, "digits", 2))
    registry.delete("digits", 2, force=True)
    assert registry.store.directories("models/digits") == ["1", "3"]


@pytest.mark.parametrize("coming", [Registry.sweep, lambda registry, name: registry.delete(name, 1)])
def test_a_deletion_that_was_killed_is_finished_by_whoever_comes(registry, saved_model, capsys, coming):
    for _ in range(2):
        registry.publish("digits", saved_model)
        registry.promote("digits", 1)

    def killed(*_):
        raise KeyboardInterrupt

    registry.promote("digits", 2)
    delete_files, registry.store.delete_files = registry.store.delete_files, killed
    with pytest.raises(KeyboardInterrupt):
        registry.delete("digits", 1, force=True)
    registry.store.delete_files = delete_files
    assert [found.number for found in registry.versions("digits")] == [2]
    for ask in (registry.show, registry.promote):
        with pytest.raises(NotFound, match="expected version 1 of digits, received none; there: 2"):
            ask("digits", 1)
    capsys.readouterr()
    coming(registry, "digits")
    told = "removed what was left of version 1 of digits, which is deleted\n"
    assert capsys.readouterr().out == (told if coming is Registry.sweep else "")
    assert registry.store.directories("models/digits") == ["2"]
    assert registry.champion("digits").deleting == []


@pytest.mark.parametrize("number", [1, 7, 20260101])
def test_what_somebody_else_put_under_a_number_is_never_touched(registry, saved_model, number):
    """By hand for TensorFlow Serving: no claim and no manifest. Its number is skipped."""
    theirs = f"models/digits/{number}/saved_model.pb"
    registry.store.write_bytes(theirs, b"by hand")
    published = registry.publish("digits", saved_model)
    assert published.number == number + 1
    registry.promote("digits", published.number)
    assert registry.sweep("digits", older_than_s=0) == []
    with pytest.raises(StorageError, match=f"received .*models/digits/{number}, which it did not make"):
        registry.delete("digits", number, force=True)
    assert registry.store.read_bytes(theirs) == b"by hand"
    assert [found.number for found in registry.versions("digits")] == [published.number]
    unreadable = registry.inventory("digits")[0]
    assert (unreadable.number, unreadable.reason[:24]) == (number, "not of this registry: it")


@pytest.mark.parametrize("champion", [True, False])
def test_a_version_whose_manifest_is_gone_is_damaged_and_not_abandoned(registry, saved_model, champion):
    """Not even if its claim is older than any publication takes."""
    publish(registry, saved_model, 2)
    number = 2 if champion else 1
    registry.store.delete(f"models/digits/{number}/{bundle.MANIFEST}")
    before = keys(registry, f"models/digits/{number}")
    assert registry.sweep("digits", older_than_s=0) == []
    assert registry.publish("digits", saved_model).number == 3
    assert keys(registry, f"models/digits/{number}") == before
    assert [found.reason for found in registry.inventory("digits") if found.number == number] == [
        "its manifest.json is gone"
    ]


def test_deleting_spares_what_somebody_put_under_the_number_of_an_unserved_version(anywhere, saved_model):
    """Who looks at models/digits sees no version 2, and puts one there."""
    publish(anywhere, saved_model, 1, staged=1)
    anywhere.store.write_bytes("models/digits/2/saved_model.pb", b"by hand")
    assert anywhere.sweep("digits", older_than_s=0) == []
    anywhere.delete("digits", 2)
    assert anywhere.store.read_bytes("models/digits/2/saved_model.pb") == b"by hand"
    assert [found.number for found in anywhere.versions("digits")] == [1]
