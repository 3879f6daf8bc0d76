"""A local run on the terminal: the steps' own lines, readable, and a bar that moves."""

import contextlib
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import TextIO

from components.core.artifacts.trial import TRIAL_ROW
from components.core.progress import LIVE_PREFIX, can_redraw, fitted
from components.core.wording import printable
from pipeline.step_log import StepLog

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_RULE = re.compile(r"-+$")  # kfp.local's, below a step
INDENT = "    "
WIDEST = 48  # characters of a column of a table


class StepOutput(StepLog, io.TextIOBase):
    """Stands in for standard output while steps run: passes their lines on, keeps a step's last line and last error.

    kfp.local prints what a step prints, with an indent, colours and lines of its own, in pieces; this puts the
    pieces together, leaves the noise out, and redraws a progress line (LIVE_PREFIX) in place on a terminal.
    """

    def __init__(self, target: TextIO):
        super().__init__()
        self.target = target
        self.terminal = can_redraw(target)
        self.pending = ""
        self.bar_shown = False
        self.title = ""

    def write(self, text: str) -> int:
        self.pending += text
        while "\n" in self.pending:
            line, self.pending = self.pending.split("\n", 1)
            self._line(line)
        return len(text)

    def flush(self) -> None:
        self.target.flush()

    def isatty(self) -> bool:
        return self.terminal

    def begin(self, title: str) -> None:
        """Prints a step's title; nothing that was said before counts as the step's."""
        self.title = title
        self.forget()
        self.say(title)

    def say(self, line: str) -> None:
        """Prints a line of our own, whatever is pending."""
        self._clear_bar()
        self.target.write(line + "\n")
        self.target.flush()

    def _line(self, line: str) -> None:
        plain = _ANSI.sub("", line).rstrip().removeprefix(INDENT)
        if plain.startswith(LIVE_PREFIX):
            self._clear_bar()
            bar = plain.removeprefix(LIVE_PREFIX)
            if bar and self.terminal:
                self.target.write(fitted(f"  {bar}"))
                self.target.flush()
                self.bar_shown = True
            return
        told_later = self.title == "choose" and plain.startswith(TRIAL_ROW)  # in columns, by the summary
        if not told_later and not _RULE.match(plain) and (own := self.own(plain)) is not None:
            self.say(f"  {own}")

    def _clear_bar(self) -> None:
        if self.bar_shown:
            self.target.write("\r\x1b[2K")
            self.bar_shown = False


def notes_aside(kept: bool) -> contextlib.AbstractContextManager:
    """What is told on the way goes to standard error, if the output may be `kept`: answers, or JSON for a program."""
    return contextlib.redirect_stdout(sys.stderr) if kept else contextlib.nullcontext()


def program() -> str:
    """This command line's name, as the user typed it."""
    return "conv2d" if os.path.basename(sys.argv[0]) == "conv2d" else "python -m pipeline"  # noqa: PTH119


def option(name: str, value: str = "") -> str:
    """An option as the caller types it: `--service-account x`, or to make `SERVICE_ACCOUNT=x`."""
    return f"{name.replace('-', '_').upper()}={value}" if by_make() else f"--{name} {value}".rstrip()


def help_command(command: str) -> str:
    """The command that prints the help of a command, given with its groups, as `python -m pipeline models show`."""
    if not by_make():
        return f"{command} --help"
    _, models, rest = command.partition(" models")  # the target that hands a command line on
    return f"make models ARGS='{f'{rest} --help'.strip()}'" if models else "make help"


def by_make() -> bool:
    """Whether make runs this command."""
    return program() != "conv2d" and "MAKELEVEL" in os.environ


def table(rows: Sequence[tuple[str, ...]], header: tuple[str, ...]) -> str:
    """Plain text columns. Cells longer than WIDEST overflow."""
    header, *rows = [tuple(map(printable, row)) for row in (header, *rows)]
    widths = [
        max(len(row[i]) for row in [header, *rows] if len(row[i]) <= WIDEST or row is header)
        for i in range(len(header))
    ]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]
    return "\n".join(lines)
