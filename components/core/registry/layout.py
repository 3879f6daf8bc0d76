"""Where things lie in the registry."""

import datetime
import re

from components.core.storage import StorageError, Store

TOP = "models"
SAVED_MODEL = "saved_model.pb"
# The directory that the SavedModel format leaves to its users; servers ignore it.
EXTRAS = "assets.extra"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def home(name: str) -> str:
    """The directory of a model: what servers are pointed at."""
    if not NAME.fullmatch(name):
        raise StorageError(f"expected a model name of letters, digits, '.', '_' and '-', received {name!r}")
    return f"{TOP}/{name}"


def place(name: str, number: int) -> str:
    """The directory of a version."""
    return f"{home(name)}/{number}"


def claims(name: str) -> str:
    """The directory of taken numbers."""
    return f"{TOP}/.claims/{name}"


def staging(name: str) -> str:
    """The directory of versions on their way."""
    return f"{TOP}/.staging/{name}"


def numbers(store: Store, name: str) -> list[int]:
    """The version directories of a model, whole or not, ascending."""
    return sorted(int(child) for child in store.directories(home(name)) if child.isdecimal())


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
