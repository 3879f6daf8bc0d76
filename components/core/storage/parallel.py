"""Many small tasks at once, within a limit on the bytes they hold."""

import concurrent.futures
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Task(NamedTuple):
    """Something to run, and the bytes it holds in memory while it runs."""

    bytes: int
    run: Callable[[], object]


class Window:
    """Bytes in memory at once. A task larger than all of it runs alone."""

    def __init__(self, size: int):
        self.size = self.free = size
        self.changed = threading.Condition()

    def take(self, amount: int) -> int:
        """Waits until `amount` (at most all) is free, takes it and returns it."""
        amount = min(amount, self.size)
        with self.changed:
            self.changed.wait_for(lambda: self.free >= amount)
            self.free -= amount
        return amount

    def give(self, amount: int) -> None:
        """Hands back what `take` returned."""
        with self.changed:
            self.free += amount
            self.changed.notify_all()


def run_all(tasks: Iterable[Task], workers: int, window_bytes: int) -> None:
    """Runs the tasks in threads, as many at once as workers and window allow; the iterable is drawn from as they end.

    The first error ends it: nothing new begins, what runs is waited for, and that error is raised.
    """
    window = Window(window_bytes)
    failed = threading.Event()
    futures: set[concurrent.futures.Future] = set()

    def run(task: Task, taken: int) -> None:
        try:
            if not failed.is_set():
                task.run()
        except BaseException:
            failed.set()
            raise
        finally:
            window.give(taken)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            for task in tasks:
                taken = window.take(task.bytes)
                if failed.is_set():
                    break
                futures.add(pool.submit(run, task, taken))
                # Keeps neither results nor queue growing with the number of objects.
                if len(futures) >= 4 * workers:
                    done, futures = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
                    _raise_first(done)
            done, futures = concurrent.futures.wait(futures)
            _raise_first(done)
        except BaseException:
            failed.set()
            for future in futures:
                future.cancel()
            raise


def _raise_first(done: set[concurrent.futures.Future]) -> None:
    for future in done:
        future.result()
