"""Training starts from a trained model: what it keeps, what it hands on, and what it refuses."""

import dataclasses
import json
import pathlib
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

from components.core.artifacts.model import load_model
from components.core.artifacts.picture_hashes import LEARNED_FILE, read_hashes, write_hashes
from components.core.errors import PipelineError
from components.core.files import sha256_of
from components.core.pictures import packed
from components.core.registry import Registry
from components.core.start_place import Pinned
from components.download.look import look_at_start
from components.train.errors import SettingsError
from components.train.run import _learned, train, training_identity
from components.train.settings import TrainSettings
from components.train.start import found_ancestor, refuse_unseen_start
from tests.components.train.conftest import BACKEND
from tests.components.train.test_checkpoint import Interruption
from tests.servers.fixtures import gcs, gcs_server  # noqa: F401

BODY = [{"Conv2D": {"filters": 4, "kernel_size": 3}}, "BatchNormalization", "Flatten", {"Dense": {"units": 8}}]
COMMON = {"epochs": 1, "batch_size": 500, "gpus": "auto", "backend": BACKEND, "verbose": "2"}


def settings(layers=BODY, **changes) -> TrainSettings:
    return TrainSettings(**{**COMMON, "architecture": json.dumps(layers), **changes})


@pytest.fixture(scope="module")
def ancestor(unjudged_digits, tmp_path_factory) -> pathlib.Path:
    """A model artifact, as if its data set had named two pictures."""
    place = tmp_path_factory.mktemp("ancestor")
    train(settings(), unjudged_digits, str(place / "model"), str(place / "board"))
    write_hashes(place / "model" / LEARNED_FILE, np.array([3, 7], np.uint64))
    return place / "model"


@pytest.fixture
def start(unjudged_digits, tmp_path, eagerly):
    """Trains from a model with a learning rate that changes next to nothing; gives the artifact."""

    def run(start_from, layers=BODY, dataset=unjudged_digits, name="model", **changes) -> pathlib.Path:
        given = {"start_from": str(start_from), "learning_rate": 1e-12, **changes}
        train(settings(layers, **given), dataset, str(tmp_path / name), str(tmp_path / "board"))
        return tmp_path / name

    return run


def weights(model: pathlib.Path) -> list[list[np.ndarray]]:
    return [layer.get_weights() for layer in load_model(model / "model.keras").layers if layer.weights]


def equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.allclose(one, other, atol=1e-6) for one, other in zip(first, second, strict=True))


def record(model: pathlib.Path) -> dict:
    return json.loads((model / "training.json").read_text())


def test_all_layers_are_kept_if_they_and_the_classes_are_the_same(start, ancestor, capsys):
    made = start(ancestor)
    kernels = zip(weights(ancestor), weights(made), strict=True)
    # BatchNormalization's statistics move with every batch, whatever the learning rate.
    assert all(equal(before[:2], after[:2]) for before, after in kernels)
    sha256 = sha256_of(ancestor / "model.keras")
    layers = ["conv2d", "batch_normalization", "dense", "dense_1"]
    told = {"name": f"{ancestor}/model.keras", "sha256": sha256, "kept": layers, "anew": []}
    assert record(made)["started_from"] == told
    assert f"started from {ancestor}/model.keras, sha256 {sha256}: kept conv2d, " in capsys.readouterr().out


def test_a_last_layer_that_is_alone_is_kept(start):
    first = start("", layers=["Flatten"], name="first")
    again = start(first, layers=["Flatten"])
    assert record(again)["started_from"]["kept"] == ["dense"]
    assert equal(weights(first)[0], weights(again)[0])


def test_the_head_is_made_anew_if_the_classes_differ(start, ancestor, unjudged_digits, tmp_path):
    others = tmp_path / "others"
    shutil.copytree(unjudged_digits, others)
    info = json.loads((others / "dataset.json").read_text())
    info["class_names"][0] = "another"
    (others / "dataset.json").write_text(json.dumps(info))
    made = start(ancestor, dataset=str(others))
    assert record(made)["started_from"]["anew"] == ["dense_1"]
    assert equal(weights(ancestor)[2], weights(made)[2])
    assert not equal(weights(ancestor)[3], weights(made)[3])


