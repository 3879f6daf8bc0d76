"""A step's own lines in its log, few among the launcher's, Argo's and the KFP executor's, and why it ended by them."""

import json
import re
from typing import Any

from components.core.errors import ERROR_PREFIX
from components.core.progress import LIVE_PREFIX

KILLED = 137  # by SIGKILL, mostly for memory
KLOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+:\d+\] ")
ARGO = re.compile(r'time=("[^"]+"|\S+) level=\w+ msg=.* argo=true|Error: exit status \d+$')
EXECUTOR = re.compile(r"\[KFP Executor [^\]]*\]: ?(.*)")
# What follows a header over many lines of JSON: indented, or a brace. The last one closes it.
BODY = re.compile(r"\s|[{}\[\]],?$")
CLOSING = ("}", "]")
INPUT_HEADER = "Got executor_input:"
FATAL = re.compile(r"F\d{4} .*?\] (?:failed to execute component: |KFP driver: driver\.\w+\([^)]*\) failed: )?(.*)")
STATUS = re.compile(r"exit status (\d+)$|signal: killed$")
# How Python begins what it prints of a defect, and the line in it that names the exception.
TRACEBACK = "Traceback (most recent call last):"
EXCEPTION = re.compile(r"((\w+\.)+\w+|\w*(Error|Exception|Interrupt|Warning|Iteration|Exit|Group))(: |$)")


class StepLog:
    """Reads a step's log line by line, on this machine or a cluster, and keeps what is asked later.

    Attributes:
        last_error: the step's last `error:` line, without that word.
        last_line: its last line, or that which names the exception of a traceback.
        traced: whether it printed a traceback.
        launcher: why the launcher gave up, if that is more than the step's exit status.
        exit_status: the step's, as the launcher saw it; 0: it said nothing of one.
        uris: each artifact's URI by name, of what the step reads and writes.
    """

    def __init__(self) -> None:
        self.launcher, self.exit_status = "", 0
        self.uris: dict[str, str] = {}
        self.forget()
        self._body: list[str] | None = []  # a log that is read from its middle may begin inside a body
        self._is_input = False

    def forget(self) -> None:
        """What was said before counts no more: another step begins."""
        self.last_error = self.last_line = ""
        self.traced, self._body = False, None

    def own(self, line: str) -> str | None:
        """The line, if it is the step's own, as a terminal would show it; else None."""
        line = line.rstrip("\r\n").rpartition("\r")[2]
        if self._body is not None and BODY.match(line):
            self._body.append(line)
            if line in CLOSING:
                self._end_body()
            return None
        self._end_body()
        if executor := EXECUTOR.match(line):
            self._body, self._is_input = [], executor[1].startswith(INPUT_HEADER)
            return None
        if KLOG.match(line):
            self._of_launcher(line)
            return None
        if ARGO.match(line) or line.startswith(LIVE_PREFIX) or not line.strip():
            return None
        if line.startswith(ERROR_PREFIX):
            self.last_error = line.removeprefix(ERROR_PREFIX)
        if not self.traced or EXCEPTION.match(line):  # the rest of what an exception says tells less
            self.last_line = line
        self.traced |= line.startswith(TRACEBACK)
        return line

    def _of_launcher(self, line: str) -> None:
        self._body = ["{"] if line.endswith("{") else None
        self._is_input = False
        if status := STATUS.search(line):
            self.exit_status = int(status[1] or KILLED)
        elif fatal := FATAL.match(line):
            self.launcher = fatal[1]

    def _end_body(self) -> None:
        body, self._body = self._body, None
        if self._is_input and body:
            self._is_input = False
            self._keep_uris("\n".join(body))

    def _keep_uris(self, text: str) -> None:
        try:
            said: dict[str, Any] = json.loads(text)
            for side in ("inputs", "outputs"):
                for name, listed in said.get(side, {}).get("artifacts", {}).items():
                    for artifact in listed.get("artifacts", [])[:1]:
                        self.uris[name] = artifact.get("uri", "")
        except (ValueError, AttributeError):
            return  # another executor's words
