"""Where things lie in the registry."""

import datetime
import re

from components.core.storage import StorageError, Store
from components.core.storage.bundle import MANIFEST

TOP = "models"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NUMBER = re.compile(r"[1-9][0-9]{0,17}")


def home(name: str) -> str:
    """The directory of a model: what servers are pointed at."""
    if not NAME.fullmatch(name):
        raise StorageError(f"expected a model name of letters, digits, '.', '_' and '-', received {name!r}")
    return f"{TOP}/{name}"


def place(name: str, number: int) -> str:
    """The directory of a version that is, or was, the champion."""
    return f"{home(name)}/{number}"


def staging(name: str) -> str:
    """The directory of versions that have not been champion yet, or are on their way."""
    home(name)
    return f"{TOP}/.staging/{name}"


def staged_place(name: str, number: int) -> str:
    """The directory of a version that has not been champion yet."""
    return f"{staging(name)}/{number}"


def claims(name: str) -> str:
    """The directory of taken numbers."""
    home(name)
    return f"{TOP}/.claims/{name}"


def served_numbers(store: Store, name: str) -> list[int]:
    """The numbers where servers look, ascending: versions, whole or not."""
    return sorted(int(child) for child in store.directories(home(name)) if NUMBER.fullmatch(child))


def staged(store: Store, name: str) -> list[int]:
    """The numbers in staging that hold files, ascending. A manifest alone is what a retired number leaves."""
    top = f"{staging(name)}/"
    below = [stored.key[len(top) :].split("/", 1) for stored in store.list(staging(name))]
    found = {parts[0] for parts in below if len(parts) == 2 and parts[1] != MANIFEST}
    return sorted(int(number) for number in found if NUMBER.fullmatch(number))


def claimed(store: Store, name: str) -> dict[int, float]:
    """The numbers that this registry has given out, and when (Unix time)."""
    found = {stored.key.rpartition("/")[2]: stored.updated for stored in store.files(claims(name))}
    given_out = {file.removesuffix(".json"): updated for file, updated in found.items()}
    return {int(number): updated for number, updated in given_out.items() if NUMBER.fullmatch(number)}


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
