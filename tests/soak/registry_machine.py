"""A state machine: several users of one registry at once, interleaved, failed and killed between any two calls."""

import collections
import dataclasses
import itertools
import json
import pathlib
import tempfile
from collections.abc import Callable

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import components.export.publish as exporting
from components.core.artifacts.evaluation import Decision, write_decision
from components.core.registry import Registry
from components.core.storage import StorageError
from components.core.storage.backend import Backend
from components.core.storage.location import Location
from tests.soak.registry_watcher import HOME, MODELS, NAME, POINTER, STAGING, Watcher, files_of
from tests.soak.turnstile import Actor, Killed

USERS = ("ada", "bob", "cy")
# Taken modulo what there is to choose from: users that are idle or busy, versions.
PICK = st.integers(0, 11)


@dataclasses.dataclass
class Ground:
    """A store to play on.

    Attributes:
        look: gives the bytes of every object below a prefix, past any client, by the key below it.
        put: writes an object below a prefix, past any client.
    """

    location: Location
    backend: Backend
    look: Callable[[str], dict[str, bytes]]
    put: Callable[[str, bytes], None]


# What was done in all examples together, to be told at the end.
done: collections.Counter = collections.Counter()
_examples = itertools.count(1)


POINTS = [
    ("put", "champion.json"),
    ("put", "manifest.json"),
    ("put", ".json"),
    ("copy", "saved_model.pb"),
    ("copy", "manifest.json"),
    ("delete", ""),
]
somebody_idle = precondition(lambda machine: any(machine.idle(user) for user in USERS))
somebody_busy = precondition(lambda machine: not all(machine.idle(user) for user in USERS))


