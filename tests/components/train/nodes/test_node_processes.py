"""Nodes as real processes that form one JAX cluster over loopback."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import types

import pytest

from components.core.errors import ERROR_PREFIX, PipelineError
from components.core.storage import StorageError, open_store
from components.train.device import NodeLostError
from components.train.nodes import launch, node
from components.train.nodes.job import LOST, Job

pytest.importorskip("jax")
SMALL = '["Flatten"]'


def describe(work: pathlib.Path, dataset: str, epochs: int, batch_size: int = 50, **rest) -> Job:
    settings = {"architecture": SMALL, "epochs": epochs, "batch_size": batch_size, "gpus": "0", "schedule": "linear"}
    return Job(settings=settings, dataset=dataset, work=str(work), watched=False, **rest)


def history(work: pathlib.Path) -> list[dict]:
    return json.loads((work / "result" / "model" / "training.json").read_text())["history"]


def last_error(errors: str) -> str:
    """The last line that is our own, as the step reads it: gRPC may still remark that another node is gone."""
    return [line for line in errors.splitlines() if line.startswith(ERROR_PREFIX)][-1]


def test_two_nodes_train_as_one_does_and_the_first_alone_writes(start, digits: str, tmp_path: pathlib.Path) -> None:
    """1,000 pictures to train and 297 to validate on, in batches of 301, 97 and 297: none divides by two."""
    one, two = tmp_path / "one", tmp_path / "two"
    (alone,) = start(describe(one, digits, epochs=3, batch_size=301), 1)
    said, errors = alone.communicate()
    assert alone.returncode == 0, errors
    nodes = start(describe(two, digits, epochs=3, batch_size=301), 2)
    talk = [together.communicate() for together in nodes]
    assert [together.returncode for together in nodes] == [0, 0], talk

    for single, both in zip(history(one), history(two), strict=True):
        assert both["loss"] == pytest.approx(single["loss"], rel=1e-4)
        assert both["accuracy"] == pytest.approx(single["accuracy"], abs=0.002)
        assert both["val_loss"] == pytest.approx(single["val_loss"], rel=1e-4)
        assert both["learning_rate"] == single["learning_rate"]
    assert history(two)[-1]["loss"] < history(two)[0]["loss"]

    (first, _), (second, _) = talk
    assert [line.split()[1] for line in first.splitlines() if line.startswith("epoch ")] == ["1/3", "2/3", "3/3"]
    assert "2 nodes, each " in first
    assert "epoch" not in second
    assert {path.name for path in (two / "result").iterdir()} == {"model", "tensorboard"}
    model = {path.name for path in (two / "result" / "model").iterdir()}
    assert model == {"learned.npy", "model.keras", "training.json"}
    assert len(list((two / "checkpoints").rglob("*.npz"))) == 1


def test_a_killed_node_ends_all_with_a_line_and_the_next_try_goes_on(
    start, digits: str, tmp_path: pathlib.Path
) -> None:
    from tests.components.train.nodes.conftest import kill

    job = describe(tmp_path, digits, epochs=12, batch_size=200, lost_after_s=10)
    first, second = start(job, 2)
    while not first.stdout.readline().startswith("epoch"):
        assert first.poll() is None, first.stderr.read()
    kill(second)
    _, errors = first.communicate(timeout=120)
    assert first.returncode == LOST
    assert "lost" in last_error(errors)
    assert not (tmp_path / "result").exists()

    first, second = start(job, 2)
    said, errors = first.communicate()
    assert (first.returncode, second.wait()) == (0, 0), errors
    assert "resumed from " in said
    assert [entry["epoch"] for entry in history(tmp_path)] == list(range(1, 13))


def test_a_result_that_is_lost_is_not_trained_again(start, digits: str, tmp_path: pathlib.Path) -> None:
    for _ in range(2):
        (node,) = start(describe(tmp_path, digits, epochs=2, batch_size=500), 1)
        said, errors = node.communicate()
        assert node.returncode == 0, errors
        shutil.rmtree(tmp_path / "result")
    assert "resumed from " in said and "\nepoch " not in said


@pytest.mark.parametrize(
    ("found", "code", "said"), [(b"", LOST, "different epochs, "), (b"?", 1, "a whole checkpoint")]
)
def test_nodes_that_find_another_checkpoint_do_not_train(start, digits: str, tmp_path: pathlib.Path, found, code, said):
    """A run of the same job has saved one, or removed it, while they looked; one that is damaged is a node's own error,
    and the other has lost that node."""
    job = describe(tmp_path, digits, epochs=1)
    start(job, 1)[0].communicate()
    [one] = (tmp_path / "checkpoints").rglob("*.npz")
    if found:
        another = tmp_path / "another" / one.parent.name / one.name
        another.parent.mkdir(parents=True)
        another.write_bytes(found)
    second = job.model_copy(update={"settings": job.settings | {"checkpoints": str(tmp_path / "another")}})
    ended = [(*node.communicate(timeout=120), node.wait()) for node in start(job, 2, second=second)]
    assert [node[2] for node in ended] == [LOST, code], ended
    assert said in last_error(ended[1][1])


@pytest.mark.parametrize("number", [0, 1])
def test_a_node_that_never_comes_is_told(start, digits: str, tmp_path: pathlib.Path, number: int) -> None:
    (lonely,) = start(describe(tmp_path, digits, epochs=1, patience_s=1), 2, numbers=(number,))
    _, errors = lonely.communicate(timeout=120)
    assert lonely.returncode == LOST
    assert "within 1 s" in last_error(errors)


def test_a_nodes_own_error_is_its_last_word_and_is_left_for_the_step(
    start, digits: str, tmp_path: pathlib.Path
) -> None:
    """A layer doesn't fit, which both find. One may be gone while the other still meets it: then that one lost it."""
    job = describe(tmp_path, digits, epochs=1)
    job.settings["architecture"] = '[{"Conv2D": {"filters": 8, "kernel_size": 9}}, "Flatten"]'
    said = "architecture: layer 1 (Conv2D) doesn't fit"
    codes = []
    for ended in start(job, 2):
        _, errors = ended.communicate(timeout=120)
        codes.append(ended.returncode)
        assert last_error(errors).startswith(f"error: {said}" if ended.returncode == 1 else "error: ")
    assert 1 in codes
    assert set(codes) <= {1, LOST}
    assert (tmp_path / "failed").read_text().partition(" failed: ")[2].startswith(said)


