"""Errors a person can act on, and how they reach that person: as one line."""

import contextlib
import re
import sys
from collections.abc import Iterator

from components.core.machine import lack
from components.core.wording import printable

# What the line of a known failure begins with; whoever follows a step looks for it.
ERROR_PREFIX = "error: "
# What reading JSON comes to that says otherwise than we write it.
ODD_JSON = (AttributeError, LookupError, TypeError, ValueError)

# What signs a URL or lets it in: X-Amz-Signature=, sig=, private_token= and their like.
SIGNED = r"([?&][^=&\s]*(?:sig|signature|token|key|secret|credential|password|pwd|auth)=)[^&#\s'\"]+"


class PipelineError(Exception):
    """A failure with a known cause. Its text is one line: what was expected, what was received, what to try."""


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the process with `error: ...` on standard error and exit code 1 if a PipelineError, or an error of
    the machine (machine.py), gets this far.

    Anything else is a defect of ours and keeps its traceback. Every component body and the command line run
    inside this, so that a log's last line says what to do.
    """
    try:
        yield
    except Exception as error:
        said = str(error) if isinstance(error, PipelineError) else lack(error)
        if said is None:
            raise
        sys.stdout.flush()
        print(f"{ERROR_PREFIX}{printable(' '.join(said.splitlines()))}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None


def one_line(said: object, longest: int | None = None) -> str:
    """An error or a text without colors, its blanks and line ends made one space each; of an error without words the
    class's name, of pydantic's the first thing that it found.

    Args:
        longest: characters after which it is cut.
    """
    if callable(errors := getattr(said, "errors", None)):
        first = errors(include_url=False)[0]
        said = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(said)).split())
    return (text or (type(said).__name__ if isinstance(said, BaseException) else ""))[:longest]


def shown(value: object, longest: int = 200) -> str:
    """A value that was received, as an error may repeat it: in quotes, cut, and without the secrets of a URL."""
    text = without_secrets(repr(value))
    return text if len(text) <= longest else f"{text[:longest]}..."


def without_secrets(text: str) -> str:
    """A text without what lets in whoever reads a URL in it: what stands before its @, and a signature or a token."""
    return re.sub(SIGNED, r"\1...", re.sub(r"//[^/\s]+@", "//", text), flags=re.IGNORECASE)


def nearest(word: str, known: list[str]) -> str:
    """`did you mean 'X'?` for the known word most like `word`, or the known ones if none is close.

    Upper and lower case count as the same, and initials as the word: lr is learning_rate. Of more than 30 known words
    the eight most alike are listed.
    """
    import difflib

    spelled = {name.lower(): name for name in known}
    for name in known:
        if "".join(part[:1] for part in name.split("_")) == word.lower():
            return f"did you mean {name!r}?"
    close = difflib.get_close_matches(word.lower(), list(spelled), n=1, cutoff=0.6)
    if close:
        return f"did you mean {spelled[close[0]]!r}?"
    if len(known) <= 30:
        return f"known: {', '.join(sorted(known))}"
    alike = difflib.get_close_matches(word.lower(), list(spelled), n=8, cutoff=0.0)
    return f"known: {', '.join(spelled[name] for name in alike)}, ..."
