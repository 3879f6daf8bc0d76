"""champion.json: the champion, those before it, what was rolled back, what is being deleted. One object for each model.

Whatever decides about a model's versions goes through this object, and changes it by compare-and-set over what was
read: so two decisions are never taken from the same state, and one that was taken is there for everybody.
"""

import uuid
from collections.abc import Callable

import pydantic

from components.core.errors import one_line
from components.core.registry.layout import home, now, place, served_numbers
from components.core.storage import Corrupted, NotFound, PreconditionFailed, StorageError, Store
from components.core.storage.bundle import MANIFEST

# A change that others were quicker than is tried anew, as long as nothing that it rests on has changed.
TRIES = 20


class RolledBack(pydantic.BaseModel):
    """A champion that a rollback took off: by its number, and by what tells an identical model (`marks`)."""

    version: int
    marks: list[str] = []
    when: str = ""

    def speaks_against(self, version: int, marks: list[str]) -> bool:
        """Whether this is that version, or an identical model."""
        return self.version == version or bool(set(self.marks) & set(marks))


class Champion(pydantic.BaseModel):
    """What champion.json says.

    Attributes:
        version: the champion; 0: there is none yet.
        history: the champions before, the latest last.
        rolled_back: what must not become champion again before somebody names it.
        deleting: versions whose removal has begun: gone for all who look, and whoever comes by removes the rest.
        token: makes the bytes of every state differ: S3's generation token is a function of the content.
    """

    version: int = pydantic.Field(ge=0)
    history: list[int] = []
    rolled_back: list[RolledBack] = []
    deleting: list[int] = []
    moved: str
    token: str

    @property
    def crowned(self) -> set[int]:
        """All versions that are, or are known to have been, champion."""
        return ({self.version} | set(self.history) | {found.version for found in self.rolled_back}) - {0}

    def promoted(self, version: int, marks: list[str]) -> "Champion":
        """The state after this one once `version` is the champion. No rollback speaks against it from then on."""
        history = [number for number in (*self.history, self.version) if number not in (0, version)]
        left = [each for each in self.rolled_back if not each.speaks_against(version, marks)]
        return self.model_copy(update={"version": version, "history": history, "rolled_back": left})

    def gave_way(self, off: list[RolledBack], at: int) -> "Champion":
        """The state after this one once all that were champion since `history[at]` have given way to that."""
        others = [each for each in self.rolled_back if each.version not in {gone.version for gone in off}]
        update = {"version": self.history[at], "history": self.history[:at], "rolled_back": [*others, *off]}
        return self.model_copy(update=update)


NO_CHAMPION = Champion(version=0, moved="", token="")


def read_champion(store: Store, name: str) -> tuple[Champion, str | None]:
    """The state and the generation to change it over; version 0 and None if there is no champion.json yet.

    Raises:
        Corrupted: what is there is no champion.json, or it is gone: a version comes to where servers look after it.
    """
    key, served = _key(name), 0
    while True:
        try:
            data, stored = store.read(key)
            return Champion.model_validate_json(data), stored.generation
        except NotFound:
            if served:  # and was not promoted between the first read and the look
                raise _unreadable(store, name, f"none, though servers see version {served}") from None
            found = (
                number for number in served_numbers(store, name) if store.exists(f"{place(name, number)}/{MANIFEST}")
            )
            served = next(found, 0)
            if not served:
                return NO_CHAMPION, None
        except ValueError as error:
            raise _unreadable(store, name, f"something else ({one_line(error, 200)})") from None


def _unreadable(store: Store, name: str, received: str) -> Corrupted:
    return Corrupted(
        f"expected a champion in {store.uri(_key(name))}, received {received}; name one: make models "
        f"ARGS='champion {name} VERSION'"
    )


def champion_generation(store: Store, name: str) -> str | None:
    """The generation of a champion.json that can't be read; None if it is gone."""
    try:
        return store.stat(_key(name)).generation
    except NotFound:
        return None


def write_champion(store: Store, name: str, champion: Champion, over: str | None) -> Champion:
    """Writes the state, if nobody has written one since the generation `over` was read.

    Raises:
        PreconditionFailed: somebody has.
    """
    written = champion.model_copy(update={"moved": now(), "token": uuid.uuid4().hex})
    data = written.model_dump_json(indent=2).encode() + b"\n"
    if over is None:
        store.write_bytes(_key(name), data, if_absent=True)
    else:
        store.write_bytes(_key(name), data, if_generation=over)
    return written


def change_champion(
    store: Store, name: str, edit: Callable[[Champion], Champion], *, any_champion: bool = False
) -> Champion:
    """Reads the state, edits it and writes it; again if only something else than the champion has changed meanwhile.

    Args:
        edit: gives the next state, or the same for no change, or raises what speaks against it. What it looks at in the
            store comes after the state was read: a deletion that begins later changes the state, and so is noticed.
        any_champion: it rests on no particular champion.

    Raises:
        PreconditionFailed: another champion was made meanwhile.
    """
    first = edited = None
    for _ in range(TRIES):
        found, over = read_champion(store, name)
        if first is None:
            first = found
        elif found.version != first.version and not any_champion:
            if edited and (edited.version, edited.rolled_back) == (found.version, found.rolled_back):
                return found  # ours: its answer was lost, and something else was written over it since
            break
        edited = edit(found)
        if edited == found:
            return found
        try:
            return write_champion(store, name, edited, over)
        except PreconditionFailed:
            continue
    raise PreconditionFailed(f"the champion of {name} was moved by somebody else meanwhile; look at it and try again")


def refuse_rolled_back(name: str, version: int, marks: list[str], champion: Champion) -> None:
    """Raises RolledBackError if a rollback speaks against this version (0: of a model that has no number yet)."""
    found = next((each for each in reversed(champion.rolled_back) if each.speaks_against(version, marks)), None)
    if found is None:
        return
    what = f"version {version} of {name}" if found.version == version else f"this model, as version {found.version},"
    when = f" at {found.when[:19].replace('T', ' ')} UTC" if found.when else ""
    raise RolledBackError(
        f"{what} was rolled back{when}; to serve it all the same, name it: make models ARGS='champion {name} "
        f"{found.version}'"
    )


class OvertakenError(StorageError):
    """Another champion than the one that was compared with."""


class RolledBackError(StorageError):
    """The version, or an identical model, was rolled back, and nobody has named it since."""


def _key(name: str) -> str:
    return f"{home(name)}/champion.json"
