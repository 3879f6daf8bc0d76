"""TensorBoard that reads on when its store was away.

Its own reading ends for good at the first error of a connection, and the page stays as it is: empty, if the store
started later, as after a cluster's restart.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.main import run_main


def again_next_time(read: Callable[..., Any]) -> Callable[..., None]:
    """The same, but an error is told, and is mended by the next round (--reload_interval)."""

    @functools.wraps(read)
    def told(*arguments: Any) -> None:
        try:
            read(*arguments)
        except Exception as error:
            print(f"not read this time: {type(error).__name__}: {' '.join(str(error).split())}", flush=True)

    return told


if __name__ == "__main__":
    for name in ("AddRunsFromDirectory", "Reload"):
        setattr(EventMultiplexer, name, again_next_time(getattr(EventMultiplexer, name)))
    sys.exit(run_main())
