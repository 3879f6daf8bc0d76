"""The registry as its users see it."""

import dataclasses
import pathlib
from typing import Any

from components.core.files import write_json
from components.core.registry import champion as pointer
from components.core.registry import layout, publishing
from components.core.registry.champion import Champion
from components.core.storage import Corrupted, Limits, NotFound, StorageError, bundle, open_store
from components.core.storage.errors import tell
from components.core.storage.parallel import Task, run_all


@dataclasses.dataclass(frozen=True)
class Version:
    """One published version.

    Attributes:
        uri: its directory in the store.
        created: when it was published, ISO 8601 in UTC.
        bytes: the size of all its files together.
        champion: whether it is the champion now.
        facts: what the publisher said of it: metrics, lineage.
        files: by path below its directory.
    """

    name: str
    number: int
    uri: str
    created: str
    bytes: int
    champion: bool
    facts: dict[str, Any]
    files: dict[str, bundle.BundledFile]


class Registry:
    """The registry below `uri` (gs://bucket, s3://bucket/prefix, a local directory), in its directory `models/`."""

    def __init__(self, uri: str, limits: Limits | None = None):
        self.store = open_store(uri, limits)

    def uri(self, name: str, version: int | None = None) -> str:
        """What a model server is pointed at; with a version, where that one lies."""
        return self.store.uri(layout.home(name) if version is None else layout.place(name, version))

    def names(self) -> list[str]:
        """The models that have a version directory, sorted."""
        children = self.store.directories(layout.TOP)
        return [child for child in children if layout.NAME.fullmatch(child) and layout.numbers(self.store, child)]

    def versions(self, name: str) -> list[Version]:
        """The published versions, oldest first. What has no manifest is not published; a damaged one is named."""
        champion = self.champion(name)
        found: dict[int, Version] = {}

        def look(number: int) -> None:
            try:
                found[number] = self._version(name, number, champion)
            except NotFound:
                return
            except Corrupted as damaged:
                tell(f"version {number} of {name} is left out: {damaged}")

        tasks = (Task(0, lambda number=number: look(number)) for number in layout.numbers(self.store, name))
        run_all(tasks, self.store.limits.workers, self.store.limits.window)
        return [found[number] for number in sorted(found)]

    def champion(self, name: str) -> Champion | None:
        """The pointer to the champion; None where there has been none yet."""
        return pointer.read(self.store, name)[0]

    def show(self, name: str, version: int | None = None) -> Version:
        """One version, or the champion; its files are compared with its manifest by name and size.

        Raises:
            NotFound: no such version, no champion, or a champion that points at a version that is gone.
            Corrupted: files and manifest disagree.
        """
        champion = self.champion(name)
        if version is None and champion is None:
            raise NotFound(f"expected a champion of {name}, received none; promote a version, or name one")
        shown = self._version(name, champion.version if version is None else version, champion)
        bundle.check_listing(self.store, layout.place(name, shown.number), bundle.Manifest(files=shown.files))
        return shown

    def fetch(self, name: str, version: int | None, path: str | pathlib.Path) -> Version:
        """Downloads a version (None: the champion) into the new directory `path`, every file proven by its SHA-256."""
        shown = self.show(name, version)
        path = pathlib.Path(path)
        manifest = bundle.fetch(self.store, layout.place(name, shown.number), path, f"{name} {shown.number}")
        write_json(path / bundle.MANIFEST, manifest.model_dump(mode="json"))
        return shown

    def publish(
        self,
        name: str,
        saved_model: str | pathlib.Path,
        extras: dict[str, pathlib.Path] | None = None,
        facts: dict[str, Any] | None = None,
    ) -> Version:
        """Publishes a SavedModel directory as the next version. It does not become the champion by that.

        Args:
            extras: further files, by the name that each shall have below assets.extra/, where servers ignore them.
            facts: JSON values to keep with the version.

        Raises:
            StorageError: not a SavedModel directory, or the store does not honour preconditions.
        """
        layout.home(name)
        saved_model = pathlib.Path(saved_model)
        if not (saved_model / layout.SAVED_MODEL).is_file():
            raise StorageError(f"expected a SavedModel directory with {layout.SAVED_MODEL}, received {saved_model}")
        files = bundle.files_below(saved_model)
        files |= {f"{layout.EXTRAS}/{below}": pathlib.Path(path) for below, path in (extras or {}).items()}
        number = publishing.publish(self.store, name, files, {**(facts or {}), "created": layout.now()})
        publishing.sweep(self.store, name)
        return self._version(name, number, self.champion(name))

    def promote(self, name: str, version: int, *, over: int | None = None) -> Champion:
        """Makes a version the champion.

        Args:
            over: the champion that it was compared with, 0 for none; refused where another has taken its place since.
                None: whatever it was, also one that can't be read.
        """
        self._version(name, version, None)
        try:
            champion, generation = pointer.read(self.store, name)
        except Corrupted:
            if over is not None:
                raise
            champion, generation = None, pointer.generation(self.store, name)
        current = champion.version if champion else 0
        if over is not None and current != over:
            raise StorageError(
                f"expected version {over or 'none'} as the champion of {name}, received {current or 'none'}; "
                "compare with that one first"
            )
        if champion is not None and current == version:
            return champion
        history = [*champion.history, current] if champion else []
        moved = pointer.move(self.store, name, version, [number for number in history if number != version], generation)
        # Deleting looks at the pointer after it has hidden the version; this looks at the version after it has moved
        # the pointer. However the two meet, one of them sees the other.
        if not self._whole(name, version):
            if champion is not None:
                pointer.move(self.store, name, current, champion.history, pointer.read(self.store, name)[1])
            raise StorageError(f"version {version} of {name} was deleted meanwhile; choose another")
        return moved

    def rollback(self, name: str) -> Champion:
        """Makes the champion before this one champion again, skipping those that are gone."""
        champion, generation = pointer.read(self.store, name)
        if champion is None:
            raise NotFound(f"expected a champion of {name} to roll back, received none; nothing was promoted yet")
        history = list(champion.history)
        while history:
            earlier = history.pop()
            if self._whole(name, earlier):
                return pointer.move(self.store, name, earlier, history, generation)
        raise StorageError(f"expected an earlier champion of {name} to go back to, received none that is still there")

    def delete(self, name: str, version: int, *, force: bool = False) -> None:
        """Removes a version. Never the champion; the one that a rollback would choose only with `force`."""
        place = layout.place(name, version)
        if version not in layout.numbers(self.store, name):
            raise self._gone(name, version, None)
        champion = self.champion(name)
        self._refuse_champion(name, version, champion)
        if champion and champion.history[-1:] == [version] and not force:
            raise StorageError(f"version {version} is what a rollback of {name} would choose; delete it with --force")
        key = f"{place}/{bundle.MANIFEST}"
        manifest = self.store.read_bytes(key) if self.store.exists(key) else None
        self.store.delete(key)
        try:
            self._refuse_champion(name, version, self.champion(name))
        except StorageError:
            if manifest is not None:
                self.store.write_bytes(key, manifest)
            raise
        self.store.delete(f"{place}/{layout.SAVED_MODEL}")
        bundle.delete(self.store, place)

    def sweep(self, name: str, older_than_s: float = publishing.ABANDONED_S) -> list[int]:
        """Removes what is left of publications that were never finished; returns their numbers."""
        return publishing.sweep(self.store, name, older_than_s)

    def _refuse_champion(self, name: str, version: int, champion: Champion | None) -> None:
        if champion and champion.version == version:
            raise StorageError(f"version {version} is the champion of {name}, never deleted; promote another first")

    def _whole(self, name: str, version: int) -> bool:
        return self.store.exists(f"{layout.place(name, version)}/{bundle.MANIFEST}")

    def _gone(self, name: str, number: int, champion: Champion | None) -> NotFound:
        there = ", ".join(map(str, layout.numbers(self.store, name))) or "none"
        if champion and champion.version == number:
            return NotFound(f"the champion of {name} is version {number}, which is gone; promote another of: {there}")
        return NotFound(f"expected version {number} of {name}, received none; there: {there}")

    def _version(self, name: str, number: int, champion: Champion | None) -> Version:
        try:
            manifest = bundle.read_manifest(self.store, layout.place(name, number))
        except NotFound:
            raise self._gone(name, number, champion) from None
        created = str(manifest.facts.get("created", ""))
        is_champion = champion is not None and champion.version == number
        place = self.uri(name, number)
        return Version(name, number, place, created, manifest.bytes, is_champion, manifest.facts, manifest.files)
