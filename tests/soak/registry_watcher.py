"""Looks at a registry's bytes after every call that may change them, as TensorFlow Serving does, and more strictly."""

import hashlib
import json
from collections.abc import Callable

NAME = "digits"
HOME, STAGING = f"models/{NAME}/", f"models/.staging/{NAME}/"
POINTER = f"{HOME}champion.json"
MODELS = ("a", "b", "c")


def files_of(model: str) -> dict[str, bytes]:
    """The SavedModel of a model that is called so."""
    return {
        "saved_model.pb": b"graph of " + model.encode(),
        "variables/variables.index": b"index of " + model.encode(),
        "variables/variables.data-00000-of-00001": b"weights of " + model.encode() * 50,
    }


class Watcher:
    """What must hold at any moment, checked against `look`, which gives every object's bytes by its key.

    Attributes:
        ever: versions that were champion at some moment.
        alive: versions whose publication succeeded and that nobody was asked to delete: the model of each.
        off: models that were rolled back and not named since.
        damaged: versions of which somebody flipped a byte, or removed a file: the model of each, and what was done.
        deleted: versions that somebody began to delete.
        foreign: what somebody else put there.
        looks: how often it has looked.
    """

    def __init__(self, look: Callable[[], dict[str, bytes]]):
        self.look = look
        self.ever: set[int] = set()
        self.alive: dict[int, str] = {}
        self.off: set[str] = set()
        self.damaged: dict[int, tuple[str, str]] = {}
        self.foreign: dict[str, bytes] = {}
        self.pointer: bytes | None = None
        self.state: dict | None = {"version": 0, "history": [], "deleting": []}
        self.deleted: set[int] = set()
        self.doing: dict = {}
        self.looks = 0

    def check(self, doing: dict) -> None:
        """Looks.

        Args:
            doing: what the actor that made the last call is doing: `deed`, and `over` and `named` of a promotion.
        """
        self.looks += 1
        self.doing = doing
        if self.state is None and doing["deed"] == "delete":
            self._forget(doing["version"])
        there = self.look()
        if there.get(POINTER) != self.pointer:
            self._moved(there)
        for key, data in self.foreign.items():
            assert there.get(key) == data, f"{key}, which is not this registry's, was touched"
        for number, files in _versions(there, HOME).items():
            if any(f"{HOME}{number}/{name}" in self.foreign for name in files):
                continue
            assert number in self.ever, f"servers see version {number}, which was never champion: {sorted(files)}"
            if number in self.damaged:
                continue
            if "saved_model.pb" in files:
                self._require_one_model(files, f"what servers would load of version {number}")
            # What is being deleted counts for nobody who reads champion.json; its manifest goes last.
            if "manifest.json" in files and number not in self.deleted:
                self._require_whole(files, f"version {number}")
        self.require_kept(there)

    def require_kept(self, there: dict[str, bytes]) -> None:
        """The champion, those that a rollback can reach, and what was published, are all there and whole."""
        kept = set(self.alive)
        if self.state:
            kept |= ({self.state["version"]} | set(self.state["history"])) - {0}
        for number in kept - set(self.damaged):
            found = self.whole(there, number)
            assert found, f"version {number} is lost: {sorted(key for key in there if f'/{number}/' in key)}"
            assert found == self.alive.get(number, found), f"version {number} is {found}, not {self.alive[number]}"

    def whole(self, there: dict[str, bytes], number: int) -> str:
        """The model that a version is; empty: there is no whole one."""
        for top in (HOME, STAGING):
            files = _versions(there, top).get(number, {})
            if _listed(files):
                model = files.get("saved_model.pb", b"?").rpartition(b" ")[2].decode()
                if all(files.get(name) == data for name, data in files_of(model).items()):
                    return model
        return ""

    def model_of(self, there: dict[str, bytes], number: int) -> str:
        """The model that a version is, or was before it was damaged."""
        return self.damaged[number][0] if number in self.damaged else self.whole(there, number)

    def damage(self, number: int, what: str) -> None:
        """Takes note that a version is damaged from now on."""
        self.damaged[number] = self.alive.pop(number), what

    def _moved(self, there: dict[str, bytes]) -> None:
        """Whoever moved the pointer was allowed to."""
        before, self.pointer = self.state, there.get(POINTER)
        try:
            self.state = json.loads(self.pointer)
        except (TypeError, ValueError):
            raise AssertionError(f"{self.doing} left a champion.json that can't be read: {self.pointer}") from None
        version = self.state["version"]
        for number in set(self.state["deleting"]) - set(before["deleting"] if before else []):
            assert self.doing["deed"] in ("delete", "export"), f"{self.doing} deletes version {number}"
            assert number != self.state["version"], f"{self.doing} deletes the champion"
            forced = self.doing.get("force", False)
            assert forced or not before or number not in before["history"], f"{self.doing} deletes a past champion"
            self._forget(number)
        deed, named = self.doing["deed"], self.doing.get("named", False)
        if before is None:
            assert deed == "promote" and named and self.doing["over"] is None, f"{self.doing} replaced what is damaged"
        elif before["version"] == version:
            return
        model = self.model_of(there, version)
        assert model, f"version {version} became champion, and is not whole"
        assert version not in self.damaged, f"{self.doing} made a damaged one champion"
        assert version not in self.state["deleting"], f"version {version} became champion while it was deleted"
        if deed == "rollback":
            assert version in before["history"], f"rolled back to {version}, which is not in {before['history']}"
            self.off.add(self.model_of(there, before["version"]))
        else:
            assert deed in ("promote", "export"), f"{self.doing} moved the champion"
            over = self.doing["over"]
            assert over is None or before["version"] == over, f"{self.doing} won over {before['version']}"
            assert named or model not in self.off, f"{self.doing}: {model} was rolled back, and nobody named it"
            if named and before and version in before["history"]:
                since = [*before["history"][before["history"].index(version) + 1 :], before["version"]]
                self.off |= {self.model_of(there, number) for number in since if number not in self.damaged}
            self.off -= {model, ""}
        self.ever.add(version)

    def published(self, number: int, model: str) -> None:
        """Takes note of a publication that succeeded."""
        if number not in self.deleted | set(self.damaged):
            self.alive[number] = model

    def _forget(self, number: int) -> None:
        self.deleted.add(number)
        self.alive.pop(number, None)

    def _require_one_model(self, files: dict[str, bytes], what: str) -> None:
        model = files["saved_model.pb"].rpartition(b" ")[2].decode()
        for name, data in files_of(model).items():
            assert files.get(name) == data, f"{what}: {name} is {files.get(name)!r}, not {model}'s"

    def _require_whole(self, files: dict[str, bytes], what: str) -> None:
        listed = _listed(files)
        for name, file in listed.items():
            found = hashlib.sha256(files[name]).hexdigest() if name in files else "nothing"
            assert found == file["sha256"], f"{what}: {name} is not what its manifest says"


def _listed(files: dict[str, bytes]) -> dict[str, dict]:
    """The files that a version's manifest names; none: it has no manifest, or is retired."""
    return json.loads(files["manifest.json"])["files"] if "manifest.json" in files else {}


def _versions(there: dict[str, bytes], top: str) -> dict[int, dict[str, bytes]]:
    """The files of every version below `top`, by number and name."""
    found: dict[int, dict[str, bytes]] = {}
    for key, data in there.items():
        number, slash, name = key.removeprefix(top).partition("/")
        if key.startswith(top) and slash and number.isdecimal():
            found.setdefault(int(number), {})[name] = data
    return found
