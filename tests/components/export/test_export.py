"""Export: whole or not at all, and only what answers as it was measured."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from components.core.errors import PipelineError
from components.core.files import sha256_of
from components.evaluate.run import evaluate
from components.export.run import export
from components.export.settings import ExportSettings


@pytest.fixture(scope="module")
def evaluation(trained, tmp_path_factory) -> str:
    place = tmp_path_factory.mktemp("evaluated")
    evaluate(trained.dataset, trained.model, str(place / "evaluation"), str(place / "report"), str(place / "board"))
    return str(place / "evaluation")


def test_what_is_exported_is_listed_and_proved(trained, evaluation, tmp_path):
    exported = tmp_path / "exported"
    manifest = export(ExportSettings(model_version=7), trained.dataset, trained.model, evaluation, str(exported))
    assert json.loads((exported / "manifest.json").read_text()) == manifest.model_dump(mode="json")
    files = {file.path: file.sha256 for file in manifest.files}
    assert {"saved_model/7/saved_model.pb", "model.keras", "MODEL_CARD.md"} <= set(files)
    assert all(sha256_of(exported / path) == digest for path, digest in files.items())
    assert set(manifest.agreement) == {"saved_model", "keras"}
    assert all(difference <= 1e-4 for difference in manifest.agreement.values())
    card = (exported / "MODEL_CARD.md").read_text()
    assert f"Test accuracy {manifest.accuracy:.4f}" in card
    assert manifest.dataset_fingerprint in card
    assert [path.name for path in tmp_path.iterdir()] == ["exported"]


def test_a_model_that_answers_otherwise_than_measured_is_not_exported(trained, evaluation, tmp_path):
    copy = tmp_path / "evaluation"
    shutil.copytree(evaluation, copy)
    with np.load(copy / "predictions.npz") as predictions:
        labels, probabilities = predictions["labels"], predictions["probabilities"]
    np.savez(copy / "predictions.npz", labels=labels, probabilities=np.roll(probabilities, 1, axis=1))
    with pytest.raises(PipelineError, match="saved_model export to answer test pictures as evaluate measured"):
        export(ExportSettings(), trained.dataset, trained.model, str(copy), str(tmp_path / "exported"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evaluation"]


def test_without_an_evaluation_nothing_is_exported(trained, tmp_path):
    with pytest.raises(PipelineError, match="run evaluate first"):
        export(ExportSettings(), trained.dataset, trained.model, str(tmp_path / "none"), str(tmp_path / "exported"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../up", "a/b", "", "Upper", "-dash"])
def test_a_model_name_is_a_plain_name(name):
    with pytest.raises(PipelineError, match="model_name"):
        ExportSettings.checked(model_name=name)


def test_a_version_is_a_positive_number():
    with pytest.raises(PipelineError, match="model_version"):
        ExportSettings.checked(model_version=0)


def test_an_older_export_survives_a_failing_one(trained, evaluation, tmp_path):
    exported = tmp_path / "exported"
    export(ExportSettings(), trained.dataset, trained.model, evaluation, str(exported))
    before = sha256_of(exported / "manifest.json")
    broken = tmp_path / "model"
    shutil.copytree(trained.model, broken)
    pathlib.Path(broken, "model.keras").write_bytes(b"no model")
    with pytest.raises(PipelineError, match="can't be loaded"):
        export(ExportSettings(), trained.dataset, str(broken), evaluation, str(exported))
    assert sha256_of(exported / "manifest.json") == before
