"""The train step with nodes that are processes of this machine: from a bucket into the artifact, whatever is lost."""

import contextlib
import functools
import io
import json
import pathlib
import random
import threading
import time
import zipfile

import h5py
import pytest

from components.core.artifacts.checkpoints import remove_checkpoints
from components.core.storage import bundle, open_store
from tests.components.train.nodes.forked import Forked
from tests.servers.trainer_api import TrainerApi

pytest.importorskip("jax")
# Five steps an epoch: what two nodes cost goes by their steps, 0.02 s each.
SETTINGS = {"result": False, "epochs": 14, "batch_size": 200}


@pytest.fixture(scope="module")
def undisturbed() -> list:
    """The weights of a training that nothing happened to: added by the test that has it first."""
    return []


@pytest.fixture
def launch_in_bucket(api: TrainerApi, launch, gcs, digits: str):
    """`launch`, with the digits in its bucket, from which the nodes read."""
    open_store(f"{launch.bucket}/dataset").upload_directory(digits)
    api.processes = gcs.environment
    return launch


def weights(model: pathlib.Path) -> list:
    with zipfile.ZipFile(model / "model.keras") as archive, archive.open("model.weights.h5") as file:
        found = []
        h5py.File(io.BytesIO(file.read())).visititems(lambda name, item: found.append((name, item)))
        return [(name, item[()].tobytes()) for name, item in found if isinstance(item, h5py.Dataset)]


def test_two_real_nodes_train_from_a_bucket_into_the_artifact(
    api: TrainerApi,
    launch_in_bucket,
    tmp_path: pathlib.Path,
    capfd: pytest.CaptureFixture,
    undisturbed: list,
) -> None:
    result = launch_in_bucket(**SETTINGS)
    undisturbed += weights(tmp_path / "model")

    assert {path.name for path in (tmp_path / "model").iterdir()} == {"learned.npy", "model.keras", "training.json"}
    assert (tmp_path / "board" / "train").is_dir()
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert (result.epochs, result.loss) == (14, record["history"][-1]["loss"])
    assert result.device.startswith("2 nodes, each ")
    said = capfd.readouterr().out
    epochs = [line.split()[1] for line in said.splitlines() if line.startswith("epoch")]
    assert epochs == [f"{number}/14" for number in range(1, 15)]
    assert "2 of 2 nodes have started" in said
    # Event files went to their artifact's place while it trained. Else the checkpoint is left, until KFP has the model.
    store = open_store(f"{launch_in_bucket.bucket}/train")
    left = {stored.key.rpartition("/checkpoints/")[0] or stored.key.split("/")[0] for stored in store.list()}
    assert left == {"tensorboard", "model.work"}
    remove_checkpoints(record)
    assert {stored.key.split("/")[0] for stored in store.list()} == {"tensorboard"}
    assert (api.jobs, len(api.deleted)) == ({}, 1)


def test_nodes_lost_at_random_moments_change_no_bit_of_the_model(
    api: TrainerApi,
    launch_in_bucket,
    tmp_path: pathlib.Path,
    capfd: pytest.CaptureFixture,
    warm_jax: str,
    undisturbed: list,
) -> None:
    """Either node, twice, whatever it is doing; the result is that of a training that nothing happened to."""
    api.start_node = functools.partial(Forked, warm_jax)
    chance, losses = random.Random(7), []
    checkpoints = open_store(f"{launch_in_bucket.bucket}/train/model.work/checkpoints")

    def lose_nodes() -> None:
        while len(losses) < 2 and not ended.is_set():
            number, epochs = chance.randrange(2), chance.randrange(1, 3)
            if wait_for(lambda epochs=epochs: saved() and api.nodes[0][1].read_text().count("epoch ") >= epochs):
                losses.append(number)
                api.lose(number)
                made = len(api.created())
                wait_for(lambda made=made: len(api.created()) > made)

    def saved() -> bool:
        return any(stored.key.endswith(bundle.MANIFEST) for stored in checkpoints.list())

    def wait_for(what) -> bool:
        while not ended.is_set():
            with contextlib.suppress(OSError, IndexError):
                if what():
                    time.sleep(chance.random() / 10)
                    return True
            time.sleep(0.03)
        return False

    ended = threading.Event()
    thread = threading.Thread(target=lose_nodes)
    thread.start()
    try:
        launch_in_bucket(**SETTINGS)
    finally:
        ended.set()
        thread.join()
    assert len(losses) == 2
    disturbed = weights(tmp_path / "model")
    assert capfd.readouterr().out.count("resumed from ") == 2
    if not undisturbed:  # this test runs alone
        launch_in_bucket(**SETTINGS)
        undisturbed += weights(tmp_path / "model")
    assert disturbed == undisturbed
