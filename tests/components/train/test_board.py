"""What training leaves for TensorBoard, read back by TensorBoard's own reader."""

import io
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix
from tensorboard.plugins.hparams import metadata

from components.core.artifacts.dataset import read_info
from components.core.artifacts.model import load_model
from components.core.board.events import empty
from components.core.errors import PipelineError
from components.train import callbacks
from components.train.board import pictures as board_pictures
from components.train.run import TrainingResult, train
from components.train.settings import OPERATIONAL, TrainSettings
from tests.components.train.board_files import accumulated, hyperparameters, plugin_data, tensors
from tests.datasets import load_split

SMALL = '[{"Conv2D": {"filters": 8, "kernel_size": 3, "activation": "relu"}}, "Flatten"]'
ONE_LAYER = '["Flatten"]'
THREE_EPOCHS = {"architecture": ONE_LAYER, "epochs": 3, "gpus": "auto", "schedule": "linear"}


@pytest.fixture
def run(tmp_path: pathlib.Path, digits: str) -> Callable[..., TrainingResult]:
    """Trains one layer on the digits, 20 steps an epoch, into tmp_path/model and tmp_path/board."""

    def run(path: str = digits, **settings: Any) -> TrainingResult:
        checked = TrainSettings.checked(**{"architecture": ONE_LAYER, "epochs": 3, "gpus": "auto", **settings})
        return train(checked, path, str(tmp_path / "model"), str(tmp_path / "board"))

    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, digits: str) -> pathlib.Path:
    """The folder of such a training of three epochs, at a rate that falls."""
    place = tmp_path_factory.mktemp("trained")
    train(TrainSettings(**THREE_EPOCHS), digits, str(place / "model"), str(place / "board"))
    return place


def training_json(directory: pathlib.Path) -> dict[str, Any]:
    return json.loads((directory / "model/training.json").read_text())


def test_curves_by_epoch_are_the_history(trained: pathlib.Path) -> None:
    history = training_json(trained)["history"]
    for directory, prefix, names in (
        ("train", "", ("loss", "accuracy", "learning_rate", "images_per_second")),
        ("validation", "val_", ("loss", "accuracy")),
    ):
        found = tensors(trained / "board" / directory)
        for name in names:
            expected = {entry["epoch"]: entry[prefix + name] for entry in history}
            assert found[name] == pytest.approx(expected), name


def test_curves_by_step_average_to_the_epochs(trained: pathlib.Path) -> None:
    found = tensors(trained / "board/train")
    loss, rate = found["by step/loss"], found["by step/learning_rate"]
    assert list(loss) == list(range(1, 61))
    for entry in training_json(trained)["history"]:
        steps = range(20 * entry["epoch"] - 19, 20 * entry["epoch"] + 1)
        assert np.mean([loss[step] for step in steps]) == pytest.approx(entry["loss"], rel=1e-5)
    assert rate[60] == pytest.approx(0)
    assert rate[1] > rate[30] > rate[59] > 0
    assert all(value > 0 for value in found["by step/images_per_second"].values())


