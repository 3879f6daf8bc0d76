"""What a training starts from, as text: a version of the registry by name, the same pinned, or a place.

digits@champion, digits@3                a version of the registry that publish_uri names
gs://bucket/models/digits/3#SHA256       the same once it was looked up: another text if it is another model
gs://bucket/runs/7/train/model, x.keras  anything else: a directory that holds model.keras, or a file
"""

import re
from typing import NamedTuple

CHAMPION = "champion"
NAMED = re.compile(r"(?P<name>[^/@]+)@(?P<version>\d+|champion)")
PINNED = re.compile(r"(?P<registry>.+)/models/(?P<name>[^/@#]+)/(?P<version>\d+)#(?P<sha256>[0-9a-f]{64})")
# Endings of the files that hold trained weights.
WHOLE_MODEL, WEIGHTS = ".keras", ".weights.h5"


class Pinned(NamedTuple):
    """A version of a registry, and the SHA-256 of its model.keras."""

    registry: str
    name: str
    version: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.registry.rstrip('/')}/models/{self.name}/{self.version}#{self.sha256}"


def named_version(text: str) -> tuple[str, int | None] | None:
    """Name and number of `digits@3`; the number is None for the champion. None: it names no version.

    Numbers begin at 1: of any other the registry says that it has none, and which it has.
    """
    found = NAMED.fullmatch(text)
    return found and (found["name"], None if found["version"] == CHAMPION else int(found["version"]))


def read_pinned(text: str) -> Pinned | None:
    """What `str(Pinned)` wrote; None: the text is something else."""
    found = PINNED.fullmatch(text)
    return found and Pinned(found["registry"], found["name"], int(found["version"]), found["sha256"])


def is_pinned(start_from: str, start_sha256: str, start_version: str) -> bool:
    """Whether the texts say which model it is, and another one behind the same place would be noticed."""
    return not start_from or bool(start_version) or (bool(start_sha256) and not named_version(start_from))
