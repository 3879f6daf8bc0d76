"""Why a step ended, by what it printed: the same on this machine and for a run that is followed on a cluster."""

import re

from components.core.errors import ERROR_PREFIX

# How Python begins what it prints of a defect, and the line in it that names the exception.
TRACEBACK = "Traceback (most recent call last):"
EXCEPTION = re.compile(r"((\w+\.)+\w+|\w*(Error|Exception|Interrupt|Warning|Iteration|Exit|Group))(: |$)")


class LastWords:
    """Hears a step's own lines.

    Attributes:
        last_error: the step's last `error:` line, without that word.
        last_line: its last line, or that which names the exception of a traceback.
        traced: whether it printed a traceback.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """What was said before counts no more: another step begins."""
        self.last_error = self.last_line = ""
        self.traced = False

    def hear(self, line: str) -> None:
        """Takes the next line."""
        if line.startswith(ERROR_PREFIX):
            self.last_error = line.removeprefix(ERROR_PREFIX)
        if not self.traced or EXCEPTION.match(line):  # the rest of what an exception says tells less
            self.last_line = line
        self.traced |= line.startswith(TRACEBACK)
