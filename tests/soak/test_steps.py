"""Each step killed at any moment and run again ends as if nothing had been; so it does after a fault of the store, and
beside another run of its own in one outputs folder.

A life: a step is started and killed up to three times, at moments drawn by chance, and then runs to its end. After each
kill its artifact is whole, or not there and refused by its consumer's reader. At the end all is what an undisturbed run
makes (outputs.py says what can't be compared), and nothing is left over, in the outputs folder or among checkpoints.

An ordinary run takes about half a minute of processor time, and leaves out evaluate, which writes as export does.
`make soak` goes on for as many lives as CONV2D_SOAK says, divided by SHARE, and others each time. What fails
says which life it was: CONV2D_SOAK_SEED of that number makes it the first. Leave the code alone meanwhile: its revision
is compared, too.
"""

import dataclasses
import os
import pathlib
import random
import shutil
import time
from collections.abc import Iterator

import pytest

from components.core.storage import open_store
from tests.components.preprocess.sources import archive, class_folders
from tests.servers.fixtures import Place, gcs_server, make_place, s3_server  # noqa: F401
from tests.soak.children import Child, Ended, Moment, run
from tests.soak.outputs import differences, made, require_whole
from tests.soak.steps import STEPS, Task

SOAK = int(os.environ.get("CONV2D_SOAK", "0"))
SEED = int(os.environ.get("CONV2D_SOAK_SEED", str(time.time_ns() % 10**9 if SOAK else 0)))
CASES = [
    *(("file", step) for step in STEPS),
    *((scheme, step) for step in ("download", "train") for scheme in ("gs", "s3")),
]
ORDINARY = {
    ("file", "download"): 4,
    ("file", "preprocess"): 2,
    ("file", "train"): 1,
    ("file", "export"): 1,
    ("gs", "download"): 3,
}
SHARE = {"download": 4, "preprocess": 8, "train": 40, "evaluate": 40, "export": 40}
FAULTS = ("status:503", "status:500", "status:403", "reset", "lose", "truncate", "corrupt", "corrupt-upload")
# Where a changed byte is one of an object's, and not of a listing, whose bytes nothing but TLS protects.
DATA = {"gs": {"corrupt": ("GET", "alt=media"), "corrupt-upload": ("POST", "/upload/")}}
DATA["s3"] = {"corrupt": ("GET", "/pictures.tar"), "corrupt-upload": ("PUT", "/checkpoint.npz")}
COLUMNS = "{:<20} {:>7} {:>7} {:>7} {:>7} {:>7}  {}"
_told: list[str] = []


