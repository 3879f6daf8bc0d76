"""Export: whole or not at all, and only what answers as it was measured."""

import json
import pathlib
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from components.core.artifacts.dataset import INFO_FILE, SPLITS, read_info
from components.core.artifacts.model import read_training
from components.core.artifacts.picture_hashes import LEARNED_FILE, read_hashes, split_hashes, write_hashes
from components.core.errors import PipelineError
from components.core.files import sha256_of
from components.export import verify
from components.export.card import write_card
from components.export.formats import runtimes
from components.export.run import _weights_sha256, export
from components.export.settings import ExportSettings
from tests.datasets import altered


@pytest.fixture
def metrics(evaluation) -> dict:
    return json.loads((pathlib.Path(evaluation) / "metrics.json").read_text())


@pytest.fixture
def card_of(trained, tmp_path):
    """The card of an export, by its manifest and metrics."""

    def card(manifest, metrics, copies: int | None = 0, registry: str = "", **trained_so) -> str:
        write_card(tmp_path / "card.md", manifest, metrics, read_training(trained.model) | trained_so, copies, registry)
        return (tmp_path / "card.md").read_text()

    return card


def test_what_is_exported_is_listed_and_proved(exported, trained):
    manifest, place = exported
    assert manifest.model_sha256 == sha256_of(pathlib.Path(trained.model, "model.keras"))
    assert json.loads((place / "manifest.json").read_text()) == manifest.model_dump(mode="json")
    files = {file.path: file.sha256 for file in manifest.files}
    assert {"saved_model/7/saved_model.pb", "model.keras", "MODEL_CARD.md", "learned.npy"} <= set(files)
    assert all(sha256_of(place / path) == digest for path, digest in files.items())
    assert set(manifest.formats) == {"saved_model", "keras"}
    for proved in manifest.formats.values():
        assert proved.largest_difference <= 1e-4
        assert (proved.pictures, proved.agreement, proved.accuracy) == (500, 1.0, manifest.accuracy)
        assert proved.bytes > 100_000
        assert proved.latency_ms > 0 < proved.batch_latency_ms
    # Every weight is written once: Keras's own export writes it twice.
    assert manifest.formats["saved_model"].bytes < 1.5 * manifest.formats["keras"].bytes
    assert [path.name for path in place.parent.iterdir()] == ["exported"]


