"""A state machine: several users of one registry at once, interleaved, failed and killed between any two calls."""

import hypothesis.strategies as st
from hypothesis.stateful import precondition, rule

import components.export.publish as exporting
from tests.soak.registry_players import USERS, Players, done
from tests.soak.registry_watcher import HOME, MODELS, NAME, POINTER, STAGING

WEIGHTS = "variables/variables.data-00000-of-00001"

# Taken modulo what there is to choose from: users that are idle or busy, versions.
PICK = st.integers(0, 11)
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


nobody_busy = precondition(lambda machine: all(machine.idle(user) for user in USERS))


class RegistryMachine(Players):
    """What users do, and what happens to them and to what they have made."""

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

    @nobody_busy
    @precondition(lambda machine: machine.watcher.state and machine.watcher.state["version"])
    @rule(certain=st.integers(0, 5))
    def damage_the_pointer(self, certain: int) -> None:
        """One champion.json that can't be read, now and then."""
        if certain == 0:
            self.ground.put(f"{self.prefix}/{POINTER}", b"{")
            self.watcher.pointer, self.watcher.state = b"{", None
            self.watcher.off.clear()  # nobody else remembers
            done["champion.json damaged"] += 1

    @precondition(lambda machine: machine.watcher.alive and len(machine.watcher.damaged) < 2)
    @rule(pick=PICK, what=st.sampled_from(["flipped", "removed", "manifest"]))
    def damage_a_version(self, pick: int, what: str) -> None:
        """A byte of a file is another one, or a file is gone, or the manifest can't be read. All finish first: who has
        proven a version a moment ago can't know."""
        for user in USERS:
            self.finish(user)
        if not self.watcher.alive:
            return
        number = sorted(self.watcher.alive)[pick % len(self.watcher.alive)]
        there = self.there()
        places = [f"{top}{number}/" for top in (HOME, STAGING) if f"{top}{number}/{WEIGHTS}" in there]
        if len(places) != 1 or f"{places[0]}manifest.json" not in there:
            return
        file = f"{places[0]}{'manifest.json' if what == 'manifest' else WEIGHTS}"
        if what == "removed":
            self.ground.remove(f"{self.prefix}/{file}")
        else:
            self.ground.put(f"{self.prefix}/{file}", b"?" + there[file][1:])
        self.watcher.damage(number, what)
        done[f"versions damaged ({what})"] += 1
