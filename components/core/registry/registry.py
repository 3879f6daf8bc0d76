"""The registry as its users see it. What it promises, and why it is as it is, stands in the package's docstring."""

import pathlib
from typing import Any

from components.core.files import write_json
from components.core.registry.champion import (
    NO_CHAMPION,
    Champion,
    OvertakenError,
    RolledBack,
    change_champion,
    read_champion,
    refuse_rolled_back,
)
from components.core.registry.layout import NAME, TOP, home, now, place, served_numbers, staged, staging
from components.core.registry.publishing import files_of, stage
from components.core.registry.settling import (
    ABANDONED_S,
    remove_files,
    remove_version,
    rewrote_unreadable,
    serve,
    settle,
    sweep,
)
from components.core.registry.versions import (
    FoundVersion,
    UnreadableVersion,
    Version,
    inventory,
    locate,
    marks,
    prove_bytes,
    refuse_foreign_files,
    seen_version,
    where_it_lies,
)
from components.core.storage import Corrupted, Limits, NotFound, StorageError, bundle, open_store
from components.core.storage.errors import tell
from components.core.wording import listed


class Registry:
    """The registry below `uri` (gs://bucket, s3://bucket/prefix, a local directory), in its directory `models/`."""

    def __init__(self, uri: str, limits: Limits | None = None):
        self.store = open_store(uri, limits)

    def uri(self, name: str, version: int | None = None) -> str:
        """The place that a model server is pointed at; with a version, that one's place once it has been champion."""
        return self.store.uri(home(name) if version is None else place(name, version))

    def highest(self, name: str) -> int:
        """The highest number where servers look, which is what they serve unless they are pinned; 0: none."""
        return max(served_numbers(self.store, name), default=0)

    def names(self) -> list[str]:
        """The models that have a version's directory, sorted."""
        children = {*self.store.directories(TOP), *self.store.directories(staging("x").removesuffix("/x"))}
        found = sorted(child for child in children if NAME.fullmatch(child))
        return [name for name in found if served_numbers(self.store, name) or staged(self.store, name)]

    def inventory(self, name: str) -> list[Version | UnreadableVersion]:
        """The published versions, and directories under a number that hold none, with the reason; oldest first."""
        return inventory(self.store, name, self._champion(name))

    def versions(self, name: str) -> list[Version]:
        """The published versions, oldest first; damaged ones are told and left out."""
        found = self.inventory(name)
        for each in found:
            if isinstance(each, UnreadableVersion):
                tell(f"version {each.number} of {name} is left out: {each.reason}")
        return [each for each in found if isinstance(each, Version)]

    def champion(self, name: str) -> Champion | None:
        """The champion and those before it; None if there has been none yet.

        Raises:
            Corrupted: champion.json can't be read.
        """
        champion, _ = read_champion(self.store, name)
        return champion if champion.version else None

    def show(self, name: str, version: int | None = None) -> Version:
        """One version, or the champion; its files are compared with its manifest by name and size.

        Raises:
            NotFound: no such version, no champion, or a champion that points at a version that is gone.
            Corrupted: files and manifest disagree; champion.json can't be read and no version is named.
        """
        number, champion = self._named(name, version)
        found, _ = where_it_lies(
            self.store, name, number, champion, lambda found: bundle.check_listing(self.store, *found)
        )
        return seen_version(self.store, name, number, found, champion)

    def fetch(self, name: str, version: int | None, path: str | pathlib.Path) -> Version:
        """Downloads a version (None: the champion) into the new directory `path`, every file proven by its SHA-256."""
        number, champion = self._named(name, version)
        path = pathlib.Path(path)

        def download(found: FoundVersion) -> bundle.Manifest:
            return bundle.fetch(self.store, found.directory, path, f"{name} {number}")

        found, manifest = where_it_lies(self.store, name, number, champion, download)
        write_json(path / bundle.MANIFEST, manifest.model_dump(mode="json"))
        return seen_version(self.store, name, number, found, champion)

    def publish(
        self,
        name: str,
        saved_model: str | pathlib.Path,
        extras: dict[str, pathlib.Path] | None = None,
        facts: dict[str, Any] | None = None,
        *,
        challenger: bool = False,
    ) -> Version:
        """Publishes a SavedModel directory, or a fetched version, as the next version, which no server sees yet.

        Args:
            extras: further files, by the name that each shall have below assets.extra/, where servers ignore them.
            facts: JSON values to keep with the version.
            challenger: refused, before anything is sent, if an identical model was rolled back.

        Raises:
            StorageError: not a SavedModel directory, or the store does not honour preconditions. RolledBackError.
        """
        home(name)
        files = files_of(pathlib.Path(saved_model), extras or {})
        manifest = bundle.manifest_of(files, {**(facts or {}), "created": now()})
        champion = read_champion(self.store, name)[0] if challenger else self._champion(name)
        if challenger:
            refuse_rolled_back(name, 0, marks(manifest), champion)
        number = stage(self.store, name, files, manifest, champion)
        try:
            self.sweep(name)
        except StorageError as failure:
            tell(f"what others have left of {name} stays: {failure}")
        champion = self._champion(name)
        return seen_version(self.store, name, number, locate(self.store, name, number, champion), champion)

    def promote(self, name: str, version: int, *, over: int | None = None, named: bool = False) -> Champion:
        """Makes a version the champion, and brings it to where servers look.

        Args:
            over: the champion that it was compared with, 0 for none; refused where another has taken its place since.
                None: whatever it was.
            named: an operator has named it: so it may be one that was rolled back, and, without `over`, replace a
                champion.json that can't be read. If it was champion before, those since are rolled back.

        Raises:
            NotFound, Corrupted: no such version, or it is not as it was published; names the file. All of it is read.
            OvertakenError. RolledBackError.
            StorageError: files lie where it is to go that this registry did not put there.
            PreconditionFailed: somebody else made another champion at the same moment.
        """

        proven: FoundVersion | None = None
        back: list[int] = []

        def crowned(champion: Champion) -> Champion:
            nonlocal proven, back
            if champion.version == version:
                return champion
            if over is not None and champion.version != over:
                raise OvertakenError(
                    f"expected version {over or 'none'} as the champion of {name}, received "
                    f"{champion.version or 'none'}; compare with that one first"
                )
            found = locate(self.store, name, version, champion)
            if not named:
                refuse_rolled_back(name, version, marks(found.manifest), champion)
            if found != proven:  # gigabytes perhaps: read once, also if the state is to be written again
                found = proven = prove_bytes(self.store, name, version, champion)
            if version not in champion.crowned and found.directory != place(name, version):
                refuse_foreign_files(self.store, name, version)
            if named and version in champion.history:
                at = champion.history.index(version)
                back = [*champion.history[at + 1 :], champion.version]
                champion = self._rolled_back(name, champion, back, at)
            return champion.promoted(version, marks(found.manifest))

        if named and over is None and rewrote_unreadable(self.store, name, version):
            return read_champion(self.store, name)[0]
        champion = change_champion(self.store, name, crowned, any_champion=over is not None)
        if off := [str(each.version) for each in champion.rolled_back if each.version in back]:
            tell(f"rolled back: version {listed(off)} of {name}, champion since; refused until it is named")
        serve(self.store, name, version)
        return champion

    def rollback(self, name: str) -> Champion:
        """Makes the champion before this one champion again, as far back as it takes to find one that is whole.

        The one that it takes off does not become champion again before somebody names it, nor does an identical model.
        """

        def back(champion: Champion) -> Champion:
            if not champion.version:
                raise NotFound(f"expected a champion of {name} to roll back, received none; nothing was promoted yet")
            for at in reversed(range(len(champion.history))):
                earlier = champion.history[at]
                try:
                    prove_bytes(self.store, name, earlier, champion)
                except (NotFound, Corrupted) as damage:
                    tell(f"version {earlier} of {name} is passed over: {damage}")
                    continue
                return self._rolled_back(name, champion, [champion.version], at)
            raise StorageError(f"expected an earlier champion of {name} to go back to, received none that is whole")

        champion = change_champion(self.store, name, back)
        serve(self.store, name, champion.version)
        return champion

    def delete(self, name: str, version: int, *, force: bool = False) -> None:
        """Removes a version. Never the champion; one that a rollback could reach only with `force`.

        While champion.json can't be read nobody knows which that is: then too only with `force`, and not kept apart
        from somebody who names that very version at the same moment.
        """

        def marked(champion: Champion) -> Champion:
            if champion.version == version:
                raise StorageError(f"version {version} is the champion of {name}, never deleted; promote another first")
            if version in champion.history and not force:
                what = "what a rollback" if champion.history[-1] == version else "one that a rollback"
                does = "would choose" if champion.history[-1] == version else "could reach"
                raise StorageError(f"version {version} is {what} of {name} {does}; delete it with --force")
            self._require_ours(name, version, champion)
            history = [number for number in champion.history if number != version]
            return champion.model_copy(update={"history": history, "deleting": sorted({*champion.deleting, version})})

        try:
            change_champion(self.store, name, marked, any_champion=True)
            remove_version(self.store, name, version)
        except Corrupted as damage:
            if not force:
                raise StorageError(
                    f"whether version {version} is the champion of {name} is not known: {damage}; or delete it with "
                    "--force"
                ) from None
            self._require_ours(name, version, NO_CHAMPION)
            remove_files(self.store, name, version)

    def sweep(self, name: str, older_than_s: float = ABANDONED_S) -> list[int]:
        """Finishes what others have begun, and removes what is left of publications that never end; their numbers."""
        settle(self.store, name)
        return sweep(self.store, name, older_than_s)

    def _champion(self, name: str) -> Champion:
        """The state; NO_CHAMPION if it can't be read, for whoever asks about versions by number."""
        try:
            return read_champion(self.store, name)[0]
        except Corrupted:
            return NO_CHAMPION

    def _named(self, name: str, version: int | None) -> tuple[int, Champion]:
        if version is not None:
            return version, self._champion(name)
        champion, _ = read_champion(self.store, name)
        if not champion.version:
            raise self._no_champion(name)
        return champion.version, champion

    def _no_champion(self, name: str) -> NotFound:
        names = self.names()
        received = "none; promote a version, or name one" if name in names else f"no such model; there: {listed(names)}"
        if not names:
            received = f"none, and no model at all at {self.store.uri('')}; check the registry's place"
        return NotFound(f"expected a champion of {name}, received {received}")

    def _rolled_back(self, name: str, champion: Champion, since: list[int], at: int) -> Champion:
        """The state once the champions `since` have given way to `history[at]`."""
        off = [RolledBack(version=number, marks=self._marks(name, number, champion), when=now()) for number in since]
        return champion.gave_way(off, at)

    def _marks(self, name: str, version: int, champion: Champion) -> list[str]:
        """The marks of a version's model; none if its manifest can't be read."""
        try:
            return marks(locate(self.store, name, version, champion).manifest)
        except (NotFound, Corrupted):
            return []

    def _require_ours(self, name: str, version: int, champion: Champion) -> None:
        """Raises unless there is something under this number that this registry made."""
        try:
            locate(self.store, name, version, champion)
        except Corrupted:
            return
        except NotFound:
            if version in champion.deleting:
                return
            if version not in served_numbers(self.store, name):
                raise
            if version not in champion.crowned:
                raise StorageError(
                    f"expected a version of this registry, received {self.uri(name, version)}, which it did not make "
                    f"(no {bundle.MANIFEST}, and never champion); remove that yourself"
                ) from None
