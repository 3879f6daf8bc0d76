"""Users at work on one store, of whom one makes one call at a time, when it is told to: so that any order can be tried.

An Actor runs an operation in a thread of its own, on a store whose every call waits at a turnstile. The test lets calls
through one by one, makes them fail, or kills the actor where it stands, as a process dies between two requests.
"""

import threading
from collections.abc import Callable

from components.core.storage import Limits, Store, Unreachable
from components.core.storage.backend import Backend
from components.core.storage.errors import Transient
from components.core.storage.location import Location

CALLS = ("page", "stat", "get", "put", "put_large", "copy", "provable", "delete")
CHANGES = {"put", "put_large", "copy", "delete"}
# One call at a time, no pauses between tries.
LIMITS = Limits(deadline_s=60.0, workers=1, part_workers=1, first_pause_s=0.0)
PATIENCE_S = 60.0


class Killed(BaseException):
    """The end of an actor, wherever it is."""


class Actor:
    """One user.

    Attributes:
        deed: what it is doing, in words; empty: nothing.
        faults: of the calls to come; see `fail`.
        changed: whether the last call may have changed the store.
        waiting: the call that it is about to make, and its first arguments, in words.
        result: what its operation gave, or the exception that it raised.
    """

    def __init__(self, location: Location, backend: Backend):
        self.store = Store(location, _Gated(backend, self), LIMITS)
        self.deed, self.result = "", None
        self.dead = self.ended = self.changed = False
        self.fault = self.waiting = ""
        self.here, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def start(self, deed: str, operation: Callable[[], object]) -> None:
        """Begins an operation, up to its first call."""
        self.deed, self.result, self.dead, self.ended, self.fault = deed, None, False, False, ""

        def run() -> None:
            try:
                self.result = operation()
            except BaseException as error:
                self.result = error
            self.ended = True
            self.here.release()

        threading.Thread(target=run, daemon=True).start()
        self._wait()

    def step(self, fault: str = "") -> None:
        """Lets one call through, and waits until the next one is there to be made, or the operation has ended.

        Args:
            fault: `refused` or `lost`: the store asks for another try, before or after it has done what was asked;
                `away` or `gone`: it does not answer any more, before or after.
        """
        self.fault = fault
        self.go.release()
        self._wait()

    def kill(self) -> None:
        """Ends it where it stands: none of its calls has any effect from now on."""
        self.dead = True
        while not self.ended:
            self.step()

    def _wait(self) -> None:
        assert self.here.acquire(timeout=PATIENCE_S), f"{self.deed} neither ends nor asks for anything"

    def passed(self, name: str, call: Callable[[], object], arguments: tuple) -> object:
        """Makes a call of this actor when it is let through."""
        self.waiting = f"{name} {arguments[1] if name == 'copy' else arguments[0]}"
        self.here.release()
        self.go.acquire()
        fault, self.fault = self.fault, ""
        self.changed = False
        if self.dead:
            raise Killed
        if fault in ("refused", "away"):
            raise Transient("chosen") if fault == "refused" else Unreachable("the store is away")
        self.changed = name in CHANGES
        answer = call()
        if fault:
            raise Transient("chosen") if fault == "lost" else Unreachable("the store is gone")
        return answer


class _Gated:
    """A backend whose calls wait at the turnstile."""

    def __init__(self, backend: Backend, actor: Actor):
        self.backend, self.actor = backend, actor
        self.explain = backend.explain

    def __getattr__(self, name: str) -> Callable[..., object]:
        call = getattr(self.backend, name)
        assert name in CALLS, name
        return lambda *arguments: self.actor.passed(name, lambda: call(*arguments), arguments)
