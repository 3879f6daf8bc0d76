"""A process that has imported what steps need, and forks one process a step: TensorFlow and Keras take 4 seconds of a
core to import, once a run instead of once a step, while the first steps run on another core.

Each step still is a process of its own, with its own environment, folder, output, signals and exit status. It is as
fresh as one that imports everything itself: the warm process only imports, so that it has no thread that a fork could
lose and no state of TensorFlow; on a machine with a GPU, whose driver takes no fork, every step imports for itself.

`python -m pipeline.local.warm FD BACKEND` is that process; FD is a listening socket. A connection is a step: the client
sends its command, environment, folder and standard streams, and is told the step's process id, then its exit status.
"""

import contextlib
import gc
import importlib
import itertools
import json
import os
import pathlib
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from components.core.framework import load_keras
from components.core.revision import code_revision
from pipeline.keras_side.ask import PYTHON, python_process

# The path of the socket of a warm process that is there already, for many runs: the tests have one.
VARIABLE = "_CONV2D_WARM"
# What TensorBoard's event files are written by: 0.15 s.
EVENTS = "tensorboard.summary.writer.event_file_writer"
# What the steps load while they run, beside Keras: imported as soon as no step waits.
LOADED = {
    "train": ("components.train.run", "components.train.board.pictures", EVENTS),
    "evaluate": ("components.evaluate.run", "components.evaluate.report.board", "sklearn.metrics", EVENTS),
    "export": ("components.export.run",),
}
# How the variables begin that count when something is imported: a step for which they differ imports for itself.
COUNT_AT_IMPORT = ("PYTHON", "LC_", "LANG", "LD_", "TF_", "KERAS_", "JAX_", "XLA_", "CUDA_", "OMP_", "OPENBLAS_")
# How much TensorFlow logs: another level than the warm process's is no reason to import all of it again.
OF_NO_ACCOUNT = ("TF_CPP_MIN_LOG_LEVEL",)


class WarmProcess(contextlib.ExitStack):
    """The warm process of one run, from the side of the run. It starts with the first step and ends with the context.

    Args:
        steps: those that load TensorFlow. The others are done before it is there.
    """

    def __init__(self, steps: Iterable[str]):
        super().__init__()
        self.steps = frozenset(steps)
        self.place = os.environ.get(VARIABLE, "")
        self.shared = bool(self.place)
        self.process: subprocess.Popen | None = None
        self.running = 0  # the process id of the step that runs
        self.code = code_revision()  # which it imports

    def interrupt_step(self) -> None:
        """Interrupts the step that runs, if there is one, as Ctrl-C does."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.running, signal.SIGINT)

    def start(self, step: str, command: list[str], environment: Mapping[str, str], output: int) -> Callable[[], int]:
        """Starts a step's process: forked if that is possible, else a Python of its own.

        Args:
            command: what follows `python` on a command line: -m, a module, its arguments.
            output: a descriptor, for standard output and errors.

        Returns:
            What waits for its exit status, as subprocess gives it.
        """
        if not self._is_of_this_code():
            return self._waiting(python_process(command, environment, output))
        if not self.place and can_fork():
            self.place = str(pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()), "socket"))
            with contextlib.suppress(OSError):  # the path is longer than a socket's may be, 108 bytes
                self.process = self.enter_context(warm_process(self.place, environment))
        if (self.shared or step in self.steps) and (forked := fork(self.place, command, environment, output)):
            return self._waiting(forked)
        if self.process and step in self.steps and self._was_interrupted(self.process):
            return lambda: -signal.SIGINT
        return self._waiting(python_process(command, environment, output))

    def _waiting(self, started: "Forked | subprocess.Popen") -> Callable[[], int]:
        self.running = started.pid

        def wait() -> int:
            try:
                return started.wait()
            finally:
                self.running = 0

        return wait

    def _is_of_this_code(self) -> bool:
        """Whether the code is what it was at the beginning: a search lasts for hours, in which people go on working."""
        try:
            return code_revision() == self.code
        except OSError:  # a file that goes this moment
            return False

    @staticmethod
    def _was_interrupted(process: subprocess.Popen) -> bool:
        """Whether Ctrl-C has ended the warm process: it was meant for the step too."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=5) == -signal.SIGINT  # a busy machine takes seconds to clear its memory
        return False


