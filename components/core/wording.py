"""Names and numbers as they appear in messages and reports."""

import re
import unicodedata

# No controls, whatever Python says: Persian, Hindi and emoji join letters with the first two, the rest are blanks.
LETTERS = "\u200c\u200d\u00a0\u202f\u3000"


def printable(name: str) -> str:
    """A file's name as text any encoding can hold: bytes that are no UTF-8 and control characters are escaped."""
    if name.isprintable():  # nearly all are, and this is 20 times as fast
        return name
    text = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() or c in LETTERS else c.encode("unicode_escape").decode("ascii") for c in text)


def isolated(text: str) -> str:
    """The text for a page, on which Hebrew or Arabic in it, or in part of a path, changes places with nothing else."""
    if text.isascii():
        return text
    parts = text.split("/")
    backwards = [any(unicodedata.bidirectional(c) in ("R", "AL") for c in part) for part in parts]
    return "/".join(f"\u2068{part}\u2069" if back else part for part, back in zip(parts, backwards, strict=True))


def listed(names: list[str], most: int = 5) -> str:
    """Names for one line, the first few of them."""
    shown = ", ".join(map(printable, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def names_in(text: str) -> list[str]:
    """The names in `a, b`, or in a list of a profile, which arrives as `["a", "b"]`."""
    return re.findall(r'[^\s,"\[\]]+', text)


def counted(number: int, what: str) -> str:
    """`1 picture`, `1,200 pictures`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def told_apart(value: float, other: float, form: str = ".4f") -> str:
    """`value` with the digits that it takes to tell it from `other`: 0.79996 is no 0.8000 if 0.8 is asked for.

    Args:
        form: how it is written if that tells the two apart.
    """
    digits, kind = int(form[1:-1]), form[-1]
    while value != other and digits < 15 and f"{value:.{digits}{kind}}" == f"{other:.{digits}{kind}}":
        digits += 1
    return f"{value:.{digits}{kind}}"


def percent(share: float, limit: float | None = None) -> str:
    """`20 %`, `0.5 %`; `20.03 %` if the limit is 20 %."""
    return f"{told_apart(100 * share, 100 * (share if limit is None else limit), '.3g')} %"


def sentence(text: str) -> str:
    """The same with a capital first letter, whatever follows it."""
    return text[:1].upper() + text[1:]