def test_outside_of_kubeflow_trainer_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in node.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(PipelineError, match="expected JAX_COORDINATOR_ADDRESS, .*is the runtime's mlPolicy jax"):
        node.find_rank()
    done = subprocess.run([sys.executable, "-m", "components.train.nodes.node", "{"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


class EndedError(BaseException):
    """Stands for the end of the process."""


def test_xla_is_told_to_be_deterministic_before_it_reads_its_flags(
    digits: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so once, when the nodes meet and tell each other of their devices."""
    flags = []

    def join(*_: object) -> None:
        flags.append(os.environ["XLA_FLAGS"])
        raise NodeLostError("no other node")

    def end(code: int) -> None:
        raise EndedError(code)

    monkeypatch.setattr(node, "join", join)
    monkeypatch.setattr(node.os, "_exit", end)
    for name, value in (("XLA_FLAGS", ""), ("JAX_PLATFORMS", "cpu")):
        monkeypatch.setenv(name, value)
    job = describe(tmp_path, digits, epochs=1)
    job.settings["deterministic"] = True
    with pytest.raises(EndedError):
        node.train_here(job, node.NodeRank("", 2, 0))
    assert flags == ["--xla_gpu_deterministic_ops=true"]


@pytest.mark.parametrize("kept", [False, True], ids=["", "under retention"])
def test_a_training_that_nobody_waits_for_ends(gcs, monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    """The clock is the test's; the step beats for an hour and then no more, and the store is away for a while."""
    away_s = 1200
    monkeypatch.setattr(gcs.server.state, "kept", {gcs.uri.split("/")[2]} if kept else set())
    job = Job(settings={}, dataset="", work=f"{gcs.uri}/model.work")
    clock, store, beats = [0.0], open_store(job.place("alive")), [""]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        if clock[0] <= 3600 and clock[0] % launch.BEAT_S == 0:
            beats.append(launch.beat(store, beats[-1]))

    def listed() -> list:
        if 3600 < clock[0] <= 3600 + away_s:
            raise StorageError("away")
        return list(store.list())

    def end(code: int) -> None:
        raise EndedError(code)

    monkeypatch.setattr(node, "open_store", lambda _: types.SimpleNamespace(list=listed))
    monkeypatch.setattr(node, "time", types.SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0]))
    monkeypatch.setattr(node.os, "_exit", end)
    with pytest.raises(EndedError):
        node.end_if_abandoned(job)
    assert len(list(store.list())) == (len(beats) - 1 if kept else 1)
    since = 3600 + away_s
    assert since + node.ABANDONED_S < clock[0] <= since + node.ABANDONED_S + 2 * node.LOOK_S
