"""Another try if that can help: exponential pauses with full jitter, inside one deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from components.core.progress import duration
from components.core.storage.backend import Limits
from components.core.storage.errors import Transient, Unreachable, tell

Result = TypeVar("Result")
LONGEST_PAUSE_S = 20.0
# A pause this long is worth a line in the log: somebody may be wondering why nothing moves.
TOLD_PAUSE_S = 3.0


def _failure(state: tenacity.RetryCallState) -> Transient:
    failure = state.outcome and state.outcome.exception()
    assert isinstance(failure, Transient), "nothing else is tried again"
    return failure


def patiently(
    attempt: Callable[[], Result],
    explain: Callable[[Exception], Exception],
    what: str,
    limits: Limits,
    retried: Callable[[], None] = lambda: None,
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

    def once() -> Result:
        try:
            return attempt()
        except Exception as error:
            explained = explain(error)
            if explained is error:
                raise
            raise explained from None

    def before_pause(state: tenacity.RetryCallState) -> None:
        pause = state.upcoming_sleep
        if pause >= TOLD_PAUSE_S:
            tell(f"storage: {what}: {_failure(state)}; again in {duration(pause)}")
        retried()

    jitter = tenacity.wait_random_exponential(multiplier=limits.first_pause_s, max=LONGEST_PAUSE_S)
    began = time.monotonic()
    try:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Transient),
            wait=lambda state: max(jitter(state), _failure(state).wait_s),
            stop=tenacity.stop_before_delay(limits.deadline_s),
            before_sleep=before_pause,
        )(once)
    except tenacity.RetryError as gave_up:
        tries = gave_up.last_attempt.attempt_number
        reason = gave_up.last_attempt.exception()
        raise Unreachable(
            f"could not {what}: {reason}; gave up after {tries} {'try' if tries == 1 else 'tries'} in "
            f"{duration(time.monotonic() - began)}; check the network and the store, then run again"
        ) from None
