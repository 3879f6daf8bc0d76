"""A directory that grows, kept alike in a store while work goes on: TensorBoard's event files."""

import pathlib
import shutil
import tempfile
import threading

from components.core.files import unfinished
from components.core.storage.backend import Limits
from components.core.storage.errors import StorageError, tell
from components.core.storage.store import open_store


class DirectorySync:
    """Uploads the files of `directory` to `uri`, each again whenever it has grown or changed.

        with DirectorySync("logs", "gs://bucket/runs/7", every_s=30) as sync:
            ...
            sync.soon()     # at the end of an epoch

    A thread does it every `every_s` seconds, and when asked by `soon`. Leaving the block uploads what is left, also
    after an error. A store that fails meanwhile is told in a line and tried again at the next turn; only at the end
    its failure is raised (unless another error is on its way already). A kill loses at most the last interval.

    TensorBoard reads an event file as far as it goes, so a file is uploaded as long as it was when its turn came.
    """

    def __init__(self, directory: str | pathlib.Path, uri: str, every_s: float = 30.0, limits: Limits | None = None):
        self.directory, self.every_s = pathlib.Path(directory), every_s
        self.store = open_store(uri, limits)
        self.uploaded: dict[str, tuple[int, int]] = {}
        self.lock = threading.Lock()
        self.wanted, self.ending = threading.Event(), False
        self.thread = threading.Thread(target=self._turns, name="directory-sync", daemon=True)

    def __enter__(self) -> "DirectorySync":
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.ending = True
        self.wanted.set()
        self.thread.join()
        try:
            self.once()
        except StorageError as failure:
            if error is None:
                raise
            tell(f"storage: the last files of {self.directory} were not uploaded: {failure}")

    def soon(self) -> None:
        """Asks for a turn now; does not wait for it."""
        self.wanted.set()

    def once(self) -> int:
        """Uploads what has changed since the last turn, and returns how many files that was."""
        with self.lock:
            changed = [path for path in sorted(self.directory.rglob("*")) if self._changed(path)]
            for path in changed:
                self._upload(path)
            return len(changed)

    def _turns(self) -> None:
        while not self.ending:
            self.wanted.wait(self.every_s)
            self.wanted.clear()
            if self.ending:
                return
            try:
                self.once()
            except StorageError as failure:
                tell(f"storage: {failure}; {self.directory} is uploaded at the next turn")

    def _changed(self, path: pathlib.Path) -> bool:
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        known = self.uploaded.get(self._key(path))
        return path.is_file() and not unfinished(path) and known != (status.st_size, status.st_mtime_ns)

    def _upload(self, path: pathlib.Path) -> None:
        try:
            status = path.stat()
            if status.st_size <= self.store.limits.part:
                with path.open("rb") as file:
                    self.store.write_bytes(self._key(path), file.read(status.st_size))
            else:
                # Its parts must fit each other: uploaded from a copy that does not grow.
                with tempfile.NamedTemporaryFile() as still, path.open("rb") as file:
                    shutil.copyfileobj(file, still)
                    still.flush()
                    self.store.upload_file(still.name, self._key(path), path.name)
        except OSError as error:
            raise StorageError(f"can't read {path}: {error.strerror}; check the disk") from None
        self.uploaded[self._key(path)] = (status.st_size, status.st_mtime_ns)

    def _key(self, path: pathlib.Path) -> str:
        return path.relative_to(self.directory).as_posix()