def test_a_proof_compares_answers_and_its_times_are_of_them_alone(trained, evaluation, monkeypatch):
    """A test of one batch was said to take four times as long a picture in it as alone: it held what the first one
    prepares."""
    clock, prepared = [0.0], []

    def answer(pictures: np.ndarray) -> np.ndarray:
        clock[0] += (0 if prepared else 100) + 0.002 + 0.001 * len(pictures)
        prepared.append(len(pictures))
        return others[: len(pictures)]

    with np.load(pathlib.Path(evaluation) / "predictions.npz") as predictions:
        measured, labels = predictions["probabilities"][:100], predictions["labels"][:100]
    others = np.concatenate([np.roll(measured[:10], 1, axis=1), measured[10:]])  # of 10 the next class
    monkeypatch.setattr(verify.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(runtimes, "open_runtime", lambda name, path: answer)
    proof = verify._work("keras", "model.keras", trained.dataset, read_info(trained.dataset), measured)()
    assert (proof["pictures"], proof["latency_ms"], proof["batch_latency_ms"]) == (100, 3.0, 1.02)
    right, before = (float((each.argmax(axis=1) == labels).mean()) for each in (others, measured))
    assert right < before and (proof["accuracy"], proof["evaluated_accuracy"]) == (right, before)
    assert proof["agreement"] == 0.9
    assert proof["largest_difference"] == pytest.approx(np.abs(others - measured).max())


def test_an_export_says_which_pictures_its_model_learned_from(exported, trained):
    _, place = exported
    learned, info = read_hashes(place / LEARNED_FILE), read_info(trained.dataset)
    for split in SPLITS:
        assert set(np.isin(split_hashes(trained.dataset, info, split), learned)) == {split != "test"}
    assert (np.diff(learned.astype(object)) > 0).all()


def test_the_card_is_made_of_facts(exported, metrics):
    manifest, place = exported
    card = (place / "MODEL_CARD.md").read_text()
    for said in (
        f"Test accuracy {manifest.accuracy:.4f}",
        f"test loss {manifest.loss:.4f}, on\n500 pictures",
        *(
            f"| {proved.runtime} | {proved.accuracy:.4f} | {proved.agreement:.2%} | {proved.latency_ms:.3g} ms "
            f"| {proved.batch_latency_ms:.3g} ms |"
            for proved in manifest.formats.values()
        ),
        f"| 3 | {metrics['per_class'][3]['precision']:.3f} |",
        manifest.dataset_fingerprint,
        manifest.source_sha256,
        "- data set: pen strokes\n- licence: of the pictures' source; this pipeline does not know it",
        "package:digits",
        "| keras | `model.keras` |",
        "- epochs: 3",
        f"code revision {manifest.code_revision}",
        f"tensorflow {manifest.versions['tensorflow']}",
        *(f"{check['said'][1:]}: " for check in metrics["behaviour"]["checks"]),
    ):
        assert said in card


def test_the_card_claims_no_more_of_the_test_pictures_than_the_report(
    exported, trained, evaluation, metrics, card_of, tmp_path
):
    """A test split that the source gives may hold copies, and so may that of a model that was started from another."""
    model = tmp_path / "model"
    shutil.copytree(trained.model, model)
    tested = split_hashes(trained.dataset, read_info(trained.dataset), "test")
    write_hashes(model / LEARNED_FILE, tested[:7])
    export(ExportSettings(), trained.dataset, str(model), evaluation, str(tmp_path / "exported"))
    copied = "on\n500 pictures. 7 of the test pictures are copies of pictures that it learned from, and prove nothing."
    assert copied in (tmp_path / "exported" / "MODEL_CARD.md").read_text()
    assert "on\n500 pictures that were not used for training." in (exported[1] / "MODEL_CARD.md").read_text()
    started = card_of(exported[0], metrics, None, started_from={"name": "a*b", "sha256": "0"})
    assert "It was started from a\\*b, which may have learned from test" in started


def test_the_card_of_what_is_published_claims_no_number(exported, metrics, card_of):
    """The registry gives the number afterwards: every version's card said version 1."""
    card = card_of(exported[0], metrics, registry="gs://bucket")
    unpublished = (exported[1] / "MODEL_CARD.md").read_text()
    cropped = card_of(exported[0].model_copy(update={"resize": "crop"}), metrics)
    assert "then stretched to this size with" in unpublished
    assert "cropped to the centre in these proportions and scaled to this size with" in cropped
    name = exported[0].model_name
    assert card.startswith(f"# {name}, made for gs://bucket\n") and unpublished.startswith(f"# {name}, version 7\n")
    assert "In gs://bucket the SavedModel is the version's own directory" in card
    assert "exported.\n\n| format |" in unpublished and "below that.\n\n| format |" in card


def test_the_card_has_a_known_data_sets_licence_and_no_other_and_names_no_class_weak_that_is_not(
    exported, metrics, card_of
):
    for score in metrics["per_class"]:
        score["recall"] = 1.0
    own = exported[0]  # in the format of the digits, and called otherwise
    own = own.model_copy(update={"dataset_title": own.dataset})
    card = card_of(own, metrics)
    assert "- data set: digits\n- licence: CC BY 4.0" in card
    assert "- Every class has a recall of 100 %.\n" in card and "Lowest recall" not in card


def test_a_class_without_test_pictures_is_said_to_be_untested(exported, metrics, card_of):
    metrics["per_class"][4] = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    card = card_of(exported[0], metrics)
    assert "| 4 | - | - | - | 0 |" in card
    assert "Not tested, because there were no test pictures: 4." in card


def test_class_names_stay_text(exported, metrics, card_of):
    names = ["a|b", "<script>", "[x](y)", "a&lt;b", *metrics["class_names"][4:]]
    manifest = exported[0].model_copy(update={"class_names": names})
    card = card_of(manifest, metrics | {"class_names": names})
    assert "| a\\|b |" in card and "\\<script\\>" in card and "\\[x\\](y)" in card
    assert "<script>" not in card and "a\\&lt;b" in card


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        (lambda row: np.roll(row, 1), "saved_model export to answer test pictures as evaluate measured"),
        (lambda row: row * np.nan, "saved_model export failed its check: expected finite probabilities, received NaN"),
    ],
)
def test_a_model_that_answers_otherwise_than_measured_is_not_exported(trained, evaluation, tmp_path, answered, said):
    copy = tmp_path / "evaluation"
    shutil.copytree(evaluation, copy)
    with np.load(copy / "predictions.npz") as predictions:
        labels, probabilities = predictions["labels"], predictions["probabilities"]
    probabilities[0] = answered(probabilities[0])  # in the first of two batches
    np.savez(copy / "predictions.npz", labels=labels, probabilities=probabilities)
    with pytest.raises(PipelineError, match=said):
        export(ExportSettings(), trained.dataset, trained.model, str(copy), str(tmp_path / "exported"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evaluation"]


def test_other_weights_have_another_sha256():
    one, same, other, longer = (
        _weights_sha256(SimpleNamespace(get_weights=lambda given=given: [np.array(given)]))
        for given in ([1.0, 2.0], [1.0, 2.0], [1.0, 3.0], [[1.0], [2.0]])
    )
    assert one == same and len({one, other, longer}) == 3


def test_without_an_evaluation_nothing_is_exported(trained, tmp_path):
    with pytest.raises(PipelineError, match="run evaluate first"):
        export(ExportSettings(), trained.dataset, trained.model, str(tmp_path / "none"), str(tmp_path / "exported"))
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_its_record_is_one_line(trained, evaluation, tmp_path):
    model = shutil.copytree(trained.model, tmp_path / "model")
    (model / "training.json").unlink()
    with pytest.raises(PipelineError, match="a model artifact with training.json, received .*; run train first"):
        export(ExportSettings(), trained.dataset, str(model), evaluation, str(tmp_path / "exported"))
    assert not (tmp_path / "exported").exists()


def test_an_evaluation_of_other_data_is_refused(trained, evaluation, tmp_path):
    other = altered(evaluation, tmp_path / "evaluation", "metrics.json", dataset_fingerprint="2" * 64)
    with pytest.raises(PipelineError, match="received that of another; run evaluate on it"):
        export(ExportSettings(), trained.dataset, trained.model, other, str(tmp_path / "exported"))


def test_a_model_for_other_pictures_is_refused(trained, evaluation, tmp_path):
    dataset = altered(trained.dataset, tmp_path / "dataset", image_shape=[4, 16, 1])
    with pytest.raises(PipelineError, match=r"model for pictures of \(4, 16, 1\)"):
        export(ExportSettings(), dataset, trained.model, evaluation, str(tmp_path / "exported"))


def test_no_test_pictures_is_refused(trained, evaluation, tmp_path):
    splits = json.loads((pathlib.Path(trained.dataset) / INFO_FILE).read_text())["splits"]
    dataset = altered(trained.dataset, tmp_path / "dataset", splits={k: v for k, v in splits.items() if k != "test"})
    with pytest.raises(PipelineError, match="expected test pictures"):
        export(ExportSettings(), dataset, trained.model, evaluation, str(tmp_path / "exported"))


@pytest.mark.parametrize("name", ["../up", "a/b", "", "Upper", "-dash"])
def test_a_model_name_is_a_plain_name(name):
    with pytest.raises(PipelineError, match="model_name"):
        ExportSettings.checked(model_name=name)


def test_a_version_is_a_positive_number():
    with pytest.raises(PipelineError, match="model_version"):
        ExportSettings.checked(model_version=0)


def test_an_older_export_survives_a_failing_one(trained, evaluation, tmp_path):
    exported = tmp_path / "exported"
    exported.mkdir()
    (exported / "manifest.json").write_text("older")
    broken = tmp_path / "model"
    shutil.copytree(trained.model, broken)
    pathlib.Path(broken, "model.keras").write_bytes(b"no model")
    with pytest.raises(PipelineError, match="can't be loaded"):
        export(ExportSettings(), trained.dataset, str(broken), evaluation, str(exported))
    assert (exported / "manifest.json").read_text() == "older"
