"""How a directory becomes a version: claim a number, upload beside, copy into place, write the manifest."""

import json
import pathlib
import time
import uuid
from typing import Any

from components.core.registry import layout
from components.core.storage import PreconditionFailed, StorageError, Store, bundle
from components.core.storage.parallel import Task, run_all

# A publisher that has not finished after this long is taken for dead, and what it left is removed.
ABANDONED_S = 24 * 3600.0


def publish(store: Store, name: str, files: dict[str, pathlib.Path], facts: dict[str, Any]) -> int:
    """Publishes files, by their paths below the version's directory; returns its number."""
    manifest = bundle.describe(files, facts)
    number = claim(store, name)
    beside, place = f"{layout.staging(name)}/{number}", layout.place(name, number)
    bundle.write(store, beside, files, manifest, f"publish {name} {number}")
    _copy(store, beside, place, [below for below in manifest.files if below != layout.SAVED_MODEL])
    _copy(store, beside, place, [layout.SAVED_MODEL])
    bundle.check_listing(store, place, manifest)
    bundle.write_manifest(store, place, manifest, if_absent=True)
    bundle.delete(store, beside)
    return number


def claim(store: Store, name: str) -> int:
    """Takes the next number for this publisher alone."""
    taken = [_number(stored.key) for stored in store.files(layout.claims(name))]
    number = max([0, *taken, *layout.numbers(store, name)]) + 1
    while True:
        key = f"{layout.claims(name)}/{number}.json"
        try:
            # The token tells this claim from another publisher's, also when the store's answer is lost.
            first = store.write_bytes(key, _claim(checked=False), if_absent=True)
            # And once more over the first: where creating is not atomic, whoever overwrote us is noticed here.
            store.write_bytes(key, _claim(checked=True), if_generation=first.generation)
            break
        except PreconditionFailed:
            number += 1
    _check_preconditions(store, key, first.generation)
    return number


def sweep(store: Store, name: str, older_than_s: float = ABANDONED_S) -> list[int]:
    """Removes what is left of publications (and deletions) that were never finished; returns their numbers.

    Args:
        older_than_s: how long ago a number must have been claimed. Too short takes the files from under a publisher.
    """
    claimed = {_number(stored.key): stored.updated for stored in store.files(layout.claims(name))}
    staged = {int(child) for child in store.directories(layout.staging(name)) if child.isdecimal()}
    swept = []
    for number in sorted(staged | set(layout.numbers(store, name))):
        if time.time() - claimed.get(number, 0.0) < older_than_s:
            continue
        whole = store.exists(f"{layout.place(name, number)}/{bundle.MANIFEST}")
        if not whole:
            bundle.delete(store, layout.place(name, number))
            swept.append(number)
        if number in staged:
            bundle.delete(store, f"{layout.staging(name)}/{number}")
    return swept


def _check_preconditions(store: Store, key: str, first_generation: str) -> None:
    """Makes sure that the store can keep two publishers apart; costs two small requests.

    Old releases of S3-compatible stores take conditional writes and ignore the condition: SeaweedFS before 3.97
    (seaweedfs#7153). Before spring 2026 it honoured them, but not between writes at the very same moment
    (seaweedfs#8800), which can't be seen from here.
    """
    for condition in ({"if_absent": True}, {"if_generation": first_generation}):
        try:
            store.write_bytes(key, _claim(checked=False), **condition)
        except PreconditionFailed:
            continue
        raise StorageError(
            f"{store.uri()} ignores preconditions of writes (If-None-Match, If-Match), so that two publishers could "
            "overwrite each other; update that store or choose another"
        )


def _copy(store: Store, beside: str, place: str, names: list[str]) -> None:
    tasks = (Task(0, lambda below=below: store.copy(f"{beside}/{below}", f"{place}/{below}")) for below in names)
    run_all(tasks, store.limits.workers, store.limits.window)


def _claim(checked: bool) -> bytes:
    return json.dumps({"claimed": layout.now(), "token": uuid.uuid4().hex, "checked": checked}).encode()


def _number(key: str) -> int:
    stem = key.rpartition("/")[2].removesuffix(".json")
    return int(stem) if stem.isdecimal() else 0
