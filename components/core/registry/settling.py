"""Carries out in the store what champion.json decides, and finishes it after somebody who was killed.

Every step can be done twice and by several at once: a version's files only ever move from staging to where servers
look, by copies inside the store, and a number is never used again.
"""

import time
import uuid

from components.core.artifacts.served_model import SAVED_MODEL
from components.core.registry.champion import (
    NO_CHAMPION,
    Champion,
    champion_generation,
    change_champion,
    read_champion,
    write_champion,
)
from components.core.registry.layout import claimed, now, place, served_numbers, staged, staged_place
from components.core.registry.versions import HAD, files_in_staging, prove_bytes, split_served
from components.core.storage import Corrupted, Denied, NotFound, PreconditionFailed, StorageError, Store
from components.core.storage.bundle import MANIFEST, Manifest, check_listing, read_manifest, write_manifest
from components.core.storage.errors import tell

# A publisher that has not finished after this long is taken for dead, and what it left is removed.
ABANDONED_S = 24 * 3600.0


def serve(store: Store, name: str, number: int) -> None:
    """Copies a champion from staging to where servers look, if it is not there yet.

    saved_model.pb comes last of the files, since servers load what has one, and the manifest after it: by it the
    version counts for our own readers. It is copied like the rest, and only as it was read: once a deletion has
    replaced it in staging, no copy can bring the version back.

    Raises:
        NotFound, PreconditionFailed, Corrupted: the version is being deleted, or a file of it is gone.
    """
    source, target = staged_place(name, number), place(name, number)
    try:
        read_when = store.stat(f"{source}/{MANIFEST}").generation
        manifest = read_manifest(store, source)
    except NotFound:
        return
    if not manifest.files:
        return
    if not store.exists(f"{target}/{MANIFEST}"):
        try:
            _copy(store, source, target, [below for below in manifest.files if below != SAVED_MODEL])
            _copy(store, source, target, [SAVED_MODEL])
            check_listing(store, target, manifest)
            store.copy(f"{source}/{MANIFEST}", f"{target}/{MANIFEST}", if_generation=read_when)
        except (NotFound, PreconditionFailed):
            # Somebody else may have finished it, and cleared staging.
            if not store.exists(f"{target}/{MANIFEST}"):
                raise
    try:
        _empty(store, source)
        store.delete(f"{source}/{MANIFEST}")  # last, so that a kill shows
    except StorageError as refused:
        # It is served. What stays in staging costs room, and whoever publishes next tries again.
        tell(f"the staged copy of version {number} of {name} stays: {refused}")


def rewrote_unreadable(store: Store, name: str, version: int) -> bool:
    """Writes a champion.json anew that can't be read, with the champion `version`; says whether it had to."""
    try:
        read_champion(store, name)
        return False
    except Corrupted:
        over = champion_generation(store, name)
    prove_bytes(store, name, version, NO_CHAMPION)
    served = served_numbers(store, name)
    history = [number for number in served if number != version and _ours(store, name, number)]
    made = {"version": version, "history": history}
    try:
        write_champion(store, name, NO_CHAMPION.model_copy(update=made), over)
    except PreconditionFailed:
        raise PreconditionFailed(f"the champion of {name} was moved by somebody else meanwhile") from None
    earlier = ", ".join(map(str, history)) or "none"
    tell(
        f"champion.json of {name} is written anew; champions before, as servers see them: {earlier}; what "
        "was rolled back is forgotten"
    )
    serve(store, name, version)
    return True


def _ours(store: Store, name: str, number: int) -> bool:
    """Whether what servers see under this number is a version of this registry, or the beginning of its copy."""
    copies, others = split_served(store, name, number, files_in_staging(store, name, number))
    return f"{place(name, number)}/{MANIFEST}" in (*copies, *others) or bool(copies and not others)


def remove_version(store: Store, name: str, number: int) -> None:
    """Removes a version that champion.json counts as being deleted, and then that mark."""

    def unmarked(champion: Champion) -> Champion:
        return champion.model_copy(update={"deleting": [each for each in champion.deleting if each != number]})

    remove_files(store, name, number)
    change_champion(store, name, unmarked, any_champion=True)