class RegistryMachine(RuleBasedStateMachine):
    """`ground` is set by a subclass."""

    ground: Ground

    @initialize(champions=st.integers(0, 3), others=st.integers(0, 1))
    def begin(self, champions: int, others: int) -> None:
        """Some versions are there, and some of them have been champion."""
        done["examples"] += 1
        self.scratch = tempfile.TemporaryDirectory(prefix="registry-soak-")
        self.directory = pathlib.Path(self.scratch.name)
        for model in MODELS:
            for name, data in files_of(model).items():
                (self.directory / model / name).parent.mkdir(parents=True, exist_ok=True)
                (self.directory / model / name).write_bytes(data)
        self.prefix = f"{self.ground.location.prefix}/{next(_examples)}".lstrip(
            "/" if self.ground.location.bucket else ""
        )
        self.location = dataclasses.replace(self.ground.location, prefix=self.prefix)
        self.actors = {user: Actor(self.location, self.ground.backend) for user in USERS}
        self.doing = {user: {} for user in USERS}
        self.watcher = Watcher(lambda: self.ground.look(self.prefix))
        self.runs = itertools.count(1)
        for number in range(champions + others):
            self.publish(0, MODELS[number % len(MODELS)], False)
            self.finish("ada")
            if number < champions:
                self.promote(0, number, "current", False)
                self.finish("ada")

    def idle(self, user: str) -> bool:
        return not self.actors[user].deed

    # -- What users do ----------------------------------------------------------------------------------------------

    @somebody_idle
    @rule(pick=PICK, model=st.sampled_from(MODELS), challenger=st.booleans())
    def publish(self, pick: int, model: str, challenger: bool) -> None:
        user = self.idle_one(pick)
        registry = self.registry(user)
        self.start(user, {"deed": "publish", "model": model}, lambda: registry.publish(
            NAME, self.directory / model, facts={"model_sha256": model}, challenger=challenger
        ))  # fmt: skip

    @somebody_idle
    @rule(pick=PICK, version=PICK, over=st.sampled_from(["whichever", "current", "stale"]), named=st.booleans())
    def promote(self, pick: int, version: int, over: str, named: bool) -> None:
        user, version = self.idle_one(pick), self.number(version)
        current = (self.watcher.state or {"version": 0})["version"]
        compared = {"whichever": None, "current": current, "stale": max(current - 1, 0)}[over]
        registry, doing = self.registry(user), {"deed": "promote", "over": compared, "named": named}
        self.start(user, doing, lambda: registry.promote(NAME, version, over=compared, named=named))

    @somebody_idle
    @rule(pick=PICK)
    def rollback(self, pick: int) -> None:
        user = self.idle_one(pick)
        registry = self.registry(user)
        self.start(user, {"deed": "rollback"}, lambda: registry.rollback(NAME))

    @somebody_idle
    @rule(pick=PICK, version=PICK, force=st.booleans())
    def delete(self, pick: int, version: int, force: bool) -> None:
        user, version = self.idle_one(pick), self.number(version)
        registry = self.registry(user)
        self.start(
            user,
            {"deed": "delete", "version": version, "force": force},
            lambda: registry.delete(NAME, version, force=force),
        )

    @somebody_idle
    @rule(pick=PICK)
    def clean(self, pick: int) -> None:
        """Takes every publisher for dead, also those that are at work."""
        user = self.idle_one(pick)
        registry = self.registry(user)
        self.start(user, {"deed": "clean"}, lambda: registry.sweep(NAME, older_than_s=-10))

    @somebody_idle
    @rule(pick=PICK, version=st.none() | PICK)
    def fetch(self, pick: int, version: int | None) -> None:
        user, version = self.idle_one(pick), None if version is None else self.number(version)
        registry, place = self.registry(user), self.directory / f"fetched-{next(self.runs)}"
        self.start(user, {"deed": "fetch", "place": place}, lambda: registry.fetch(NAME, version, place))

    @somebody_idle
    @rule(pick=PICK)
    def look(self, pick: int) -> None:
        user = self.idle_one(pick)
        registry = self.registry(user)
        self.start(user, {"deed": "list"}, lambda: registry.inventory(NAME))

    @somebody_idle
    @rule(pick=PICK, model=st.sampled_from(MODELS))
    def export(self, pick: int, model: str) -> None:
        """The pipeline's last step, after a gate that has compared with the champion of this moment."""
        user = self.idle_one(pick)
        over = (self.watcher.state or {"version": 0})["version"]
        place, registry = self.directory / f"run-{next(self.runs)}", self.registry(user)
        self.write_export(place, model, over)
        doing = {"deed": "export", "over": over, "model": model}
        self.start(user, doing, lambda: exporting.publish(registry, NAME, str(place), str(place)))

    # -- What happens to them ---------------------------------------------------------------------------------------

    @somebody_busy
    @rule(pick=PICK, calls=st.sampled_from([1, 2, 3, 5, 8, 13, 21]))
    def go_on(self, pick: int, calls: int) -> None:
        user = self.busy_one(pick)
        for _ in range(calls):
            if self.idle(user):
                return
            self.step(user)

    @somebody_busy
    @rule(pick=PICK, point=st.sampled_from(POINTS))
    def go_on_to(self, pick: int, point: tuple[str, str]) -> None:
        """Up to a call on which much depends: what others do just before it is what goes wrong."""
        user = self.busy_one(pick)
        self.step(user)
        while not self.idle(user) and not (
            self.actors[user].waiting.startswith(point[0]) and self.actors[user].waiting.endswith(point[1])
        ):
            self.step(user)

    @somebody_busy
    @rule(pick=PICK)
    def go_on_to_the_end(self, pick: int) -> None:
        self.finish(self.busy_one(pick))

    @somebody_busy
    @rule(pick=PICK, fault=st.sampled_from(["refused", "lost", "away", "gone"]))
    def fail(self, pick: int, fault: str) -> None:
        done[f"faults ({fault})"] += 1
        self.step(self.busy_one(pick), fault)

    @somebody_busy
    @rule(pick=PICK)
    def kill(self, pick: int) -> None:
        user = self.busy_one(pick)
        done["kills"] += 1
        done[f"killed at {self.doing[user]['deed']}"] += 1
        self.actors[user].kill()
        self.actors[user].deed = ""

    @rule(ahead=st.integers(0, 2))
    def somebody_else(self, ahead: int) -> None:
        """Puts a model by hand under the next number that servers see, as if there were no registry.

        It may have been given out: who looks at models/NAME sees nothing of .staging. All finish first: nothing tells a
        copy from a file that is put there between two of them.
        """
        for user in USERS:
            self.finish(user)
        seen = [int(key.split("/")[2]) for key in self.there() if key.startswith(HOME) and key != POINTER]
        number = max([0, *seen]) + 1 + ahead
        key = f"{HOME}{number}/saved_model.pb"
        if key not in self.watcher.foreign and len(self.watcher.foreign) < 2:
            self.ground.put(f"{self.prefix}/{key}", b"by hand")
            self.watcher.foreign[key] = b"by hand"
            done["put by hand"] += 1

    @precondition(lambda self: self.watcher.state and self.watcher.state["version"])
    @rule(certain=st.integers(0, 5))
    def damage(self, certain: int) -> None:
        """One champion.json that can't be read, now and then."""
        if certain == 0 and all(self.idle(user) for user in USERS):
            self.ground.put(f"{self.prefix}/{POINTER}", b"{")
            self.watcher.pointer, self.watcher.state = b"{", None
            done["champion.json damaged"] += 1

    # -- The machinery ----------------------------------------------------------------------------------------------

    def idle_one(self, pick: int) -> str:
        users = [user for user in USERS if self.idle(user)]
        return users[pick % len(users)]

    def busy_one(self, pick: int) -> str:
        users = [user for user in USERS if not self.idle(user)]
        return users[pick % len(users)]

    def number(self, pick: int) -> int:
        """One of the numbers that were given out, or the next."""
        return pick % (len([key for key in self.there() if key.startswith("models/.claims/")]) + 1) + 1

    def registry(self, user: str) -> Registry:
        registry = Registry(str(self.directory))
        registry.store = self.actors[user].store
        return registry

    def start(self, user: str, doing: dict, operation: Callable[[], object]) -> None:
        if not self.idle(user):
            return
        done[doing["deed"]] += 1
        self.doing[user] = doing
        self.actors[user].start(doing["deed"], operation)
        self.ended(user)
        # Without a champion.json that can be read, deleting is not kept apart from naming, and does not claim to be.
        while doing["deed"] == "delete" and self.watcher.state is None and not self.idle(user):
            self.step(user)

    def finish(self, user: str) -> None:
        while not self.idle(user):
            self.step(user)

    def step(self, user: str, fault: str = "") -> None:
        actor = self.actors[user]
        actor.step(fault)
        done["calls"] += 1
        if actor.changed:
            self.watcher.check(self.doing[user])
        self.ended(user)

    def ended(self, user: str) -> None:
        """Takes note of what an operation gave, once it has ended."""
        actor, doing = self.actors[user], self.doing[user]
        if not actor.ended or not actor.deed:
            return
        actor.deed, result = "", actor.result
        if isinstance(result, StorageError):
            assert "\n" not in str(result)
            done["refused or failed"] += 1
            return
        if isinstance(result, BaseException) and not isinstance(result, Killed):
            raise result
        if doing["deed"] == "publish":
            self.watcher.published(result.number, doing["model"])
        elif doing["deed"] == "export" and result.version:
            assert result.version in self.watcher.ever, f"export says that {result.version} was champion"
        elif doing["deed"] == "fetch":
            found = {path.relative_to(doing["place"]).as_posix(): path.read_bytes() for path in _files(doing["place"])}
            model = found["saved_model.pb"].rpartition(b" ")[2].decode()
            assert {name: found[name] for name in files_of(model)} == files_of(model)

    def there(self) -> dict[str, bytes]:
        return self.ground.look(self.prefix)

    def write_export(self, place: pathlib.Path, model: str, over: int) -> None:
        for name, data in files_of(model).items():
            (place / "saved_model" / "1" / name).parent.mkdir(parents=True, exist_ok=True)
            (place / "saved_model" / "1" / name).write_bytes(data)
        facts = {"model_sha256": model, "decision": {"run": place.name}, "formats": {}}
        (place / "manifest.json").write_text(json.dumps(facts))
        limits = {"min_accuracy": 0.0, "min_improvement": 0.0, "significance": 0.05}
        decision = Decision.model_construct(
            passed=True, reasons=[], accuracy=0.9, pictures=1, gate="beat_champion", model_name=NAME, registry="soak",
            champion=over, **limits,
        )  # fmt: skip
        write_decision(place, decision)

    def teardown(self) -> None:
        """Lets everybody finish, cleans up twice, and looks whether anything is lost or left over."""
        if not hasattr(self, "watcher"):
            return
        try:
            for user in USERS:
                self.finish(user)
            for _ in range(2):
                self.start("ada", {"deed": "clean"}, lambda: self.registry("ada").sweep(NAME, older_than_s=-10))
                self.finish("ada")
            self.require_order()
        finally:
            for actor in self.actors.values():
                if actor.deed and not actor.ended:
                    actor.kill()
            done["looks of the watcher"] += self.watcher.looks
            self.scratch.cleanup()

    def require_order(self) -> None:
        """What is there at rest: whole versions, where they belong, and nothing else."""
        there, watcher = self.there(), self.watcher
        watcher.require_kept(there)
        for key in there:
            number, _, name = key.removeprefix(HOME).partition("/")
            if key.startswith(HOME) and name and key not in watcher.foreign and watcher.state:
                assert watcher.whole(there, int(number)), f"{key} is left over"
                assert f"{HOME}{number}/manifest.json" in there, f"{key} is left over"
        if watcher.state:
            assert watcher.state["deleting"] == []
            if champion := watcher.state["version"]:
                assert f"{HOME}{champion}/manifest.json" in there, f"champion {champion} is not where servers look"
        for key in there:
            number, _, name = key.removeprefix(STAGING).partition("/")
            if key.startswith(STAGING) and name != "manifest.json":
                assert watcher.whole(there, int(number)), f"{key} is left over"
        registry = Registry(str(self.directory))
        registry.store = type(registry.store)(self.location, self.ground.backend, registry.store.limits)
        listed = {found.number for found in registry.versions(NAME)}
        assert set(watcher.alive) <= listed, f"{set(watcher.alive) - listed} are not listed"
        for number in sorted(watcher.alive)[-2:]:
            registry.fetch(NAME, number, self.directory / f"back-{number}")
        done["versions kept"] += len(watcher.alive)


def _files(directory: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in directory.rglob("*") if path.is_file()]
