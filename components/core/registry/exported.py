"""Which files of an export artifact are published, and under which names."""

import json
import pathlib
from typing import Any, NamedTuple

from components.core.registry import layout
from components.core.storage import StorageError

EXPORT_MANIFEST = "manifest.json"


class Exported(NamedTuple):
    """The arguments of Registry.publish."""

    saved_model: pathlib.Path
    extras: dict[str, pathlib.Path]
    facts: dict[str, Any]


def read_export(directory: str | pathlib.Path) -> Exported:
    """Finds what to publish in an export artifact, or in a bare SavedModel directory.

    Of an export, the SavedModel becomes the version, its other files (card, further formats, its own manifest) go to
    assets.extra/, and the facts of its manifest are kept with the version.

    Raises:
        StorageError: there is no SavedModel, or more than one.
    """
    directory = pathlib.Path(directory)
    if (directory / layout.SAVED_MODEL).is_file():
        return Exported(directory, {}, {})
    found = [path.parent for path in sorted(directory.glob(f"saved_model/*/{layout.SAVED_MODEL}"))]
    if len(found) != 1:
        raise StorageError(
            f"expected an export with one saved_model/VERSION/{layout.SAVED_MODEL} or a SavedModel directory, "
            f"received {len(found) or 'none'} in {directory}"
        )
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and found[0] not in path.parents]
    extras = {path.relative_to(directory).as_posix(): path for path in files}
    facts = {}
    if EXPORT_MANIFEST in extras:
        try:
            facts = json.loads(extras[EXPORT_MANIFEST].read_text(encoding="utf-8"))
        except ValueError as error:
            raise StorageError(f"expected JSON in {extras[EXPORT_MANIFEST]}, received {error}; export again") from None
        # The version's own manifest lists the files, by the paths they have there.
        facts = {name: value for name, value in facts.items() if name != "files"}
    return Exported(found[0], extras, facts)
