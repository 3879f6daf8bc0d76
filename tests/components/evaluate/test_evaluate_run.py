"""Evaluate on a real, quickly trained model: the figures, the artifact, and what is refused."""

import csv
import json
import pathlib
import shutil

import numpy as np
import pytest

from components.core.artifacts.checkpoints import Checkpoints, checkpoint_place
from components.core.artifacts.dataset import INFO_FILE, SPLITS, DatasetInfo, SplitInfo, read_info
from components.core.artifacts.model import load_model, read_training
from components.core.artifacts.picture_hashes import HASHES_FILE, split_hashes, write_hashes
from components.core.errors import PipelineError
from components.core.files import write_json
from components.evaluate.measure.predict import predict_test_split
from components.evaluate.run import _uneven, evaluate
from components.evaluate.settings import EvaluateSettings
from tests.datasets import altered, load_split, write_split


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """The trained model's evaluation: the result, and where it was written."""
    place = tmp_path_factory.mktemp("evaluated")
    outputs = [str(place / name) for name in ("evaluation", "report", "board")]
    return evaluate(EvaluateSettings(), trained.dataset, trained.model, *outputs)[0], place


def test_the_figures_are_those_keras_gives(trained, evaluated):
    import keras

    model = keras.models.load_model(f"{trained.model}/model.keras", compile=False)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    pictures, labels = load_split(trained.dataset, read_info(trained.dataset), "test")
    loss, accuracy = model.evaluate(pictures, labels, batch_size=256, verbose=0)
    assert evaluated[0].accuracy == pytest.approx(accuracy, abs=1e-7)
    assert evaluated[0].loss == pytest.approx(loss, rel=1e-5)
    bands = evaluated[0].slices[0].bands
    assert sum(band.correct for band in bands) == evaluated[0].correct
    answers = model.predict(pictures, verbose=0)
    for example in [*evaluated[0].mistakes, *evaluated[0].uncertain_successes]:
        [at] = np.flatnonzero((pictures == example.picture).all(axis=(1, 2, 3)))[:1]
        assert (example.true, example.predicted) == (labels[at], answers[at].argmax())
        assert example.probability == pytest.approx(answers[at].max(), abs=1e-5)


def test_the_loss_of_a_model_that_is_certain_and_wrong_is_that_of_its_logits(linear):
    model, info = load_model(f"{linear.model}/model.keras"), read_info(linear.dataset)
    model.layers[-1].set_weights([1000 * weights for weights in model.layers[-1].get_weights()])
    model.compile(loss="sparse_categorical_crossentropy")
    expected = model.evaluate(*load_split(linear.dataset, info, "test"), batch_size=256, verbose=0)
    assert predict_test_split(model, linear.dataset, info)[2] == pytest.approx(expected, rel=1e-4)


