"""The registry's promises. What rests on the store is shown on a local directory, a GCS server and an S3 server."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from components.core.registry import Registry, layout
from components.core.storage import Corrupted, NotFound, PreconditionFailed, StorageError, bundle
from tests.servers.small import SMALL

ROOT = pathlib.Path(__file__).resolve().parents[4]
MODEL = {
    "saved_model.pb": b"the graph",
    "fingerprint.pb": b"its print",
    "variables/variables.index": b"where what is",
    "variables/variables.data-00000-of-00001": os.urandom(3 * SMALL.part),
}


@pytest.fixture
def registry(tmp_path):
    """A registry in a local directory."""
    return Registry(str(tmp_path / "store"), SMALL)


@pytest.fixture
def anywhere(place):
    """A registry in every kind of store in turn."""
    return Registry(place.uri, SMALL)


@pytest.fixture
def saved_model(tmp_path):
    """A directory that looks like a SavedModel."""
    directory = tmp_path / "saved_model"
    for name, data in MODEL.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
    return directory


def keys(registry: Registry, below: str = "") -> list[str]:
    return [stored.key for stored in registry.store.list(below)]


def test_a_published_version_is_what_servers_expect(anywhere, saved_model, tmp_path):
    card = tmp_path / "MODEL_CARD.md"
    card.write_text("# digits")
    version = anywhere.publish("digits", saved_model, {"MODEL_CARD.md": card}, {"accuracy": 0.97, "source": "abc"})
    assert (version.name, version.number, version.champion) == ("digits", 1, False)
    assert version.facts["accuracy"] == 0.97
    assert version.uri == anywhere.uri("digits") + "/1"
    expected = [*MODEL, "assets.extra/MODEL_CARD.md", "manifest.json"]
    assert sorted(keys(anywhere, "models/digits")) == sorted(f"models/digits/1/{name}" for name in expected)
    assert anywhere.store.directories("models/digits") == ["1"]
    manifest = json.loads(anywhere.store.read_bytes("models/digits/1/manifest.json"))
    assert set(manifest["files"]) == {*MODEL, "assets.extra/MODEL_CARD.md"}
    assert keys(anywhere, "models/.staging") == []


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


def test_a_number_is_never_used_twice(registry, saved_model):
    registry.publish("digits", saved_model)
    registry.publish("digits", saved_model)
    registry.delete("digits", 2)
    assert registry.publish("digits", saved_model).number == 3


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


@pytest.mark.parametrize("damage", ["missing", "longer"])
def test_a_manifest_that_disagrees_with_the_files_is_named(registry, saved_model, tmp_path, damage):
    registry.publish("digits", saved_model)
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
    registry.publish("digits", saved_model)
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
    registry.store.write_bytes("models/digits/1/manifest.json", document)
    with pytest.raises(Corrupted, match="expected a manifest in .*models/digits/1/manifest.json") as raised:
        registry.show("digits", 1)
    assert "\n" not in str(raised.value)
    registry.delete("digits", 1)
    assert registry.names() == []


def test_a_champion_that_is_no_pointer_is_named_and_replaced_by_hand_only(anywhere, saved_model):
    anywhere.publish("digits", saved_model)
    anywhere.store.write_bytes("models/digits/champion.json", b"{}")
    for ask in (anywhere.champion, lambda name: anywhere.promote(name, 1, over=0)):
        with pytest.raises(Corrupted, match="champion.json, received something else .*ARGS='champion digits VERSION'"):
            ask("digits")
    assert anywhere.promote("digits", 1).version == anywhere.champion("digits").version == 1


def test_what_is_no_model_is_refused_before_a_number_is_taken(registry, saved_model, tmp_path):
    with pytest.raises(StorageError, match="expected a SavedModel directory with saved_model.pb"):
        registry.publish("digits", tmp_path)
    for name in ("", "..", ".hidden", "a/b", "a b", "x" * 64):
        with pytest.raises(StorageError, match="expected a model name"):
            registry.publish(name, saved_model)
    (saved_model / "manifest.json").write_text("{}")
    with pytest.raises(StorageError, match="received one that is called manifest.json"):
        registry.publish("digits", saved_model)
    assert keys(registry) == []


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


def test_a_store_that_ignores_conditions_is_refused(registry, saved_model, monkeypatch):
    """Old S3-compatible stores: the second writer of a claim would not be told."""
    write = registry.store.write_bytes
    monkeypatch.setattr(
        registry.store, "write_bytes", lambda key, data, if_absent=False, if_generation=None: write(key, data)
    )
    with pytest.raises(StorageError, match="ignores preconditions of writes"):
        registry.publish("digits", saved_model)
    assert registry.versions("digits") == []


def publisher(place, saved_model, name="digits", times=1) -> subprocess.Popen:
    """Another process that publishes."""
    code = (
        "import sys; from components.core.registry import Registry; from tests.servers.small import SMALL\n"
        "from components.core.storage import Limits\n"
        "registry = Registry(sys.argv[1], Limits(**{**vars(SMALL), 'stall_s': 60}))\n"
        "for _ in range(int(sys.argv[4])): print(registry.publish(sys.argv[2], sys.argv[3]).number, flush=True)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, place.uri, name, str(saved_model), str(times)],
        cwd=ROOT,
        env={**os.environ, **place.environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_publishers_at_once_never_share_a_number(place, anywhere, saved_model):
    processes = [publisher(place, saved_model, times=2) for _ in range(2)]
    numbers = [int(line) for process in processes for line in process.communicate(timeout=60)[0].split()]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(numbers) == [1, 2, 3, 4]
    for number in numbers:
        anywhere.show("digits", number)


# Where a publisher is stopped for good, as a piece of the request it was making: the method, the path.
MOMENTS = {
    "while it uploads": ("", ".staging/digits/1/variables/variables.data"),
    "before it copies": ("", ".staging/digits/1/manifest.json"),
    "in the middle of copying": ("copy", "models/digits/1/saved_model.pb"),
    "before the manifest": ("", "models/digits/1/manifest.json"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_publisher_leaves_nothing_that_counts(bucket, saved_model, moment):
    kind, path = MOMENTS[moment]
    registry = Registry(bucket.uri, SMALL)
    if bucket.scheme == "gs":
        method = "POST"
        # A small upload to GCS has its name in the body, so what is held there is the first upload after the copies.
        if moment == "before the manifest":
            path = "/o?uploadType=multipart"
        elif moment == "before it copies":
            path = "rewriteTo"
    else:
        method = "PUT"
    fault = bucket.proxy.fail("hold", method=method, path=path)
    if bucket.scheme == "gs" and moment == "before the manifest":
        # The claim (three small uploads and its two refused ones), two small files and the staged manifest come first.
        fault.skip = 4 + len(MODEL) - 1 + 1
    process = publisher(bucket, saved_model)
    try:
        assert bucket.proxy.held.wait(30)
    finally:
        process.kill()
        process.communicate()
    bucket.proxy.faults.clear()
    assert registry.versions("digits") == []
    with pytest.raises(NotFound):
        registry.show("digits", 1)
    served = {key.rpartition("models/digits/1/")[2] for key in keys(registry, "models/digits")}
    assert "manifest.json" not in served
    # What a model server could find there: nothing, or a directory that it can't load yet, or all of the model.
    assert "saved_model.pb" not in served or served == set(MODEL)
    assert registry.publish("digits", saved_model).number == 2
    assert [found.number for found in registry.versions("digits")] == [2]
    assert registry.sweep("digits", older_than_s=0) in ([], [1])
    assert layout.numbers(registry.store, "digits") == [2]
    assert keys(registry, "models/.staging") == []
    assert registry.show("digits", 2).number == 2


def test_a_killed_publisher_into_a_directory_leaves_nothing_that_counts(tmp_path, saved_model):
    """The same for a plain directory, killed at whatever moment."""
    registry = Registry(str(tmp_path / "store"), SMALL)
    process = publisher(type("Local", (), {"uri": str(tmp_path / "store"), "environment": {}}), saved_model, times=1000)
    process.stdout.readline()
    process.kill()
    published = [int(line) for line in process.communicate()[0].split()]
    listed = [found.number for found in registry.versions("digits")]
    assert set(published) <= set(listed)
    for number in listed:
        registry.show("digits", number)
    assert registry.publish("digits", saved_model).number > max(listed)


def test_sweeping_spares_publishers_at_work(registry, saved_model):
    registry.publish("digits", saved_model)
    registry.store.write_bytes("models/.claims/digits/2.json", b"{}")
    registry.store.write_bytes("models/.staging/digits/2/saved_model.pb", b"on its way")
    registry.store.write_bytes("models/digits/2/fingerprint.pb", b"just copied")
    assert registry.sweep("digits") == []
    assert registry.store.exists("models/digits/2/fingerprint.pb")
    assert registry.sweep("digits", older_than_s=0) == [2]
    assert layout.numbers(registry.store, "digits") == [1]
    assert [found.number for found in registry.versions("digits")] == [1]


def test_a_damaged_version_does_not_hide_the_others(registry, saved_model, capsys):
    for _ in range(3):
        registry.publish("digits", saved_model)
    registry.store.write_bytes("models/digits/2/manifest.json", b"{")
    assert [found.number for found in registry.versions("digits")] == [1, 3]
    said = capsys.readouterr().out
    assert said.startswith("version 2 of digits is left out: expected a manifest in ") and said.count("\n") == 1


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
