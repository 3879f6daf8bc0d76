"""Several users of one registry, each an Actor, and what is there to look at once they have all finished."""

import collections
import dataclasses
import itertools
import json
import pathlib
import tempfile
from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize

from components.core.artifacts.evaluation import Decision, write_decision
from components.core.registry import Registry
from components.core.storage import StorageError
from components.core.storage.backend import Backend
from components.core.storage.location import Location
from tests.soak.registry_watcher import HOME, MODELS, NAME, STAGING, Watcher, files_of
from tests.soak.turnstile import Actor, Killed

USERS = ("ada", "bob", "cy")


@dataclasses.dataclass
class Ground:
    """A store to play on.

    Attributes:
        look: gives the bytes of every object below a prefix, past any client, by the key below it.
        put: writes an object below a prefix, past any client.
        remove: removes one.
    """

    location: Location
    backend: Backend
    look: Callable[[str], dict[str, bytes]]
    put: Callable[[str, bytes], None]
    remove: Callable[[str], object]


# What was done in all examples together, to be told at the end.
done: collections.Counter = collections.Counter()
_examples = itertools.count(1)


class Players(RuleBasedStateMachine):
    """`ground` is set by a subclass; the rules are in registry_machine.py."""

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
                assert watcher.model_of(there, int(number)), f"{key} is left over"
                assert f"{HOME}{number}/manifest.json" in there, f"{key} is left over"
        if watcher.state:
            assert watcher.state["deleting"] == []
            if (champion := watcher.state["version"]) and champion not in watcher.damaged:
                assert f"{HOME}{champion}/manifest.json" in there, f"champion {champion} is not where servers look"
        for key in there:
            number, _, name = key.removeprefix(STAGING).partition("/")
            if key.startswith(STAGING) and name != "manifest.json":
                assert watcher.model_of(there, int(number)), f"{key} is left over"
        registry = Registry(str(self.directory))
        registry.store = type(registry.store)(self.location, self.ground.backend, registry.store.limits)
        listed = {found.number for found in registry.versions(NAME)}
        assert set(watcher.alive) <= listed, f"{set(watcher.alive) - listed} are not listed"
        for number in sorted(watcher.alive)[-2:]:
            registry.fetch(NAME, number, self.directory / f"back-{number}")
        for number in set(watcher.damaged) - watcher.deleted:
            self.require_refused(registry, number)
        done["versions kept"] += len(watcher.alive)

    def require_refused(self, registry: Registry, number: int) -> None:
        """A damaged version is nobody's, whoever asks; `show` alone reads no bytes."""
        place = self.directory / f"damaged-{number}"
        with pytest.raises(StorageError):
            registry.fetch(NAME, number, place)
        assert not place.exists()
        if self.watcher.state and self.watcher.state["version"] != number:
            with pytest.raises(StorageError):
                registry.promote(NAME, number, named=True)
        if self.watcher.state and self.watcher.damaged[number][1] != "flipped":
            with pytest.raises(StorageError):
                registry.show(NAME, number)


def _files(directory: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in directory.rglob("*") if path.is_file()]