def test_layers_are_kept_up_to_the_first_that_differs(start, ancestor):
    smaller = [*BODY[:2], "MaxPooling2D", {"Dropout": {"rate": 0.1}}, *BODY[2:]]  # the head fits as it did
    told = record(start(ancestor, smaller))["started_from"]
    assert (told["kept"], told["anew"]) == (["conv2d", "batch_normalization"], ["dense", "dense_1"])
    inside = [BODY[0], {"Conv2D": {"filters": 2, "kernel_size": 1}}, *BODY[1:]]
    refused = (
        "layer conv2d_1 is not among the layers .* but .* fits|layer conv2d_1 .*, but batch_normalization after it"
    )
    with pytest.raises(SettingsError, match=refused):
        start(ancestor, [*inside[:1], {"Conv2D": {"filters": 4, "kernel_size": 1}}, *inside[2:]])


def test_a_model_that_shares_no_layer_is_refused_by_name(start, ancestor):
    with pytest.raises(
        SettingsError,
        match=r"no layer of .* fits: layer conv2d has weights of 5 x 5 x 1 x 4, not the 3.* and image_size that",
    ):
        start(ancestor, [{"Conv2D": {"filters": 4, "kernel_size": 5}}, "Flatten"])
    with pytest.raises(
        SettingsError, match="layer dense is not among the layers|layer dense has weights of 64 x 3, not"
    ):
        start(ancestor, ["Flatten", {"Dense": {"units": 3}}])


def test_a_file_of_weights_alone_in_a_store_is_taken(start, ancestor, gcs, tmp_path):  # noqa: F811
    file = tmp_path / "mine.weights.h5"
    load_model(ancestor / "model.keras").save_weights(file)
    from components.core.storage import open_store

    open_store(f"{gcs.uri}/team").upload_file(file, "mine.weights.h5")
    place = f"{gcs.uri}/team/mine.weights.h5"
    made = start(place, start_sha256=sha256_of(file))
    assert record(made)["started_from"]["kept"][-1] == "dense_1"
    assert not (made / LEARNED_FILE).exists()  # nobody knows
    with pytest.raises(PipelineError, match=f"expected {place} with sha256 0000.*, received {sha256_of(file)}"):
        start(place, start_sha256="0" * 64)
    assert len(look_at_start(place, "", "", "")) == 16


def test_bad_files_are_told_in_a_line(start, tmp_path, monkeypatch):
    bad = tmp_path / "bad.keras"
    bad.write_bytes(b"no zip")
    with pytest.raises(PipelineError, match="expected a file with the weights of Keras 3 .*: File is not a zip file"):
        start(bad)
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(PipelineError, match="can't be read: \"There is no item named 'model.weights.h5'"):
        start(bad)
    with zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("model.weights.h5", "w") as weights:
        weights.write(bytes(1 << 20))
    monkeypatch.setattr(packed, "ALWAYS_ALLOWED_BYTES", 0)
    with pytest.raises(PipelineError, match="can't be read: .* it looks like an archive bomb"):
        start(bad)
    with pytest.raises(PipelineError, match=r"expected a directory with model\.keras.*where there is none"):
        start(tmp_path / "nothing")
    with pytest.raises(PipelineError, match="expected digits@3 to be looked up"):
        start("digits@3")


@pytest.mark.parametrize("place", ["layers", "layers/conv2d", "layers/conv2d/vars/0"])
@pytest.mark.parametrize("link", ["external", "soft"])
def test_no_weights_are_taken_from_another_file(start, ancestor, tmp_path, place, link):
    """The SHA-256 that was named is that of this file alone, and HDF5 would read any other of this machine."""
    mine, linked = tmp_path / "mine.weights.h5", tmp_path / "linked.weights.h5"
    load_model(ancestor / "model.keras").save_weights(mine)
    shutil.copy(mine, linked)
    with h5py.File(linked, "r+") as file:
        file.move(place, "elsewhere")
        file[place] = h5py.ExternalLink(str(mine), place) if link == "external" else h5py.SoftLink("/elsewhere")
    with pytest.raises(PipelineError, match="weights in another file"):
        start(linked)


def test_a_file_of_odd_weights_is_told_in_a_line(start, ancestor, tmp_path):
    odd = tmp_path / "odd.weights.h5"
    load_model(ancestor / "model.keras").save_weights(odd)
    with h5py.File(odd, "r+") as file:
        file["layers/conv2d/vars/itself"] = file["layers/conv2d"]  # a folder that lies in itself
        del file["layers/conv2d/vars/1"]
        file["layers/conv2d/vars"].create_dataset("1", data=["x"] * 4)
    with pytest.raises(PipelineError, match="can't be read: Can't .* write data"):
        start(odd)
    with h5py.File(odd, "w") as file:
        file["layers"] = np.zeros(3)
    with pytest.raises(SettingsError, match="layer conv2d is not among the layers"):
        start(odd)


