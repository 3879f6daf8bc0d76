"""How a directory becomes a version: claim a number, upload to staging, write the manifest. No server sees it yet."""

import json
import pathlib
import uuid

from components.core.registry.champion import Champion
from components.core.registry.layout import claimed, claims, home, now, staged_place, staging
from components.core.storage import PreconditionFailed, StorageError, Store
from components.core.storage.bundle import Manifest, write_manifest


def stage(store: Store, name: str, files: dict[str, pathlib.Path], manifest: Manifest, champion: Champion) -> int:
    """Publishes files, by their paths below the version's directory, as the next version; returns its number.

    Args:
        manifest: of these files.
        champion: the model's.

    Raises:
        StorageError: the store does not honour preconditions, or somebody took this publisher for dead (`sweep`).
    """
    number = claim(store, name, champion)
    directory = staged_place(name, number)
    store.upload_files([(path, f"{directory}/{below}") for below, path in files.items()], f"publish {name} {number}")
    try:
        write_manifest(store, directory, manifest, if_absent=True)
    except PreconditionFailed:
        raise StorageError(
            f"version {number} of {name} was cleaned away while it was being published; publish again"
        ) from None
    return number


def claim(store: Store, name: str, champion: Champion) -> int:
    """Takes the next number for this publisher alone: above every number that was ever given out, or left a trace.

    Claims may be lost, to a bucket's lifecycle rule or to a copy without hidden folders. Servers never load a number
    anew that they have loaded, and an upload over another's files would mix two models.
    """
    there = [*store.directories(home(name)), *store.directories(staging(name))]
    lying = [int(child) for child in there if child.isdecimal()]
    number = max([0, *lying, *champion.crowned, *champion.deleting, *claimed(store, name)]) + 1
    while True:
        key = f"{claims(name)}/{number}.json"
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


def _claim(checked: bool) -> bytes:
    return json.dumps({"claimed": now(), "token": uuid.uuid4().hex, "checked": checked}).encode()
