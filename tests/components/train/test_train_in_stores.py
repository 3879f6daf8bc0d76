"""Checkpoints and event files in object stores: real servers, and training that is cut off and started again."""

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace as Artifact

import numpy as np
import pytest

from components.core.artifacts.checkpoints import checkpoint_place, remove_checkpoints
from components.core.artifacts.model import load_model, model_file, read_training
from components.core.errors import PipelineError
from components.core.storage import Limits, open_store
from components.train import component
from components.train.board.live import live_board
from components.train.callbacks import SaveCheckpoint
from components.train.network.augment import make_augmentation
from components.train.run import train
from components.train.settings import TrainSettings
from components.train.stored_checkpoint import StoredCheckpoint, open_checkpoint, run_key

IDENTITY = {"seed": 1, "dataset_fingerprint": "abc"}


def settings(**more) -> TrainSettings:
    return TrainSettings.checked(architecture='["Flatten"]', batch_size=500, verbose="2", **more)


def test_a_run_has_one_key_and_no_other_run_has_it():
    assert run_key(IDENTITY) == run_key(dict(reversed(IDENTITY.items())))
    assert run_key(IDENTITY) != run_key(IDENTITY | {"seed": 2})


def test_each_run_has_a_place_of_its_own_if_there_is_one_at_all():
    assert checkpoint_place("", run_key(IDENTITY)) == ""
    assert checkpoint_place("gs://b/c/", run_key(IDENTITY)) == f"gs://b/c/{run_key(IDENTITY)}"


def test_a_checkpoint_in_a_store_outlives_the_machine(bucket, tmp_path):
    for scratch in ("one", "two"):
        (tmp_path / scratch).mkdir()
    weights = {"model/0000": np.arange(6, dtype=np.float32)}
    open_checkpoint(f"{bucket.uri}/run", IDENTITY, tmp_path / "one").save(weights, {"history": [{"epoch": 1}]})
    elsewhere = open_checkpoint(f"{bucket.uri}/run", IDENTITY, tmp_path / "two")
    arrays, state = elsewhere.load()
    assert np.array_equal(arrays["model/0000"], weights["model/0000"])
    assert state == {"history": [{"epoch": 1}]}
    elsewhere.delete()
    assert list(open_store(f"{bucket.uri}/run").list()) == []
    assert list((tmp_path / "two").iterdir()) == []


def test_a_checkpoint_of_another_run_is_refused_by_name(gcs, tmp_path):
    StoredCheckpoint(f"{gcs.uri}/run", IDENTITY, tmp_path).save({}, {"history": [{}]})
    with pytest.raises(PipelineError, match="run, received one with seed 1 where this run has 2"):
        StoredCheckpoint(f"{gcs.uri}/run", IDENTITY | {"seed": 2}, tmp_path).load()


class CutOffError(Exception):
    """Stands for the end of the pod."""


def test_training_goes_on_from_the_store_and_leaves_nothing_there(bucket, unjudged_digits, tmp_path, capsys):
    chosen = settings(epochs=3, checkpoints=f"{bucket.uri}/checkpoints")
    on_epoch_end = SaveCheckpoint.on_epoch_end

    def cut_off(self, epoch, logs=None):
        on_epoch_end(self, epoch, logs)
        self.close()
        if epoch == 1:
            raise CutOffError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(CutOffError):
        patch.setattr("components.train.callbacks.EVERY_S", 0)
        patch.setattr(SaveCheckpoint, "on_epoch_end", cut_off)
        train(chosen, unjudged_digits, str(tmp_path / "model"), str(tmp_path / "board"))
    assert not (tmp_path / "model").exists()
    train(chosen, unjudged_digits, str(tmp_path / "again" / "model"), str(tmp_path / "again" / "board"))
    assert re.search(rf"resumed from {bucket.uri}/checkpoints/\w+ after epoch 2", capsys.readouterr().out)
    history = json.loads((tmp_path / "again" / "model" / "training.json").read_text())["history"]
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert list(open_store(f"{bucket.uri}/checkpoints").list()) == []


