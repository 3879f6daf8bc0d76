"""Many small tasks at once."""

import concurrent.futures
from collections.abc import Callable, Iterable


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
