"""Nodes as their own command starts them, but for one thing: they are forked from a process that has imported JAX, and
so is the process in which each trains. test_real_nodes.py has two that start as they do on a cluster.
"""

import concurrent.futures
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from components.train.nodes import node
from pipeline.local.warm import fork
from tests.warm import READ_LATE, command, environment

PROGRAM = "from tests.components.train.nodes.forked import main; main()"


class Forked:
    """A node that has been forked, as the tests know those of subprocess.Popen.

    Args:
        place: of the warm process.
        arguments: what follows `python` on a node's command line.
        variables: its environment, beside this process's.
        output: a descriptor for what it prints, errors as well; without it they are read from `stdout` and `stderr`.
    """

    def __init__(self, place: str, arguments: list[str], variables: Mapping[str, str], output: int | None = None):
        late = {name: value for name, value in variables.items() if name in READ_LATE}
        given = {name: value for name, value in variables.items() if name not in READ_LATE}
        self.returncode: int | None = None
        self.stderr: Any = tempfile.NamedTemporaryFile("r+")  # noqa: SIM115
        reading, writing = os.pipe() if output is None else (os.open(os.devnull, os.O_RDONLY), os.dup(output))
        errors = self.stderr.name if output is None else ""
        forked = fork(place, command(PROGRAM, errors, *arguments[2:], **late), environment() | given, writing)
        os.close(writing)
        self.stdout = os.fdopen(reading)
        assert forked, "the warm process is there"
        self.pid = forked.pid
        self.ended = concurrent.futures.ThreadPoolExecutor(1).submit(forked.wait)

    def poll(self) -> int | None:
        return self.wait() if self.ended.done() else None

    def wait(self, timeout: float | None = None) -> int:
        self.returncode = self.ended.result(timeout)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        said = self.stdout.read()
        self.wait(timeout)
        return said, self.stderr.read()


class Child:
    """What a node knows of subprocess.Popen, by os.fork."""

    def __init__(self, command: list[str]):
        self.pid = os.fork()
        if not self.pid:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            sys.argv = command[2:]
            node.main()
            sys.exit()

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)


def main() -> None:
    """The node's own main function in a process that was forked."""
    os.setpgid(0, 0)
    if errors := sys.argv.pop(1):
        os.dup2(os.open(errors, os.O_WRONLY | os.O_APPEND), sys.stderr.fileno())
    sys.stdout.reconfigure(line_buffering=True)
    node.subprocess.Popen = Child
    node.main()
