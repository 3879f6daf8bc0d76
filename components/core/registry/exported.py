"""Which files of an export artifact are published, and under which names."""

import json
import pathlib
from typing import Any, NamedTuple

from components.core.artifacts.served_model import EXPORT_MANIFEST, EXTRAS, SAVED_MODEL
from components.core.files import sha256_of
from components.core.storage import StorageError
from components.core.storage.bundle import MANIFEST, Manifest, files_below


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
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and found[0] not in path.parents]
    extras = {path.relative_to(directory).as_posix(): path for path in files}
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