def test_a_model_made_of_code_is_never_run(start, tmp_path):
    """A Lambda layer holds Python; only arrays are read, so that its file is as good as any other."""
    inputs = keras.Input((8, 8, 1))
    values = keras.layers.Conv2D(4, 3)(keras.layers.Lambda(lambda value: value / 255.0)(inputs))
    keras.Model(inputs, keras.layers.Flatten()(values)).save(tmp_path / "lambda.keras")
    assert record(start(tmp_path / "lambda.keras"))["started_from"]["kept"] == ["conv2d"]


def test_a_version_of_a_registry_is_pinned_and_proven(ancestor, tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"graph")
    registry = Registry(str(tmp_path / "registry"))
    files = {name: ancestor / name for name in ("model.keras", LEARNED_FILE)}
    registry.promote("digits", registry.publish("digits", tmp_path / "saved", files).number)
    seen = look_at_start("digits@champion", "", "", registry.store.uri())
    assert seen == look_at_start("digits@1", "", "", registry.store.uri())
    assert seen == str(Pinned(registry.store.uri(), "digits", 1, sha256_of(ancestor / "model.keras")))
    with found_ancestor(settings(start_from="digits@champion", start_version=seen)) as found:
        assert found
        assert (found.name, found.sha256) == ("digits version 1", sha256_of(ancestor / "model.keras"))
        assert found.learned is not None
        assert found.learned.tolist() == [3, 7]
    other = settings(start_from="digits@champion", start_version=seen[:-64] + "0" * 64)
    with pytest.raises(PipelineError, match="expected digits version 1 with sha256 0000"), found_ancestor(other):
        pass
    with pytest.raises(PipelineError, match="expected a registry for digits@2"):
        look_at_start("digits@2", "", "", "")
    registry.publish("digits", tmp_path / "saved")
    with pytest.raises(PipelineError, match=r"version 2 with assets.extra/model.keras, received one .* without"):
        look_at_start("digits@2", "", "", registry.store.uri())


def test_a_run_compiled_without_a_start_refuses_one_that_nobody_looked_at():
    for unseen in ({"start_from": "gs://bucket/x.keras"}, {"start_from": "digits@12", "start_sha256": "0" * 64}):
        with pytest.raises(PipelineError, match="compile it with START_FROM="):
            refuse_unseen_start(settings(**unseen))
    refuse_unseen_start(settings(start_from="gs://bucket/x.keras", start_version="0123"))
    refuse_unseen_start(settings(start_from="gs://bucket/x.keras", start_sha256="0" * 64))


def test_what_a_killed_run_goes_on_to_is_what_it_would_have_come_to(start, ancestor, tmp_path, monkeypatch, capsys):
    from components.train import callbacks
    from tests.components.train.test_checkpoint import write_soon

    given = {"start_from": str(ancestor), "epochs": 2, "learning_rate": 0.01, "checkpoints": str(tmp_path / "kept")}
    whole = weights(start(name="whole", **given))

    class Killed(callbacks.SaveCheckpoint):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            self.close()
            raise Interruption

    with monkeypatch.context() as patch:
        write_soon(patch)
        patch.setattr(callbacks, "SaveCheckpoint", Killed)
        with pytest.raises(Interruption):
            start(name="resumed", **given)
    resumed = start(name="resumed", **given)
    assert "after epoch 1" in capsys.readouterr().out
    pairs = zip(sum(whole, []), sum(weights(resumed), []), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
    assert record(resumed)["started_from"]["kept"]


def test_what_the_ancestor_has_learned_is_handed_on(start, ancestor, digits_with_test):
    from components.core.artifacts.dataset import read_info
    from components.core.artifacts.picture_hashes import learned_hashes

    own = learned_hashes(digits_with_test, read_info(digits_with_test))
    both = np.union1d(own, np.array([3, 7], np.uint64)).tolist()
    made = start(ancestor, dataset=digits_with_test)
    assert read_hashes(made / LEARNED_FILE).tolist() == both
    with found_ancestor(settings(start_from=str(ancestor / "model.keras"))) as alone:  # what lies beside it tells
        assert alone.learned.tolist() == [3, 7]
        started, fresh = (
            training_identity(settings(), read_info(digits_with_test), "float32", each) for each in (alone, None)
        )
        assert started != fresh  # so that no checkpoint is gone on from that another start has left
        unsaid = dataclasses.replace(alone, learned=None)
        assert _learned(digits_with_test, read_info(digits_with_test), unsaid) is None
