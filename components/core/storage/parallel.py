"""Many small tasks at once."""

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Result = TypeVar("Result")
# What is read ahead of who takes it; a larger read is made alone.
AHEAD_BYTES = 32 << 20


def in_order(
    reads: Iterable[tuple[int, Callable[[], Result]]], pool: concurrent.futures.Executor
) -> Iterator[concurrent.futures.Future[Result]]:
    """Makes reads in a pool's threads, and yields them in their order. No more than AHEAD_BYTES are held.

    Args:
        reads: each with the bytes that it gives.
    """
    ahead: collections.deque[tuple[int, concurrent.futures.Future[Result]]] = collections.deque()
    held = 0
    for size, read in reads:
        held += size
        while ahead and held > AHEAD_BYTES:
            oldest, future = ahead.popleft()
            yield future
            held -= oldest
        ahead.append((size, pool.submit(read)))
    for _, future in ahead:
        yield future


def run_all(tasks: Iterable[Callable[[], object]], workers: int) -> None:
    """Runs the tasks in threads, so many at once; the iterable is drawn from as they end.

    The first error ends it: nothing new begins, what runs is waited for, and that error is raised.
    """
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        # Keeps neither results nor queue growing with the number of objects.
        running: set[concurrent.futures.Future] = set()
        try:
            for task in tasks:
                running.add(pool.submit(task))
                if len(running) >= 2 * workers:
                    done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                    for future in done:
                        future.result()
            for future in concurrent.futures.as_completed(running):
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
