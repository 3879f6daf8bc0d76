"""What a step left: a later run takes it from kfp's cache only while all of it is there.

kfp.local looks for an artifact's folder and not into it. Without the model that somebody removed from there, to save
room, each later run would fail in the next step, and CACHE=0 would help that one run alone.
"""

import contextlib
import json
import pathlib

from components.core.files import files_below, write_json

FILE = ".kept.json"
# Curves are for people: to train again for them would be too much.
FOR_PEOPLE = "tensorboard"


def note(directory: pathlib.Path) -> None:
    """Notes which files a step has left in its directory. A full disk costs the note alone."""
    with contextlib.suppress(OSError):
        write_json(directory / FILE, _sizes(directory))


def is_whole(directory: pathlib.Path) -> bool:
    """Whether all files are there that were noted, with their sizes; True if none were."""
    try:
        noted = json.loads((directory / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return noted.items() <= _sizes(directory).items()


def forget(cache: pathlib.Path, directory: pathlib.Path) -> None:
    """Removes what kfp's cache says of a step's directory."""
    said = json.dumps(f"{directory}/").strip('"')
    for entry in cache.rglob("*.json"):
        if said in entry.read_text(encoding="utf-8"):
            entry.unlink(missing_ok=True)


def _sizes(directory: pathlib.Path) -> dict[str, int]:
    files = files_below(directory).items()
    return {name: path.stat().st_size for name, path in files if name.split("/")[0] not in (FOR_PEOPLE, FILE)}
