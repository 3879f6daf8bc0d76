"""TensorBoard while it trains: event files go to the store as they grow, not only when the step has succeeded."""

import contextlib
from collections.abc import Callable, Iterator

from components.core.storage import StorageError
from components.train.board.directory_sync import DirectorySync

INTERVAL_S = 30.0


def nothing() -> None:
    """Asks for no upload, where there is none."""


@contextlib.contextmanager
def live_board(directory: str, wanted: str, artifact: str) -> Iterator[Callable[[], None]]:
    """Keeps `directory` alike in a store while the block runs; yields what asks for an upload now.

    Args:
        wanted: the URI the user gave; what can't be uploaded there fails the step at its end.
        artifact: else the URI of the step's own output, where that lies in a store. KFP uploads it once more when the
            step succeeds, so trouble here is told and no more: our pods may not have the launcher's credentials.
    """
    uri = wanted or (artifact if "://" in artifact else "")
    if not uri:
        yield nothing
        return
    if wanted:
        with DirectorySync(directory, uri, INTERVAL_S) as sync:
            _clear(sync)
            print(f"event files go to {sync.store.uri()} while it trains", flush=True)
            yield sync.soon
        return
    try:
        sync = DirectorySync(directory, uri, INTERVAL_S)
        _clear(sync)
    except StorageError as failure:
        print(f"note: TensorBoard shows this run only when it has ended: {failure}", flush=True)
        yield nothing
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(sync)
        try:
            yield sync.soon
        finally:
            with contextlib.suppress(StorageError):
                stack.close()


def _clear(sync: DirectorySync) -> None:
    """Removes what an earlier try of this run left there: the history is written anew, and would be drawn twice."""
    sync.store.delete_files([stored.key for stored in sync.store.list()])