@pytest.mark.parametrize("ending", [{"epochs": 3}, {"early_stopping_patience": 1, "learning_rate": 1e-12}], ids=str)
def test_a_model_that_is_lost_before_kfp_has_it_is_not_trained_again(gcs, digits, tmp_path, capsys, ending):
    """Its pod vanished while KFP's launcher uploaded it, minutes after the last checkpoint by time."""
    chosen = settings(**ending, checkpoints=f"{gcs.uri}/checkpoints")
    places = digits, str(tmp_path / "model"), str(tmp_path / "board")
    train(chosen, *places, keep_checkpoint=True)
    lost = load_model(model_file(places[1])).get_weights(), read_training(places[1])
    shutil.rmtree(places[1])
    capsys.readouterr()
    train(chosen, *places, keep_checkpoint=True)
    assert not re.search("^epoch ", capsys.readouterr().out, re.MULTILINE)
    assert all(map(np.array_equal, lost[0], load_model(model_file(places[1])).get_weights()))
    assert read_training(places[1]) == lost[1]
    store = open_store(chosen.checkpoints)
    assert len(list(store.list())) == 2
    remove_checkpoints(lost[1])
    assert list(store.list()) == []


@pytest.mark.parametrize(("scheme", "trial", "left"), [("gs://b/", "", 1), ("gs://b/", "seed=1", 1), ("", "seed=1", 0)])
def test_the_step_leaves_its_checkpoint_if_its_model_goes_to_a_store(gcs, digits, tmp_path, scheme, trial, left):
    paths = {name: str(tmp_path / name) for name in ("model", "tensorboard", "metrics")}
    made = {name: Artifact(path=path, uri=path, log_metric=print) for name, path in paths.items()}
    made["model"].uri = f"{scheme}{paths['model']}"
    chosen = settings(epochs=1, checkpoints=f"{gcs.uri}/checkpoints").model_dump()
    component.train.python_func(dataset=Artifact(path=digits), trial=trial, **made, **chosen)
    assert len([each for each in open_store(chosen["checkpoints"]).list() if each.key.endswith(".npz")]) == left


def test_checkpoints_that_their_store_keeps_cost_no_model(bucket, unjudged_digits, tmp_path, capsys, monkeypatch):
    """A bucket with a retention policy, a role without the right to delete: both are made so that nothing gets lost."""
    state = bucket.server.state if bucket.scheme == "gs" else bucket.server
    monkeypatch.setattr(state, "kept", {bucket.uri.split("/")[2]})
    monkeypatch.setattr("components.train.callbacks.EVERY_S", 0)
    monkeypatch.setattr(SaveCheckpoint, "busy", property(SaveCheckpoint.close))
    chosen = settings(epochs=3, checkpoints=f"{bucket.uri}/checkpoints")
    train(chosen, unjudged_digits, str(tmp_path / "model"), str(tmp_path / "board"))
    assert (tmp_path / "model" / "model.keras").exists()
    said = capsys.readouterr().out
    assert said.count("checkpoints that are done with stay in ") == 1
    remove_checkpoints(read_training(tmp_path / "model"))
    assert "note: checkpoints that are done with stay in " in capsys.readouterr().out
    assert "could not be written" not in said
    kept = open_store(chosen.checkpoints).list()
    assert len([stored for stored in kept if stored.key.endswith("manifest.json")]) == 3


def test_what_the_store_had_to_be_asked_again_changes_no_weight(gcs, unjudged_digits, tmp_path, monkeypatch):
    """Pauses between tries are drawn by chance, from the numbers that Keras's seeds come from; threads draw them too,
    also while the model is made."""
    chosen = settings(epochs=1, checkpoints=f"{gcs.uri}/checkpoints")
    fault = gcs.proxy.fail("status:503")

    def meanwhile(*given):
        random.random()
        return make_augmentation(*given)

    with monkeypatch.context() as patch:
        patch.setattr("components.train.run.make_augmentation", meanwhile)
        train(chosen, unjudged_digits, str(tmp_path / "model"), str(tmp_path / "board"))
    assert fault.seen
    train(chosen, unjudged_digits, str(tmp_path / "calm" / "model"), str(tmp_path / "calm" / "board"))
    troubled, calm = (load_model(model_file(place / "model")).get_weights() for place in (tmp_path, tmp_path / "calm"))
    assert all(map(np.array_equal, troubled, calm))


def test_event_files_are_in_the_store_when_it_ends(bucket, unjudged_digits, tmp_path):
    chosen = settings(epochs=2, tensorboard_uri=f"{bucket.uri}/boards")
    board = tmp_path / "board"
    train(chosen, unjudged_digits, str(tmp_path / "model"), str(board))
    store = open_store(f"{bucket.uri}/boards")
    [run] = store.directories()
    assert run.startswith("tiny-pictures-")
    stored = {item.key.removeprefix(f"{run}/"): store.read_bytes(item.key) for item in store.list()}
    local = {path.relative_to(board).as_posix(): path.read_bytes() for path in board.rglob("*") if path.is_file()}
    assert stored == local
    assert {pathlib.PurePath(name).parts[0] for name in stored} == {"result", "train", "validation"}


