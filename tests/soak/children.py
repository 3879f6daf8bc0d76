"""Steps in child processes that are killed at a chosen moment; forked from a process that has everything imported.

Moments:

    after S seconds     the parent kills it
    at event N          the child kills itself just before its Nth call that changes files (CHANGES): before event N is
                        also after event N-1, so between any two renames
    at request N        the parent kills it when the Nth request has reached the store's proxy, which holds it back
"""

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import signal
import sys
import time
from typing import Any

from tests.servers.proxy import Proxy
from tests.soak import outputs, steps

# Python's audit events that come before files change. `open` counts if it is for writing.
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "fcntl.flock"}
FORKS = multiprocessing.get_context("forkserver")
PATIENCE_S = 120.0


@dataclasses.dataclass(frozen=True)
class Moment:
    """When a child is to die; by default never."""

    seconds: float | None = None
    event: int | None = None
    request: int | None = None

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(self).items() if value is not None)


@dataclasses.dataclass
class Ended:
    """How a child ended.

    Attributes:
        code: its exit code; negative: the signal that ended it.
        seconds: how long the step took; 0 if it did not succeed.
        events: calls that changed files.
        board: what TensorBoard shows of it (outputs.py).
        said: what it printed.
    """

    code: int
    seconds: float
    events: int
    board: dict[str, str]
    said: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Child:
    """A step that has been started."""

    def __init__(self, step: str, task: steps.Task, moment: Moment = Moment(), proxy: Proxy | None = None):
        _require_warm_parent()
        self.moment, self.proxy = moment, proxy
        self.log = pathlib.Path(task.outputs).parent / f"{pathlib.Path(task.outputs).name}.{time.monotonic_ns()}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.told, telling = FORKS.Pipe(duplex=False)
        if moment.request is not None:
            proxy.held.clear()
            proxy.released.clear()
            self.fault = proxy.fail("hold")
            self.fault.skip = moment.request
        self.process = FORKS.Process(target=_live, args=(step, task, moment.event, str(self.log), telling))
        self.process.start()
        telling.close()

    def end(self) -> Ended:
        """Waits for its end, and kills it at its moment."""
        if self.moment.seconds is not None:
            self.told.recv()  # it has begun
            self.process.join(self.moment.seconds)
            self.process.kill()
        if self.moment.request is not None:
            while self.process.is_alive() and not self.proxy.held.wait(0.005):
                pass
            self.process.kill()
            self.proxy.released.set()
            self.proxy.faults.remove(self.fault)
        self.process.join(PATIENCE_S)
        if self.process.is_alive():
            self.process.kill()
            raise AssertionError(f"it did not end: {self.log.read_text()}")
        told: tuple = (0.0, 0, {})
        with contextlib.suppress(EOFError):
            while self.told.poll():
                told = self.told.recv()
        said = self.log.read_text(errors="replace")
        self.log.unlink()
        return Ended(self.process.exitcode, *told, said)


def run(step: str, task: steps.Task, moment: Moment = Moment(), proxy: Proxy | None = None) -> Ended:
    """Runs a step to its end, or to its moment."""
    return Child(step, task, moment, proxy).end()


def _require_warm_parent() -> None:
    """Has the process from which others are forked import what steps need; it starts with the first child."""
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    FORKS.set_forkserver_preload(["tests.soak.warm"])


def _live(step: str, task: steps.Task, last: int | None, log: str, telling: Any) -> None:
    """What the child does."""
    assert "tests.soak.warm" in sys.modules, "forked from a process that has not imported anything"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(task.environment)
    telling.send((0.0, 0, {}))
    began = time.monotonic()
    count = _count_events(last)
    from components.core.errors import one_line_errors

    with one_line_errors():
        steps.STEPS[step](task)
    ended = time.monotonic() - began, count[0]
    telling.send((*ended, outputs.board(pathlib.Path(task.outputs))))


def _count_events(last: int | None) -> list[int]:
    count = [0]

    def hook(event: str, arguments: tuple) -> None:
        if event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            if count[0] == last:
                os.kill(os.getpid(), signal.SIGKILL)
            count[0] += 1

    sys.addaudithook(hook)
    return count
