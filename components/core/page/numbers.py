"""Numbers as people read them, and the promise that they are numbers."""

import dataclasses
import math
from typing import Any

import numpy as np

from components.core.errors import PipelineError
from components.core.wording import told_apart

NO_BREAK_SPACE = "\u00a0"


def page_percent(share: float, digits: int = 1, limit: float | None = None) -> str:
    """0.6187 as `61.9 %`, and as `61.87 %` beside a limit of 0.619. What is not quite all or nothing never reads as
    `100.0 %` or `0.0 %`."""
    text = told_apart(100 * share, 100 * (share if limit is None else limit), f".{digits}f")
    if share < 1 and float(text) >= 100:
        text = f"> {100 - 10**-digits:.{digits}f}"
    elif share > 0 and float(text) <= 0:
        text = f"< {10**-digits:.{digits}f}"
    return f"{text} %".replace(" ", NO_BREAK_SPACE)


def points(difference: float, digits: int = 1) -> str:
    """A difference of two shares in percentage points, with its sign: 0.0123 as `+1.2 points`."""
    rounded = round(100 * difference, digits)
    sign = "+" if rounded > 0 else "\u2212" if rounded < 0 else ""
    return f"{sign}{abs(rounded):.{digits}f} points".replace(" ", NO_BREAK_SPACE)


def unbroken(sentence: str) -> str:
    """The sentence with each percent sign kept on the line of its number."""
    return sentence.replace(" %", NO_BREAK_SPACE + "%")


def count(number: int) -> str:
    """12345 as `12,345`."""
    return f"{number:,}"


def plain(value: str | int | float) -> str:
    """A fact of any plain type: 1147466 as `1,147,466`, 0.001 as `0.001`, text as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def require_finite(value: Any, name: str) -> None:
    """Raises PipelineError naming the first NaN or infinity anywhere inside `value`.

    Looks into dataclasses, mappings, sequences and arrays.
    """
    if isinstance(value, float | np.floating):
        if not math.isfinite(value):
            raise PipelineError(
                f"expected finite numbers on the page, received {value} for {name}; nothing was written"
            )
    elif isinstance(value, np.ndarray):
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            require_finite(float(value[~np.isfinite(value)][0]), name)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            require_finite(getattr(value, field.name), f"{name}.{field.name}")
    elif isinstance(value, dict):
        for key, item in value.items():
            require_finite(item, f"{name}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            require_finite(item, f"{name}[{index}]")
