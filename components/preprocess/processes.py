"""A pool of processes that works through a sequence in order, with few items in memory at a time."""

import collections
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Self, TypeVar

from components.core.errors import PipelineError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Processes:
    """Use as a context manager; with a `count` of 1 everything runs in this process.

    Processes are spawned, not forked: a fork of a process with threads (TensorFlow's, a web server's) may hang. They
    start at once, so that their 0.3 to 1 s of imports pass while this process still reads.
    """

    def __init__(self, count: int):
        self.count = count
        self.executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self.count > 1:
            context = multiprocessing.get_context("spawn")
            self.executor = ProcessPoolExecutor(self.count, mp_context=context, initializer=_start)
            for _ in range(self.count):
                self.executor.submit(os.getpid)
        return self

    def __exit__(self, *error: object) -> None:
        if self.executor:
            self.executor.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        """Yields function(item) in the items' order; at most three items a process are under way or waiting.

        Raises:
            PipelineError: a process died.
        """
        if self.executor is None:
            yield from map(function, items)
            return
        pending: collections.deque[Future[Result]] = collections.deque()
        try:
            for item in items:
                pending.append(self.executor.submit(function, item))
                if len(pending) >= 3 * self.count:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise PipelineError(
                f"expected {self.count} decoding processes to live, received the end of one, most likely killed for "
                "lack of memory; give this step more memory, or fewer CPUs"
            ) from None


def _start() -> None:
    """In a new process: leave Ctrl-C to the parent, and end when the parent does, also when it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None, "started by another process"
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
