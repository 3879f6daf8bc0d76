"""One finding."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Check:
    """`found` says what is, `fix` what to do if that is not right."""

    name: str
    state: Literal["ok", "warning", "failed", "skipped"]
    found: str
    fix: str = ""


def ok(name: str, found: str) -> Check:
    return Check(name, "ok", found)


def warning(name: str, found: str, fix: str) -> Check:
    """Not right for everybody, or not certain."""
    return Check(name, "warning", found, fix)


def failed(name: str, found: str, fix: str = "") -> Check:
    return Check(name, "failed", found, fix)


def skipped(name: str, why: str) -> Check:
    return Check(name, "skipped", why)
