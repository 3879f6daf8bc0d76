"""Another try if that can help: exponential pauses with full jitter, inside one deadline."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from components.core.progress import duration
from components.core.storage.backend import Limits
from components.core.storage.errors import Transient, Unreachable, tell

Result = TypeVar("Result")
LONGEST_PAUSE_S = 20.0
# A pause this long is worth a line in the log: somebody may be wondering why nothing moves.
TOLD_PAUSE_S = 3.0


def patiently(
    attempt: Callable[[], Result],
    explain: Callable[[Exception], Exception],
    what: str,
    limits: Limits,
    retried: Callable[[], object] = lambda: None,
) -> Result:
    """Calls `attempt` until it succeeds, fails for good, or the deadline is over.

    Full jitter (a pause uniform in [0, first * 2^n] s) keeps 32 workers from coming back in step; a longer
    Retry-After of the server is obeyed. https://sre.google/sre-book/addressing-cascading-failures/

    Args:
        explain: makes of a client's exception one that this package knows; only Transient is tried again.
        what: the deed, for the message: `read gs://bucket/key`.
        retried: called before each further try. After a lost answer, what an earlier try did is not known.

    Raises:
        Unreachable: still failing at the deadline.
    """
    began, tries = time.monotonic(), 0
    while True:
        tries += 1
        try:
            return attempt()
        except Exception as error:
            failure = explain(error)
            if not isinstance(failure, Transient):
                if failure is error:
                    raise
                raise failure from None
            longest = min(limits.first_pause_s * 2 ** (tries - 1), LONGEST_PAUSE_S)
            pause = max(random.uniform(0, longest), failure.wait_s)  # noqa: S311
            waited = time.monotonic() - began
            if waited + pause >= limits.deadline_s:
                raise Unreachable(
                    f"could not {what}: {failure}; gave up after {tries} {'try' if tries == 1 else 'tries'} in "
                    f"{duration(waited)}; check the network and the store, then run again"
                ) from None
        if pause >= TOLD_PAUSE_S:
            tell(f"storage: {what}: {failure}; again in {duration(pause)}")
        retried()
        time.sleep(pause)