def test_the_artifact_holds_metrics_predictions_and_the_report(evaluated):
    result, place = evaluated
    metrics = json.loads((place / "evaluation" / "metrics.json").read_text())
    assert metrics["accuracy"] == result.accuracy
    low, high = metrics["balanced_accuracy_interval_95"]
    assert low < metrics["balanced_accuracy"] == result.metrics()["balanced_accuracy"] < high
    assert metrics["test_pictures"] == result.count
    with (place / "evaluation" / "confusion.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    names = metrics["class_names"]
    told = np.zeros_like(result.confusion)
    for cell in cells:
        told[names.index(cell["true"]), names.index(cell["predicted"])] = int(cell["pictures"])
    assert (told == result.confusion).all() and told.sum() == result.count
    low, high = metrics["accuracy_interval_95"]
    assert low < result.accuracy < high
    with np.load(place / "evaluation" / "predictions.npz", allow_pickle=False) as predictions:
        answered = predictions["probabilities"].argmax(axis=1)
        assert (answered == predictions["labels"]).mean() == pytest.approx(result.accuracy)
    report = (place / "report").read_text()
    assert report == (place / "evaluation" / "report.html").read_text()
    assert f"{100 * result.accuracy:.1f}" in report


def test_tensorboard_gets_the_score_the_matrix_and_the_mistakes(evaluated):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result, place = evaluated
    events = EventAccumulator(str(place / "board" / "test"), size_guidance={"tensors": 0}).Reload()
    tags = set(events.Tags()["tensors"])
    assert {"accuracy", "loss", "confusion matrix", "mistakes, most confident first"} <= tags
    import tensorflow as tf

    [score] = events.Tensors("accuracy")
    assert float(tf.make_ndarray(score.tensor_proto)) == pytest.approx(result.accuracy)
    assert score.step == result.best_epoch > 0


def test_one_answer_for_all_is_told_of(judge, biased, linear, capsys):
    judge(biased(1000.0))
    assert "warning: the model predicts 0 for all test pictures: " in capsys.readouterr().out
    judge(linear.model)
    assert "all test pictures" not in capsys.readouterr().out


def test_it_prints_what_the_article_prints_and_the_checkpoint_has_had_its_day(trained, outputs, tmp_path, capsys):
    shutil.copytree(trained.model, tmp_path / "model")
    training = read_training(trained.model)
    training["settings"]["checkpoints"] = str(tmp_path / "checkpoints")
    write_json(tmp_path / "model" / "training.json", training)
    other = training | {"run": "0" * 16}
    for each in (training, other):
        Checkpoints(checkpoint_place(f"{tmp_path}/checkpoints", each["run"])).save(
            tmp_path / "model", training["epochs"]
        )
    result, _ = evaluate(EvaluateSettings(), trained.dataset, str(tmp_path / "model"), *outputs)
    assert f"Test loss: {result.loss:.4f} / Test accuracy: {result.accuracy:.4f}" in capsys.readouterr().out
    assert [place.parent.name for place in tmp_path.glob("checkpoints/*/*")] == [other["run"]]


def test_a_mean_over_mirrored_pictures_is_told_and_not_tested_by_mirroring(trained, outputs, tmp_path):
    """It keeps the class of each by its making: that test can't fail."""
    shutil.copytree(trained.model, tmp_path / "model")
    training = read_training(trained.model)
    training["settings"] |= {"augment_flip": True, "average_mirrored": True, "label_smoothing": 0.1}
    write_json(tmp_path / "model" / "training.json", training)
    result, _ = evaluate(EvaluateSettings(), trained.dataset, str(tmp_path / "model"), *outputs)
    assert [check.name for check in result.behaviour] == ["Brightness", "Shift", "Blank", "Noise"]
    assert {"average mirrored": True, "label smoothing": 0.1}.items() <= result.training.items()


def test_model_and_data_that_do_not_fit_are_refused(trained, outputs, tmp_path):
    smaller = altered(trained.dataset, tmp_path / "smaller", image_shape=[4, 16, 1])
    with pytest.raises(PipelineError, match="model for pictures of"):
        evaluate(EvaluateSettings(), smaller, trained.model, *outputs)
    others = altered(trained.dataset, tmp_path / "others", class_names=list("9876543210"))  # and as many
    with pytest.raises(PipelineError, match="this data set's classes, 9, 8, 7, 6, 5 and 5 more, received one of 0, 1,"):
        evaluate(EvaluateSettings(), others, trained.model, *outputs)
    assert not (tmp_path / "evaluation").exists()


def test_no_test_pictures_is_refused(trained, outputs, tmp_path):
    splits = json.loads((pathlib.Path(trained.dataset) / INFO_FILE).read_text())["splits"]
    dataset = altered(trained.dataset, tmp_path / "altered", splits={k: v for k, v in splits.items() if k != "test"})
    with pytest.raises(PipelineError, match="expected test pictures"):
        evaluate(EvaluateSettings(), dataset, trained.model, *outputs)


def test_a_file_that_is_no_model_is_refused(trained, outputs, tmp_path):
    model = shutil.copytree(trained.model, tmp_path / "model")
    (model / "model.keras").write_bytes(b"not a model")
    with pytest.raises(PipelineError, match="can't be loaded"):
        evaluate(EvaluateSettings(), trained.dataset, str(model), *outputs)
    (model / "model.keras").unlink()
    with pytest.raises(PipelineError, match="run train first"):
        evaluate(EvaluateSettings(), trained.dataset, str(model), *outputs)


def test_a_class_that_no_test_picture_has_is_told_of_and_stops_nothing(trained, outputs, tmp_path, capsys):
    info = read_info(trained.dataset)
    pictures, labels = load_split(trained.dataset, info, "test")
    kept = labels != 4
    dataset = tmp_path / "without-fours"
    shutil.copytree(trained.dataset, dataset)
    document = json.loads((dataset / INFO_FILE).read_text())
    document["splits"]["test"] = write_split(dataset, "test", pictures[kept], labels[kept], 10).model_dump()
    hashes = [split_hashes(dataset, info, split) for split in SPLITS]
    document["hashes_sha256"] = write_hashes(dataset / HASHES_FILE, np.concatenate([*hashes[:2], hashes[2][kept]]))
    (dataset / INFO_FILE).write_text(json.dumps(document | {"fingerprint": "2" * 64}))
    result, _ = evaluate(EvaluateSettings(behaviour="off"), str(dataset), trained.model, *outputs)
    assert result.count == kept.sum() < len(labels)
    said = capsys.readouterr().out
    assert said.count("warning: the test split has no picture of 4: the model was not tested") == 1
    assert "note: the model was trained on another state of the data set" in said
    metrics = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    assert metrics["per_class"][4]["support"] == 0
    assert metrics["auc"] == {str(k): result.roc[k].auc for k in range(10) if k != 4}
    assert "The test split has no picture of 4" in (tmp_path / "report").read_text()


@pytest.mark.parametrize(
    ("learned", "tested", "told"),
    [
        ([300, 100, 100], [30, 10, 0], True),
        ([100, 100, 100], [20, 10, 0], False),  # by luck
        ([300, 100, 100], [10, 10, 0], False),
        ([100, 100, 900], [10, 10, 0], False),  # of the third nothing is known
    ],
)
def test_balanced_accuracy_is_told_if_the_tested_classes_are_uneven_and_not_by_luck(learned, tested, told):
    splits = {"train": learned, "test": tested}
    found = {name: SplitInfo(count=sum(counts), per_class=counts, shards=[]) for name, counts in splits.items()}
    assert _uneven(DatasetInfo.model_construct(splits=found)) is told
