"""Progress that many threads make."""

import threading

from components.core.progress import Progress


class Counter:
    """Counts bytes for a progress bar."""

    def __init__(self, progress: Progress):
        self.progress, self.lock = progress, threading.Lock()

    def add(self, count: int) -> None:
        """Adds `count` bytes, negative if some turned out to be no good."""
        with self.lock:
            self.progress.advance(count)
