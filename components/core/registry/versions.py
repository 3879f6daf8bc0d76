"""Versions as they are found in the store: whole ones, and those that can't be read, with the reason."""

import dataclasses
import hashlib
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from components.core.artifacts.served_model import EXTRAS
from components.core.registry.champion import Champion
from components.core.registry.layout import place, served_numbers, staged, staged_place
from components.core.storage import Corrupted, NotFound, StorageError, Store
from components.core.storage.bundle import MANIFEST, BundledFile, Manifest, fetch, read_manifest

Result = TypeVar("Result")
# In a retired version's manifest: the files that it had, and their sizes.
HAD = "had"


@dataclasses.dataclass(frozen=True)
class Version:
    """One published version.

    Attributes:
        uri: its directory in the store.
        created: when it was published, ISO 8601 in UTC.
        bytes: the size of all its files together.
        champion: whether it is the champion now; False too where champion.json can't be read.
        served: whether it lies where servers look. It does from its first promotion on.
        facts: what the publisher said of it: metrics, lineage.
        files: by path below its directory.
    """

    name: str
    number: int
    uri: str
    created: str
    bytes: int
    champion: bool
    served: bool
    facts: dict[str, Any]
    files: dict[str, BundledFile]


@dataclasses.dataclass(frozen=True)
class UnreadableVersion:
    """A version's directory that holds no version, and why."""

    number: int
    reason: str


class FoundVersion(NamedTuple):
    """A whole version: the directory it lies in, and its manifest."""

    directory: str
    manifest: Manifest


def locate(store: Store, name: str, number: int, champion: Champion) -> FoundVersion:
    """Finds a version, where servers look or in staging.

    Raises:
        NotFound: there is none of that number. Corrupted: its manifest can't be read.
    """
    if number in champion.deleting:
        raise gone(store, name, number, champion)
    # A version moves from staging to where servers look, and is whole in one of them at any moment: so the place that
    # it may have moved to while we looked at the other one is looked at twice.
    for directory in (place(name, number), staged_place(name, number), place(name, number)):
        try:
            manifest = read_manifest(store, directory)
        except NotFound:
            continue
        if manifest.files:
            return FoundVersion(directory, manifest)
    raise gone(store, name, number, champion)


def prove_bytes(store: Store, name: str, number: int, champion: Champion) -> FoundVersion:
    """Finds a version, and compares its files with its manifest by their SHA-256: reads all of them, as a server would.

    Raises:
        NotFound: there is none of that number. Corrupted: a file is missing or was changed; names it.
    """

    def read(found: FoundVersion) -> None:
        with tempfile.TemporaryDirectory(prefix="version-") as scratch:
            fetch(store, found.directory, pathlib.Path(scratch) / "files", f"{name} {number}")

    return where_it_lies(store, name, number, champion, read)[0]


def where_it_lies(
    store: Store, name: str, number: int, champion: Champion, deed: Callable[[FoundVersion], Result]
) -> tuple[FoundVersion, Result]:
    """Does something with a version's files: again if it has moved meanwhile to where servers look."""
    found = locate(store, name, number, champion)
    try:
        return found, deed(found)
    except (NotFound, Corrupted):
        again = locate(store, name, number, champion)
        if again.directory == found.directory:
            raise
        return again, deed(again)


def seen_version(store: Store, name: str, number: int, found: FoundVersion, champion: Champion) -> Version:
    """The version as users see it."""
    return Version(
        name=name,
        number=number,
        uri=store.uri(found.directory),
        created=str(found.manifest.facts.get("created", "")),
        bytes=found.manifest.bytes,
        champion=champion.version == number,
        served=found.directory == place(name, number),
        facts=found.manifest.facts,
        files=found.manifest.files,
    )


def inventory(store: Store, name: str, champion: Champion) -> list[Version | UnreadableVersion]:
    """All versions, and whatever else lies under a version's number where servers look, ascending.

    What is on its way, or being deleted, is left out.
    """
    # Staging first: what moves from there while we look is found where it has moved to.
    in_staging = staged(store, name)
    there = sorted({*in_staging, *served_numbers(store, name)} - set(champion.deleting))
    found: dict[int, Version | UnreadableVersion] = {}

    def look(number: int) -> None:
        try:
            found[number] = seen_version(store, name, number, locate(store, name, number, champion), champion)
        except NotFound:
            return
        except Corrupted as damage:
            found[number] = UnreadableVersion(number, str(damage))

    store.for_each(there, look)
    for number in set(served_numbers(store, name)) - set(found) - set(in_staging) - set(champion.deleting):
        ours = number in champion.crowned
        found[number] = UnreadableVersion(
            number, f"its {MANIFEST} is gone" if ours else f"not of this registry: it has no {MANIFEST}"
        )
    return [found[number] for number in sorted(found)]


def gone(store: Store, name: str, number: int, champion: Champion) -> NotFound:
    """That there is no such version, and which there are."""
    there = {*served_numbers(store, name), *staged(store, name)} - {number, *champion.deleting}
    listed = ", ".join(map(str, sorted(there))) or "none"
    if champion.version and champion.version == number:
        return NotFound(f"the champion of {name} is version {number}, which is gone; promote another of: {listed}")
    if not there and not champion.version:
        return NotFound(f"expected version {number} of {name}, received no model of that name; list the models")
    return NotFound(f"expected version {number} of {name}, received none; there: {listed}")


def marks(manifest: Manifest) -> list[str]:
    """The marks that identical models share: the hash of the training's result, of the weights, and of the files."""
    said = [f"{fact}:{manifest.facts[fact]}" for fact in ("model_sha256", "weights_sha256") if manifest.facts.get(fact)]
    files = [(name, file.sha256) for name, file in manifest.files.items() if not name.startswith(f"{EXTRAS}/")]
    return [*said, f"files:{hashlib.sha256(repr(sorted(files)).encode()).hexdigest()}"]


def files_in_staging(store: Store, name: str, number: int) -> dict[str, int]:
    """The files of a staged version and their sizes: those that lie there, and those that its manifest names.

    The manifest of a retired one names those that it had.
    """
    beside = staged_place(name, number)
    lying = {stored.key[len(beside) + 1 :]: stored.size for stored in store.list(beside)}
    try:
        manifest = read_manifest(store, beside)
    except (NotFound, Corrupted):
        return lying
    return lying | manifest.facts.get(HAD, {}) | {below: file.bytes for below, file in manifest.files.items()}


def split_served(store: Store, name: str, number: int, ours: dict[str, int]) -> tuple[list[str], list[str]]:
    """The keys that lie where servers look under this number: copies of `ours` (by name and size), and others."""
    served = place(name, number)
    copies: list[str] = []
    others: list[str] = []
    for stored in store.list(served):
        copied = ours.get(stored.key[len(served) + 1 :]) == stored.size
        (copies if copied else others).append(stored.key)
    return copies, others


def refuse_foreign_files(store: Store, name: str, number: int) -> None:
    """Raises StorageError if something lies under a version's number that is no part of it: copies would mix."""
    _, others = split_served(store, name, number, files_in_staging(store, name, number))
    if others:
        raise StorageError(
            f"expected nothing yet at {store.uri(place(name, number))}, received {store.uri(others[0])}, which this "
            "registry did not put there; move it away"
        )
