"""Progress of long work: a bar on a terminal, a plain line now and then in a log."""

import os
import re
import shutil
import sys
import threading
import time
from typing import TextIO

# A line with this prefix is a bar for `make run-local` to redraw in place: the component's own standard output is
# then a pipe (or a container's log), and a carriage return would not survive it.
LIVE_PREFIX = "\x01"
LIVE_VARIABLE = "CONV2D_LIVE_PROGRESS"
LOG_INTERVAL_S = 10.0
REDRAW_INTERVAL_S = 0.2
BAR_WIDTH = 24


class Progress:
    """Counts the work that one or many threads do, and says how far it is, how fast it goes and how long it will take.

    A context manager: `with Progress("decode", total=60_000, unit="pictures") as progress: progress.advance(500)`.

    Args:
        label: what is being done, one word if possible.
        total: the whole amount in `unit`s; None if it is not known.
        unit: "B" prints sizes in powers of 1000; anything else prints plain counts.
        start: the amount that was there already, for instance of a resumed download; it does not count into the rate.
        log_every_s: between two lines in a log, if LOG_INTERVAL_S is too often.

    Attributes:
        interval_s: how often it shows something.
    """

    def __init__(self, label: str, total: int | None, unit: str, start: int = 0, log_every_s: float = 0.0):
        self.label, self.total, self.unit, self.done, self.start = label, total, unit, start, start
        self.began = self.last_shown = time.monotonic()
        self.live = os.environ.get(LIVE_VARIABLE) == "1"
        self.terminal = can_redraw(sys.stdout)
        self.interval_s = REDRAW_INTERVAL_S if self.live or self.terminal else log_every_s or LOG_INTERVAL_S
        self.note = ""
        self.lock = threading.Lock()

    def advance(self, amount: int, note: str = "") -> None:
        """Adds `amount` to what is done, negative if some was no good; `note` is appended to the line, for instance the
        running loss."""
        with self.lock:
            self.done += amount
            self.note = note
            now = time.monotonic()
            if now - self.last_shown >= self.interval_s:
                self.last_shown = now
                self._show()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *raised: object) -> None:
        if self.terminal and not self.live:
            print("\r\x1b[2K", end="", flush=True)
        elif self.live:
            print(LIVE_PREFIX, flush=True)

    def _show(self) -> None:
        seconds = time.monotonic() - self.began
        rate = (self.done - self.start) / seconds if seconds > 0 else 0.0
        parts = [f"{amount(self.done, self.unit)}", f"{amount(rate, self.unit)}/s"]
        bar = ""
        if self.total:
            share = min(self.done / self.total, 1.0)
            bar = "#" * round(share * BAR_WIDTH)
            bar = f"[{bar:.<{BAR_WIDTH}}] {share:4.0%}  "
            done = amount(self.done, "B") if self.unit == "B" else f"{self.done:,}"
            parts[0] = f"{done} of {amount(self.total, self.unit)}"
            if rate > 0:
                parts.append(f"{duration((self.total - self.done) / rate)} left")
        if self.note:
            parts.append(self.note)
        text = ", ".join(parts)
        if self.live:
            print(f"{LIVE_PREFIX}{self.label}  {bar}{text}", flush=True)
        elif self.terminal:
            print(f"\r\x1b[2K{fitted(f'{self.label}  {bar}{text}')}", end="", flush=True)
        else:
            print(f"{self.label}: {bar.partition('] ')[2].strip()}{', ' if bar else ''}{text}", flush=True)


def can_redraw(stream: TextIO) -> bool:
    """Whether a line can be drawn over: on a terminal, but for those of Emacs and of some CI servers (TERM=dumb)."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def fitted(line: str) -> str:
    """A line as it fits the terminal, without its bar if need be: one that wraps can't be redrawn in place."""
    columns = shutil.get_terminal_size(fallback=(0, 0)).columns
    if columns and len(line) >= columns:
        line = re.sub(r"\[[#.]+\] +", "", line, count=1)[: columns - 1]
    return line


def amount(value: float, unit: str) -> str:
    """A count for people: `12,300 pictures`, or for the unit "B" `12.3 MB`."""
    if unit != "B":
        return f"{value:,.0f} {unit}"
    for prefix in ("", "k", "M", "G"):
        if value < 1000:
            return f"{value:.0f} B" if not prefix else f"{value:.1f} {prefix}B"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float) -> str:
    """A time span for people: `8 s`, `2 min 5 s`, `3 h 10 min`."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