def can_fork() -> bool:
    """Whether a process that has imported TensorFlow may fork here."""
    return sys.platform == "linux" and not any(pathlib.Path("/dev").glob("nvidia*"))


@contextlib.contextmanager
def warm_process(place: str, environment: Mapping[str, str], backend: str = "tensorflow") -> Iterator[subprocess.Popen]:
    """A warm process that listens at `place`, a path; it ends with the context, or with this process."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        command = [*PYTHON, "-m", "pipeline.local.warm", str(listening.fileno()), backend]
        quiet: Any = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, env=environment, pass_fds=[listening.fileno()], **quiet
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


class Forked:
    """A process that was forked from the warm one. `wait` gives its exit status as subprocess does."""

    def __init__(self, pid: int, lines: Any):
        self.pid, self.lines = pid, lines

    def wait(self) -> int:
        with self.lines:
            return int(self.lines.readline() or -signal.SIGKILL)


def fork(place: str, command: list[str], environment: Mapping[str, str], output: int) -> Forked | None:
    """Has the warm process at `place` run a command; waits until it has imported everything.

    Returns:
        None if it is not there any more, or has imported under another environment.
    """
    asked = {"command": command, "environment": dict(environment), "folder": str(pathlib.Path.cwd())}
    with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError, ValueError):
        connection.connect(place)
        socket.send_fds(connection, [b"\n"], [0, output, output])
        connection.sendall(json.dumps(asked).encode())
        connection.shutdown(socket.SHUT_WR)
        lines = connection.makefile()
        return Forked(int(lines.readline()), lines)
    return None


def main() -> None:
    """The warm process, and each step that is forked from it, which ends as any program does."""
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        command = _served(listening, sys.argv[2], dict(os.environ))
    sys.argv = command[1:]
    runpy.run_module(command[1], run_name="__main__", alter_sys=True)


def _served(listening: socket.socket, backend: str, before: dict[str, str]) -> list[str]:
    """Imports, and forks for whoever connects; returns only in a fork, with its command.

    Args:
        before: the environment before anything was imported.
    """
    interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a word
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for its children
    # Logging as KFP's executor sets it up, before TensorFlow, which would set it up another way.
    importlib.import_module("kfp.dsl.executor_main")._setup_logging()
    del sys.modules["kfp.dsl.executor_main"]  # each step runs it
    load_keras(backend)
    later = list(itertools.chain(*LOADED.values()))
    while True:
        ready = select.select([listening, sys.stdin], [], [], 0 if later else None)[0]
        if sys.stdin in ready:  # closed: nobody is left who could ask
            sys.exit()
        if not ready:
            importlib.import_module(later.pop(0))
            continue
        with listening.accept()[0] as connection:
            gc.freeze()  # the collector would touch, and so copy, all that a fork shares: 1 s for each that ends
            if os.fork() == 0:
                listening.close()
                return _step(connection, before, interrupt)


def _step(connection: socket.socket, before: dict[str, str], interrupt: Any) -> list[str]:
    """Becomes the process that waits for a step and tells how it ended; returns in the step, with its command."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile() as sent:
        asked = json.load(sent)
    if not _is_as_imported(asked["environment"], before):
        sys.exit()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it tells how the step ended then, too
        for stream in streams:
            os.close(stream)
        connection.sendall(f"{pid}\n".encode())
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError):  # nobody is left to be told
            connection.sendall(f"{status}\n".encode())
        os._exit(0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    signal.signal(signal.SIGINT, interrupt)
    os.chdir(asked["folder"])
    made = {name: value for name, value in os.environ.items() if name not in before}
    os.environ.clear()
    os.environ.update(made | asked["environment"])
    tempfile.tempdir = None  # the environment says where
    return asked["command"]


def _is_as_imported(environment: Mapping[str, str], before: Mapping[str, str]) -> bool:
    """Whether what was imported would have been the same under a step's environment."""
    names = {*environment, *before}.difference(OF_NO_ACCOUNT)
    counted = [name for name in names if name.startswith(COUNT_AT_IMPORT)]
    return all(environment.get(name) in (before.get(name), os.environ.get(name)) for name in counted)


if __name__ == "__main__":
    main()