def test_event_files_that_cannot_be_uploaded_cost_no_model(gcs, unjudged_digits, tmp_path, capsys):
    """The store takes them as training begins, and nothing more from then on."""
    chosen = settings(epochs=2, tensorboard_uri=f"{gcs.uri}/boards", checkpoints=str(tmp_path / "checkpoints"))

    on_epoch_end = SaveCheckpoint.on_epoch_end

    def store_ends(self, epoch, logs=None):
        on_epoch_end(self, epoch, logs)
        gcs.proxy.fail("status:403", times=10_000)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SaveCheckpoint, "on_epoch_end", store_ends)
        train(chosen, unjudged_digits, str(tmp_path / "model"), str(tmp_path / "board"))
    assert (tmp_path / "model" / "model.keras").exists()
    assert "were not uploaded: " in capsys.readouterr().out


def test_an_epoch_is_in_the_store_before_the_run_ends(gcs, tmp_path):
    board = tmp_path / "board"
    board.mkdir()
    store = open_store(f"{gcs.uri}/boards")
    store.write_bytes("events.old", b"of an earlier try")
    with live_board(str(board), f"{gcs.uri}/boards", "") as upload:
        (board / "events").write_bytes(b"epoch 1")
        upload()
        _until(store, "events")
        assert [item.key for item in store.list()] == ["events"]
        (board / "events").write_bytes(b"epoch 1, epoch 2")
    assert store.read_bytes("events") == b"epoch 1, epoch 2"


def _until(store, key: str) -> None:
    """Waits for an upload that another thread was asked for; the test's time limit ends it where none comes."""
    while not store.exists(key):
        time.sleep(0.02)


@pytest.mark.parametrize("refused", [403, 503])
def test_without_credentials_for_its_own_artifact_training_goes_on(gcs, tmp_path, capsys, monkeypatch, refused):
    """Nor does it wait for minutes, with its GPUs, for a store that our code does not reach: the launcher may."""
    monkeypatch.setattr("components.train.board.live.BRIEFLY", Limits(deadline_s=0.5, first_pause_s=0.02))
    gcs.proxy.fail(f"status:{refused}", times=10_000)
    with live_board(str(tmp_path), "", f"{gcs.uri}/artifact") as upload:
        upload()
    assert "TensorBoard shows this run only when it has ended" in capsys.readouterr().out


def test_what_the_user_asked_for_is_an_error_where_it_can_not_be(gcs, tmp_path):
    gcs.proxy.fail("status:403", times=10_000)
    with pytest.raises(PipelineError, match="permission"), live_board(str(tmp_path), f"{gcs.uri}/boards", ""):
        pass


def test_event_files_that_their_store_keeps_stop_no_second_try(gcs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gcs.server.state, "kept", {gcs.uri.split("/")[2]})
    store = open_store(f"{gcs.uri}/boards")
    store.write_bytes("events.old", b"of an earlier try")
    (tmp_path / "events").write_bytes(b"epoch 1")
    with live_board(str(tmp_path), f"{gcs.uri}/boards", ""):
        pass
    assert [stored.key for stored in store.list()] == ["events", "events.old"]
    assert "TensorBoard draws what an earlier try of this run left once more" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard_uri"])
def test_a_place_that_is_none_is_refused_at_once(name):
    with pytest.raises(PipelineError, match="scheme 'gcs'"):
        settings(**{name: "gcs://bucket/x"})


KILLED = """
import os, sys
from components.train.stored_checkpoint import open_checkpoint
checkpoint = open_checkpoint(sys.argv[1], {}, sys.argv[2])
checkpoint.stored.save = lambda *_, **__: os.kill(os.getpid(), 9)
checkpoint.save({}, {"history": []})
"""


def test_the_copy_that_a_killed_run_left_is_removed_by_the_next(gcs, tmp_path):
    place = f"{gcs.uri}/run"
    environment = os.environ | gcs.environment | {"PYTHONPATH": "."}
    assert subprocess.run([sys.executable, "-c", KILLED, place, str(tmp_path)], env=environment).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    assert open_checkpoint(place, {}, tmp_path).load() is None
    assert list(tmp_path.iterdir()) == []
