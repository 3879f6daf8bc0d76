"""One finding."""

import dataclasses
import functools
from typing import Literal

State = Literal["ok", "warning", "failed", "skipped"]


@dataclasses.dataclass(frozen=True)
class Check:
    """`found` says what is, `fix` what to do if that is not right; the name is given by examine.py."""

    name: str = dataclasses.field(default="", kw_only=True)
    state: State
    found: str
    fix: str = ""


ok = functools.partial(Check, "ok")
warning = functools.partial(Check, "warning")  # not right for everybody, or not certain
failed = functools.partial(Check, "failed")
skipped = functools.partial(Check, "skipped")