def remove_files(store: Store, name: str, number: int) -> None:
    """Removes the files of a version, wherever they lie.

    Staging first, so that nobody can copy from there what has been removed here. Where servers look saved_model.pb goes
    first, so that none loads half a model, and the manifest last: by it a directory is known to be ours, to
    whoever finishes this. Where there is none yet, only copies of what was in staging are ours.
    """
    beside, served = staged_place(name, number), place(name, number)
    ours = files_in_staging(store, name, number)
    if ours:
        _retire(store, beside, ours)
        _empty(store, beside)
    keys, others = split_served(store, name, number, ours)
    if not ours or f"{served}/{MANIFEST}" in (*keys, *others):
        keys += others
    first, last = f"{served}/{SAVED_MODEL}", f"{served}/{MANIFEST}"
    store.delete_files([key for key in keys if key == first])
    store.delete_files([key for key in keys if key not in (first, last)])
    store.delete_files([key for key in keys if key == last])


def settle(store: Store, name: str) -> None:
    """Finishes promotions and deletions that were begun; one that can't be finished is told, and holds up no other.

    A champion that gave way to another before the first of its files was copied stays where no server looks: it might
    have the highest number.
    """
    try:
        champion, _ = read_champion(store, name)
    except Corrupted:
        return
    for number in champion.deleting:
        try:
            remove_version(store, name, number)
            tell(f"removed what was left of version {number} of {name}, which is deleted")
        except Denied as refused:
            tell(f"what is left of version {number} of {name}, which is deleted, stays: {refused}")
    begun = {champion.version, *served_numbers(store, name)} & champion.crowned
    for number in sorted(begun.intersection(staged(store, name)) - set(champion.deleting)):
        try:
            serve(store, name, number)
        except (NotFound, PreconditionFailed, Corrupted) as damage:
            tell(f"version {number} of {name} can't be brought to where servers look: {damage}")


def sweep(store: Store, name: str, older_than_s: float = ABANDONED_S) -> list[int]:
    """Removes what is left of publications that never finished, and tells it; returns their numbers.

    Only in staging: what servers see may be a version all the same. A bucket that was copied during an upload has its
    files there without a manifest, and so has one in which an earlier release was killed at the end of a publication.

    Args:
        older_than_s: how long ago a number must have been claimed. A publisher that is swept though it lives is told
            so, and publishes nothing.
    """
    swept = []
    given_out = claimed(store, name)
    for number in staged(store, name):
        if number not in given_out or time.time() - given_out[number] < older_than_s:
            continue
        beside = staged_place(name, number)
        try:
            if read_manifest(store, beside).files:
                continue
        except Corrupted:
            continue
        except NotFound:
            try:
                _retire(store, beside, files_in_staging(store, name, number), if_absent=True)
            except PreconditionFailed:
                continue
        if _empty(store, beside):
            tell(f"removed what was left of version {number} of {name}, whose publication never finished")
            swept.append(number)
    return swept


def _retire(store: Store, beside: str, had: dict[str, int], *, if_absent: bool = False) -> None:
    """Writes a manifest without files, which says: nothing is here, and nobody makes this number whole any more.

    Args:
        had: the files that were here, and their sizes.
        if_absent: only if no publisher was first.

    Raises:
        PreconditionFailed: one was.
    """
    nothing = Manifest(files={}, facts={"retired": now(), "token": uuid.uuid4().hex, HAD: had})
    write_manifest(store, beside, nothing, if_absent=if_absent)


def _empty(store: Store, beside: str) -> bool:
    """Removes the files of a staged version, but for its manifest; says whether there were any."""
    keys = [stored.key for stored in store.list(beside) if stored.key != f"{beside}/{MANIFEST}"]
    store.delete_files(keys)
    return bool(keys)


def _copy(store: Store, source: str, target: str, names: list[str]) -> None:
    store.for_each(names, lambda below: store.copy(f"{source}/{below}", f"{target}/{below}"))
