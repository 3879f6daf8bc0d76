"""How an export becomes a version: choose its files, claim a number, upload to staging, write the manifest. No server
sees it yet."""

import json
import pathlib
import uuid
from typing import Any, NamedTuple

from components.core.artifacts.served_model import EXPORT_MANIFEST, EXTRAS, SAVED_MODEL
from components.core.files import files_below, sha256_of
from components.core.registry.champion import Champion
from components.core.registry.layout import claimed, claims, home, now, staged_place, staging
from components.core.storage import PreconditionFailed, StorageError, Store
from components.core.storage.bundle import MANIFEST, Manifest, write_manifest


class Exported(NamedTuple):
    """The arguments of Registry.publish."""

    saved_model: pathlib.Path
    extras: dict[str, pathlib.Path]
    facts: dict[str, Any]


def read_export(directory: str | pathlib.Path) -> Exported:
    """Finds what to publish in an export artifact, in a version that was fetched, or in a bare SavedModel directory.

    Of an export, the SavedModel becomes the version, its other files (card, further formats, its own manifest) go to
    assets.extra/, and the facts of its manifest are kept with the version.

    Raises:
        StorageError: there is no SavedModel, or more than one.
    """
    directory = pathlib.Path(directory)
    if (directory / SAVED_MODEL).is_file():
        fetched = _fetched(directory)
        return Exported(directory, {}, fetched.facts if fetched else {})
    found = [path.parent for path in sorted(directory.glob(f"saved_model/*/{SAVED_MODEL}"))]
    if len(found) != 1:
        raise StorageError(
            f"expected an export with one saved_model/VERSION/{SAVED_MODEL} or a SavedModel directory, "
            f"received {len(found) or 'none'} in {directory}"
        )
    extras = {name: path for name, path in files_below(directory).items() if found[0] not in path.parents}
    facts = {}
    if EXPORT_MANIFEST in extras:
        try:
            facts = json.loads(extras[EXPORT_MANIFEST].read_text(encoding="utf-8"))
            if not isinstance(facts, dict):
                raise ValueError("a value that is no object")
        except (ValueError, RecursionError) as error:
            raise StorageError(f"expected JSON in {extras[EXPORT_MANIFEST]}, received {error}; export again") from None
        # The version's own manifest lists the files, by the paths they have there.
        facts = {name: value for name, value in facts.items() if name != "files"}
    return Exported(found[0], extras, facts)


def files_of(saved_model: pathlib.Path, extras: dict[str, pathlib.Path]) -> dict[str, pathlib.Path]:
    """The files to publish, by the path that each shall have below the version's directory.

    The manifest of a fetched version is left out, once the files beside it are those that it describes.

    Raises:
        StorageError: no SavedModel directory, or a fetched version whose files were changed since.
    """
    if not (saved_model / SAVED_MODEL).is_file():
        raise StorageError(f"expected a SavedModel directory with {SAVED_MODEL}, received {saved_model}")
    files = files_below(saved_model)
    if fetched := _fetched(saved_model):
        for name, file in fetched.files.items():
            if name not in files or sha256_of(files[name]) != file.sha256:
                raise StorageError(
                    f"expected {saved_model / name} as {saved_model / MANIFEST} describes it, received "
                    f"{'another' if name in files else 'none'}; fetch the version again"
                )
        files = {name: files[name] for name in fetched.files}
    return files | {f"{EXTRAS}/{below}": pathlib.Path(path) for below, path in extras.items()}


def _fetched(directory: pathlib.Path) -> Manifest | None:
    """The manifest of a version that was fetched into this directory; None if it holds something else."""
    try:
        manifest = Manifest.model_validate_json((directory / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return manifest if SAVED_MODEL in manifest.files else None


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
