"""make predict-all: any model that is found here answers, by the code of a cluster's step."""

import json
import subprocess
import sys

import pytest

from components.core.errors import PipelineError
from components.core.registry import Registry, read_export
from components.predict.run import predict
from components.predict.settings import AnswerSettings, PredictSettings
from pipeline import ROOT
from pipeline.models.predict_all import predict_all
from tests.components.predict.conftest import digits, made, write_pictures  # noqa: F401


def test_a_registrys_version_and_a_model_file_answer(made, digits, tmp_path, capsys):  # noqa: F811
    made().publish(str(tmp_path / "registry"))
    folder = write_pictures(tmp_path / "new", digits.splits["validation"][0][:40])
    settings = AnswerSettings(source=str(folder), out=str(tmp_path / "answers"), top=1)
    outputs = tmp_path / "outputs"
    predict_all("digits@champion", str(tmp_path / "registry"), outputs, settings)
    said = capsys.readouterr().out
    assert "answered 40 pictures" in said and "drift: " in said
    [file] = (tmp_path / "answers" / "digits-1").glob("answers-*.jsonl")
    first = json.loads(file.read_text().splitlines()[0])
    assert first["picture"] == str(folder / "0000.png") and len(first["probabilities"]) == 1
    # The same version, found by a place: nothing is new.
    predict_all(str(tmp_path / "registry" / "models" / "digits" / "1"), "", outputs, settings)
    assert "nothing new: 40 pictures" in capsys.readouterr().out
    # So it is for the predict step, on a cluster.
    step = PredictSettings(**settings.model_dump(), model="digits@1", registry=str(tmp_path / "registry"))
    assert predict(step).pictures == 0
    # A model that no registry knows is called by its files.
    predict_all(str(made().saved_model), "", outputs, settings)
    assert "no drift report" not in capsys.readouterr().out
    assert len([place for place in (tmp_path / "answers").iterdir() if place.is_dir()]) == 2


def test_an_export_goes_by_its_models_name_and_is_loaded_only_for_what_is_new(exported, digits, tmp_path, capsys):  # noqa: F811
    folder = write_pictures(tmp_path / "new", digits.splits["validation"][0][:3])
    given = {"source": str(folder), "out": str(tmp_path / "answers")}
    predict_all(str(exported[1]), "", tmp_path, AnswerSettings(**given))
    first = capsys.readouterr().out
    code = (
        "import pathlib, sys; from components.predict.settings import AnswerSettings as Settings\n"
        "from pipeline.models.predict_all import predict_all\n"
        f"predict_all({str(exported[1])!r}, '', pathlib.Path(), Settings(**{given!r}))\n"
        "print('loaded', 'tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "answered 3 pictures" in first and f"answers/{exported[0].model_name}-" in first
    assert "nothing new: 3 pictures" in second and "loaded False" in second


def test_what_is_not_given_is_asked_for(tmp_path):
    with pytest.raises(PipelineError, match="source: expected one, received none; give SOURCE=folder"):
        predict_all("", "", tmp_path, AnswerSettings())
    with pytest.raises(PipelineError, match="out: expected one"):
        predict_all("", "", tmp_path, AnswerSettings(source="x"))


def test_an_exports_reference_is_published_with_it(exported, tmp_path):
    registry = Registry(str(tmp_path))
    published = registry.publish("digits", *read_export(exported[1]))
    assert "assets.extra/reference.json" in published.files
    assert published.files["assets.extra/reference.json"].bytes < 40_000  # counts, and a hundred digits