def test_a_long_training_has_few_points_by_step(
    run: Callable[..., TrainingResult],
    unjudged_digits: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each costs a wait for the device: where there are many steps, a point is the mean of several."""
    monkeypatch.setattr(callbacks, "POINTS", 12)
    assert callbacks.steps_between_points(20, 300) == 20  # one an epoch at least
    run(unjudged_digits)
    loss = tensors(tmp_path / "board/train")["by step/loss"]
    assert list(loss) == [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60]
    first = training_json(tmp_path)["history"][0]["loss"]
    assert np.mean([loss[step] for step in (5, 10, 15, 20)]) == pytest.approx(first, rel=1e-5)


def test_a_run_started_again_draws_nothing_twice(
    run: Callable[..., TrainingResult], unjudged_digits: str, trained: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(trained / "board", tmp_path / "board")
    run(unjudged_digits, batch_size=500)
    assert list(tensors(tmp_path / "board/train")["loss"]) == [1, 2, 3]


def test_the_graph_is_the_models_layers(
    run: Callable[..., TrainingResult], unjudged_digits: str, tmp_path: pathlib.Path
) -> None:
    run(unjudged_digits, architecture=SMALL, precision="bfloat16", epochs=1, batch_size=500, augment_shift=1)
    nodes = {node.name: node for node in accumulated(tmp_path / "board/train").Graph().node}
    assert list(nodes["scale"].input) == ["pictures"]
    assert len(nodes) == 5
    [convolution] = [node for name, node in nodes.items() if name.startswith("conv")]
    assert (convolution.op, list(convolution.input)) == ("Conv2D", ["scale"])
    [shape] = convolution.attr["_output_shapes"].list.shape
    assert [side.size for side in shape.dim] == [-1, 6, 6, 8]
    assert convolution.attr["parameters"].i == 8 * 9 + 8


def test_hyperparameters_stand_beside_the_result(run: Callable[..., TrainingResult], tmp_path: pathlib.Path) -> None:
    result = run(epochs=1, batch_size=500, precision="auto", verbose="0")
    start = hyperparameters(tmp_path / "board/result")
    record = training_json(tmp_path)
    assert start.group_name == record["run"]
    assert start.hparams["batch_size"].number_value == 500
    assert start.hparams["precision"].string_value == result.precision
    assert len(start.hparams["architecture"].string_value) <= 60
    assert set(start.hparams) == set(TrainSettings.model_fields) - OPERATIONAL
    found = tensors(tmp_path / "board/result")
    assert found["result/val_accuracy"] == pytest.approx({1: result.best_val_accuracy})
    assert found["result/seconds"][1] == pytest.approx(result.seconds, abs=0.001)
    assert ended(tmp_path / "board/result") == "STATUS_SUCCESS"


def ended(directory: pathlib.Path) -> str:
    from tensorboard.plugins.hparams import api_pb2

    content = plugin_data(directory, metadata.SESSION_END_INFO_TAG)
    return api_pb2.Status.Name(metadata.parse_session_end_info_plugin_data(content).status)


def test_a_failed_training_says_so(
    run: Callable[..., TrainingResult], unjudged_digits: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(PipelineError):
        run(unjudged_digits, optimizer="sgd", learning_rate=1e38)
    assert ended(tmp_path / "board/result") == "STATUS_FAILURE"


def pictures(directory: pathlib.Path, tag: str) -> dict[int, Image.Image]:
    return {step: Image.open(io.BytesIO(value[2])) for step, value in tensors(directory)[tag].items()}


def test_validation_pictures_are_drawn_while_it_trains(
    run: Callable[..., TrainingResult], tmp_path: pathlib.Path
) -> None:
    run(epochs=10, batch_size=500, learning_rate=0.01)
    for tag in ("confusion matrix", "predictions"):
        drawn = pictures(tmp_path / "board/validation", tag)
        assert list(drawn) == [1, 2, 4, 6, 8, 10]
        width, height, _ = tensors(tmp_path / "board/validation")[tag][1]
        assert drawn[1].size == (int(width), int(height))
    # The model learns: more of the captions below the pictures are green (right), fewer are red.
    red = [np.sum((np.asarray(picture) == (176, 36, 36)).all(axis=2)) for picture in drawn.values()]
    assert red[0] > red[-1]


def test_pictures_show_what_the_model_answers(
    run: Callable[..., TrainingResult], digits: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    for name in ("confusion_picture", "picture_sheet"):
        draw = getattr(board_pictures, name)
        noted = lambda given, *more, name=name, draw=draw: drawn.update({name: given}) or draw(given, *more)  # noqa: E731
        monkeypatch.setattr(board_pictures, name, noted)
    run(epochs=1, batch_size=200, learning_rate=0.01)
    images, labels = load_split(digits, read_info(digits), "validation")
    probabilities = load_model(tmp_path / "model/model.keras").predict(images, verbose=0)
    answers = probabilities.argmax(axis=1)
    assert np.array_equal(drawn["confusion_picture"], confusion_matrix(labels, answers, labels=range(10)))
    for place, shown in enumerate(drawn["picture_sheet"]):
        assert np.array_equal(shown.pixels, images[place])
        assert (shown.answer, shown.truth) == (f"class {answers[place]}", f"class {labels[place]}")
        assert shown.probability == pytest.approx(probabilities[place].max(), abs=1e-5)


def test_the_last_epoch_is_drawn_wherever_it_ends(run: Callable[..., TrainingResult], tmp_path: pathlib.Path) -> None:
    result = run(epochs=40, batch_size=500, early_stopping_patience=2, learning_rate=1e-12)
    assert max(pictures(tmp_path / "board/validation", "predictions")) == result.epochs < 40


def test_without_a_validation_split_the_last_epoch_counts_and_there_are_no_pictures(
    run: Callable[..., TrainingResult], dataset: Callable[..., str], digits: str, tmp_path: pathlib.Path
) -> None:
    images, labels = load_split(digits, read_info(digits), "train")
    result = run(dataset({"train": (images[:120], labels[:120])}, class_count=10))
    assert (result.best_epoch, result.best_val_accuracy, result.val_loss) == (3, None, None)
    assert accumulated(tmp_path / "board/validation").Tags()["tensors"] == []
    assert "result/val_accuracy" not in tensors(tmp_path / "board/result")


def test_histograms_are_there_on_request(
    run: Callable[..., TrainingResult], unjudged_digits: str, tmp_path: pathlib.Path
) -> None:
    run(unjudged_digits, architecture=SMALL, epochs=4, batch_size=500, histograms=2)
    found = tensors(tmp_path / "board/train")
    kernels = [tag for tag in found if tag.endswith("kernel")]
    assert len(kernels) == 2
    for tag in kernels:
        assert list(found[tag]) == [2, 4]
        assert found[tag][4].shape == (30, 3)  # from, to, how many


def test_the_folder_of_an_earlier_run_stays_for_another_that_opens_a_file_in_it(tmp_path):
    (tmp_path / "train" / "plugins").mkdir(parents=True)
    (tmp_path / "train" / "plugins" / "profile").write_bytes(b"earlier")
    empty(tmp_path / "train")
    assert [path.name for path in tmp_path.rglob("*")] == ["train", "plugins"]


def test_a_board_that_can_not_be_written_is_the_reason_told(
    run: Callable[..., TrainingResult], tmp_path: pathlib.Path
) -> None:
    """And not that its last file is missing, when what there is of it is closed."""
    (tmp_path / "board").mkdir()
    (tmp_path / "board/result").touch()
    with pytest.raises(Exception, match="result is not a directory"):
        run()