class Ground:
    """The inputs of each step, made by undisturbed runs of those before it."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.inputs = folder / "inputs"
        self.source = folder / "photos"
        self.pictures = class_folders({"cat": 60, "dog": 60}, 8, 8)
        for name, data in self.pictures.items():
            (self.source / name).parent.mkdir(parents=True, exist_ok=True)
            (self.source / name).write_bytes(data)

    def before(self, step: str) -> None:
        """Makes what the step needs."""
        for earlier, artifact in (("download", "raw"), ("preprocess", "dataset"), ("train", "model"),
                                  ("evaluate", "evaluation")):  # fmt: skip
            if earlier == step:
                return
            if not (self.inputs / artifact).exists():
                ended = run(earlier, Task(str(self.inputs), str(self.inputs), str(self.source)))
                assert ended.code == 0, ended.said

    def objects(self, place: Place) -> str:
        """The pictures in a store: a folder of objects, or on S3 an archive."""
        store = open_store(place.uri)
        if place.scheme == "s3":
            packed = archive(self.folder / "pictures.tar", self.pictures)
            store.upload_file(packed, "pictures.tar", "the pictures")
            return f"{place.uri}/pictures.tar"
        for name, data in list(self.pictures.items())[::5]:
            store.write_bytes(f"photos/{name}", data)
        return f"{place.uri}/photos"


@dataclasses.dataclass
class Case:
    """A step with its inputs, and what came of it.

    Attributes:
        whole: what an undisturbed run makes.
        usual: how it ended.
        requests: those it sent to the store.
    """

    step: str
    place: Place
    task: Task
    scratch: pathlib.Path

    def __post_init__(self) -> None:
        self.kills = self.faults = self.lives = self.finished = self.number = 0
        self.usual = self.run(Moment())
        assert self.usual.code == 0, self.usual.said
        self.requests = list(self.place.proxy.requests) if self.place.proxy else []
        self.whole = made(pathlib.Path(self.task.outputs))
        self.board = self.usual.board
        self.fresh()

    def fresh(self) -> None:
        """An empty outputs folder for the next life."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.number += 1
        self.task = dataclasses.replace(self.task, outputs=str(self.scratch / str(self.number)))
        if self.place.proxy:
            self.place.proxy.requests.clear()
            self.place.proxy.faults.clear()

    def run(self, moment: Moment) -> Ended:
        return run(self.step, self.task, moment, self.place.proxy)

    def moment(self, chance: random.Random) -> Moment:
        """Of each kind as many: at a time, at a call that changes files, at a request."""
        kind = chance.choice(["seconds", "event", "request"] if self.requests else ["seconds", "event"])
        if kind == "seconds":
            return Moment(seconds=chance.uniform(0, self.usual.seconds))
        if kind == "event":
            return Moment(event=chance.randrange(self.usual.events))
        return Moment(request=chance.randrange(len(self.requests)))

    def live(self, chance: random.Random, steps: list[str]) -> None:
        """One life with kills."""
        for _ in range(chance.randint(1, 3)):
            moment = self.moment(chance)
            steps.append(f"killed at {moment}")
            ended = self.run(moment)
            assert ended.killed or ended.code == 0, ended.said
            self.kills += ended.killed
            self.finished += not ended.killed
            require_whole(self.step, pathlib.Path(self.task.outputs), self.whole)
        steps.append("run to its end")
        self.require_success(self.run(Moment()))

    def suffer(self, chance: random.Random, steps: list[str]) -> None:
        """One life with a fault of the store: the step goes on, or ends with one line and succeeds the next time."""
        deed = chance.choice(FAULTS)
        method, path = DATA[self.place.scheme].get(deed, ("", ""))
        meant = [line for line in self.requests if line.startswith(method) and path in line]
        if not meant:
            return
        fault = self.place.proxy.fail(deed, method=method, path=path)
        fault.skip = chance.randrange(len(meant))
        steps.append(f"{deed} at {method} {path} request {fault.skip}")
        ended = self.run(Moment())
        self.faults += fault.seen
        self.place.proxy.faults.clear()
        if ended.code:
            last = ended.said.strip().splitlines()[-1]
            assert ended.code == 1 and last.startswith("error: ") and "Traceback" not in ended.said, ended.said
            require_whole(self.step, pathlib.Path(self.task.outputs), self.whole)
            steps.append("run again")
            ended = self.run(Moment())
        self.require_success(ended)

    def meet(self, chance: random.Random, steps: list[str]) -> None:
        """Two runs at once in one outputs folder and with one place for checkpoints; one of them may be killed."""
        apart = self.usual.seconds * chance.random() ** 3
        dies = Moment(event=chance.randrange(self.usual.events)) if chance.random() < 0.5 else Moment()
        steps.append(f"two at once, {apart:.3f} s apart, the first killed at {dies}")
        first = Child(self.step, self.task, dies, self.place.proxy)
        time.sleep(apart)
        second = Child(self.step, self.task, Moment(), self.place.proxy)
        ends = first.end(), second.end()
        self.kills += ends[0].killed
        assert ends[0].killed or ends[0].code == 0, ends[0].said
        assert ends[1].code == 0, ends[1].said
        require_whole(self.step, pathlib.Path(self.task.outputs), self.whole)
        if not ends[0].killed:
            self.require_success(ends[1], alone=False)
            return
        steps.append("run once more, which clears up after the dead")
        self.require_success(self.run(Moment()))

    def require_success(self, ended: Ended, alone: bool = True) -> None:
        """Two runs at once share the event files' folder, which shows something of both."""
        assert ended.code == 0, ended.said
        found, whole = made(pathlib.Path(self.task.outputs)), self.whole
        different = differences(found | ended.board, whole | self.board) if alone else differences(found, whole)
        assert not different, f"not what an undisturbed run makes: {different}"
        if self.task.checkpoints:
            left = [stored.key for stored in open_store(self.task.checkpoints).list()]
            assert not left, f"left among the checkpoints: {left}"


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> Ground:
    return Ground(tmp_path_factory.mktemp("steps"))


@pytest.fixture(params=CASES if SOAK else ORDINARY, ids=lambda case: f"{case[1]}-{case[0]}")
def case(request, ground, tmp_path) -> Iterator[Case]:
    scheme, step = request.param
    for place in make_place(scheme, request):
        ground.before(step)
        source = str(ground.source)
        if step == "download" and scheme != "file":
            source = ground.objects(place)
            place.proxy.requests.clear()
        checkpoints = f"{place.uri}/checkpoints" if step == "train" else ""
        scratch = tmp_path / "lives"
        task = Task(str(ground.inputs), str(scratch / "whole"), source, checkpoints, place.environment)
        yield Case(step, place, task, scratch)


@pytest.mark.timeout(0 if SOAK else 300)
def test_nothing_is_lost(case, request, capsys):
    lives = max(SOAK // SHARE[case.step], 1) if SOAK else ORDINARY[request.node.callspec.params["case"]]
    ways = [case.live, case.suffer, case.suffer, case.meet] if case.place.proxy else [case.live, case.live, case.meet]
    began = time.monotonic()
    for number in range(lives):
        steps: list[str] = []
        try:
            ways[(SEED + number) % len(ways)](random.Random(SEED + number), steps)
        except AssertionError as lost:
            raise AssertionError(f"{case.step}: CONV2D_SOAK_SEED={SEED + number}: {'; '.join(steps)}: {lost}") from None
        case.lives += 1
        case.fresh()
    with capsys.disabled():
        if not _told:
            print("\n" + COLUMNS.format("step", "lives", "kills", "faults", "too late", "lost", "seconds"))
        _told.append(case.step)
        name = case.step if case.place.scheme == "file" else f"{case.step}, {case.place.scheme}"
        counts = case.lives, case.kills, case.faults, case.finished, 0
        print("\n" + COLUMNS.format(name, *counts, round(time.monotonic() - began)), end="")
