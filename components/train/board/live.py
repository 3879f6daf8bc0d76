"""TensorBoard while it trains: event files go to a store as they grow, not only when the step has succeeded."""

import contextlib
import pathlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator

from components.core.files import files_below, unfinished
from components.core.storage.backend import Limits
from components.core.storage.errors import Denied, StorageError, tell
from components.core.storage.store import Store, open_store

INTERVAL_S = 30.0
# KFP stores the artifact anyway, and its store may be one that our code does not reach: no reason to wait with a GPU.
BRIEFLY = Limits(deadline_s=30.0)


@contextlib.contextmanager
def live_board(directory: str, given: str, artifact: str) -> Iterator[Callable[[], None]]:
    """Mirrors `directory` to a store while the block runs; yields what asks for an upload now.

    Trouble with a store is told and no more: event files never cost a model.

    Args:
        given: the URI that the user gave.
        artifact: else the URI of the step's own output, if that lies in a store. Our pods may not have the launcher's
            credentials for it; KFP uploads it once more when the step succeeds.

    Raises:
        StorageError: `given` can't be written to as the block begins.
    """
    uri = given or (artifact if "://" in artifact else "")
    if not uri:
        yield lambda: None
        return
    try:
        sync = DirectorySync(directory, uri, INTERVAL_S, None if given else BRIEFLY)
        _remove_earlier(sync.store)
    except StorageError as failure:
        if given:
            raise
        print(f"note: TensorBoard shows this run only when it has ended: {failure}", flush=True)
        yield lambda: None
        return
    if given:
        print(f"event files go to {sync.store.uri()} while it trains", flush=True)
    with sync:
        yield sync.soon


def _remove_earlier(store: Store) -> None:
    """Removes what an earlier try of this run left there: the history is written anew, and would be drawn twice."""
    earlier = [stored.key for stored in store.list()]
    try:
        store.delete_files(earlier)
    except Denied as refused:
        tell(f"note: TensorBoard draws what an earlier try of this run left once more: {refused}")


class DirectorySync:
    """Mirrors a growing directory to a store: each file is uploaded again whenever it has grown or changed.

    A thread does it every `every_s` seconds, and when asked by `soon`. Leaving the block uploads what is left, also
    after an error. A store that fails meanwhile is told in a line and tried again at the next turn. A kill loses at
    most the last interval.

    TensorBoard reads an event file as far as it goes, so a file is uploaded as long as it was when its turn came.
    """

    def __init__(self, directory: str | pathlib.Path, uri: str, every_s: float = 30.0, limits: Limits | None = None):
        self.directory, self.every_s = pathlib.Path(directory), every_s
        self.store = open_store(uri, limits)
        self.uploaded: dict[str, tuple[int, int]] = {}
        self.asked, self.ending = threading.Event(), False
        self.thread = threading.Thread(target=self._turns, name="directory-sync", daemon=True)

    def __enter__(self) -> "DirectorySync":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending = True
        self.asked.set()
        self.thread.join()
        try:
            self.once()
        except StorageError as failure:
            tell(f"storage: the last files of {self.directory} were not uploaded: {failure}")

    def soon(self) -> None:
        """Asks for a turn now; does not wait for it."""
        self.asked.set()

    def once(self) -> None:
        """Uploads what has changed since the last turn."""
        for key, path in files_below(self.directory).items():
            if not unfinished(path):
                self._upload_anew(path, key)

    def _turns(self) -> None:
        while not self.ending:
            self.asked.wait(self.every_s)
            self.asked.clear()
            if self.ending:
                return
            try:
                self.once()
            except StorageError as failure:
                tell(f"storage: {failure}; {self.directory} is uploaded at the next turn")

    def _upload_anew(self, path: pathlib.Path, key: str) -> None:
        """Uploads a file if it is another than the last time."""
        try:
            status = path.stat()
            if self.uploaded.get(key) == (status.st_size, status.st_mtime_ns):
                return
            if status.st_size <= self.store.limits.part:
                with path.open("rb") as file:
                    self.store.write_bytes(key, file.read(status.st_size))
            else:
                # Its parts must fit each other: uploaded from a copy that does not grow.
                with tempfile.NamedTemporaryFile() as still, path.open("rb") as file:
                    shutil.copyfileobj(file, still)
                    still.flush()
                    self.store.upload_file(still.name, key, path.name)
        except OSError as error:
            raise StorageError(f"can't read {path}: {error.strerror}; check the disk") from None
        self.uploaded[key] = (status.st_size, status.st_mtime_ns)
