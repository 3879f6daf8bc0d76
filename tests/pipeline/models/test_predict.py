"""`python -m pipeline predict`: from picture files to lines and to CSV, and what is refused."""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from components.core.errors import PipelineError
from components.core.framework import load_keras
from pipeline import ROOT
from pipeline.models.predict import find_pictures, predict_files


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A model artifact that tells dark, medium and light pictures apart."""
    keras = load_keras()
    place = tmp_path_factory.mktemp("model")
    pictures = keras.Input((6, 4, 3), dtype="uint8")
    values = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(pictures))
    classes = keras.layers.Dense(3, activation="softmax")
    network = keras.Model(pictures, classes(values))
    # Logits 8, 16 x - 0, 32 x - 12 of the brightness x: largest in turn below 0.5, to 0.75, above.
    classes.set_weights([np.outer(np.ones(3), [0, 16, 32]) / 3, np.array([8.0, 0.0, -12.0])])
    network.save(place / "model.keras")
    names = ["dark", "in between, neither", "light"]
    (place / "training.json").write_text(json.dumps({"class_names": names, "image_shape": [6, 4, 3]}))
    return str(place)


@pytest.fixture
def pictures(tmp_path) -> pathlib.Path:
    folder = tmp_path / "my pictures"
    (folder / "below").mkdir(parents=True)
    Image.new("RGB", (40, 60), (250, 250, 250)).save(folder / "b.png")
    Image.new("L", (4, 6), 160).save(folder / "below" / "c.jpg")
    Image.new("RGB", (9, 9), (5, 5, 5)).save(folder / "a.jpg")
    (folder / "damaged.png").write_text("no picture")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_text("no picture")
    return folder


def test_a_picture_is_answered_on_the_terminal_and_a_class_that_it_has_no_signs_for_is_escaped(
    model, pictures, tmp_path
):
    shutil.copy(f"{model}/model.keras", tmp_path)
    names = ["trüb, naïve", "明るい", "hell"]
    (tmp_path / "training.json").write_text(json.dumps({"class_names": names, "image_shape": [6, 4, 3]}))
    model = str(tmp_path)
    command = [sys.executable, "-m", "pipeline", "predict", "--model", model, "--top", "2", str(pictures / "a.jpg")]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    said = subprocess.run(command, capture_output=True, encoding="latin-1", cwd=ROOT, env=environment)
    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    assert [line.split("%")[1].strip() for line in lines] == ["trüb, naïve", r"\u660e\u308b\u3044"]
    assert float(lines[0].split("%")[0]) > 99


def test_answers_that_are_kept_in_a_file_are_answers_alone(model, pictures, tmp_path, capsys, monkeypatch):
    """A line of progress every ten seconds stood before them."""
    monkeypatch.setattr("components.core.progress.LOG_INTERVAL_S", 0.0)
    predict_files(model, [str(pictures / "a.jpg")], "", 2, tmp_path)
    said = capsys.readouterr()
    assert "predict: 100%, 1 of 1 pictures" in said.err and "predict:" not in said.out


@pytest.mark.parametrize("top", [0, 7])
def test_a_folder_becomes_a_csv_file_with_what_could_not_be_read(model, pictures, tmp_path, capsys, top):
    predict_files(model, [str(pictures)], str(tmp_path / "answers.csv"), top, tmp_path)
    with (tmp_path / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ranks = ["class", "probability", "class_2", "probability_2", "class_3", "probability_3"]
    assert list(rows[0]) == ["file", *ranks, "error"]
    assert [(pathlib.Path(row["file"]).name, row["class"]) for row in rows] == [
        ("a.jpg", "dark"),
        ("b.png", "light"),
        ("c.jpg", "in between, neither"),
        ("damaged.png", ""),
    ]
    assert [float(rows[2][rank]) for rank in ranks[1::2]] == pytest.approx([0.787, 0.111, 0.102], abs=1e-3)
    assert "not a picture of a known format" in rows[3]["error"]
    said = capsys.readouterr().out
    assert "wrote 4 rows" in said and "1 of 4 could not be read" in said and "damaged.png" in said
    assert "1 left out: not a picture by its extension: 1 .txt" in said


def test_a_tilde_is_the_home(model, pictures, tmp_path, monkeypatch, capsys):
    """Some shells, as zsh, hand IMAGE=~/a.jpg on as it was typed. OUT made a folder called ~ here."""
    monkeypatch.setenv("HOME", str(pictures))
    monkeypatch.chdir(tmp_path)
    predict_files(model, ["~/a.jpg"], "~/answers.csv", 1, tmp_path)
    assert (pictures / "answers.csv").is_file() and not (tmp_path / "~").exists()
    assert f"wrote 1 row to {pictures / 'answers.csv'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("image", "out", "said"),
    [
        (
            "a.jpg",
            "gs://bucket/answers.csv",
            "a path on this machine, received gs://bucket/answers.csv; (make )?predict-all",
        ),
        ("s3://bucket/a.jpg", "", "a path on this machine, received s3://bucket/a.jpg; (make )?predict-all"),
        ("a.jpg", "below/", "a CSV file to write, received the folder below/; give below/answers.csv"),
        ("~no-such-user/a.jpg", "", "the home folder of a user not known here"),
    ],
)
def test_places_that_are_no_files_of_this_machine_are_refused_at_once(pictures, monkeypatch, image, out, said):
    """Answers for a bucket went to a folder called `gs:` here; that OUT is a folder was told after all was answered."""
    monkeypatch.chdir(pictures)
    with pytest.raises(PipelineError, match=f"expected .*{said}"):
        predict_files("no such model", [image], out, 1, pictures)
    assert not list(pictures.glob("*:*"))


def test_a_place_that_takes_no_file_is_told_before_anything_is_answered(pictures):
    """As a folder that one may not write to: all answers were lost at the end."""
    with pytest.raises(FileExistsError):
        predict_files("no such model", [str(pictures)], f"{pictures}/a.jpg/answers.csv", 1, pictures)


def test_a_film_among_the_pictures_is_not_read(model, pictures, tmp_path, capsys):
    for name in ("film.mov", "film.png"):
        with (pictures / name).open("wb") as film:
            film.truncate(3 << 30)  # a hole: it takes no room
    tracemalloc.start()
    predict_files(model, [str(pictures)], str(tmp_path / "answers.csv"), 1, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 << 20
    said = capsys.readouterr().out
    assert "2 left out: not a picture by its extension: 1 .mov and 1 .txt" in said
    assert "2 of 5 could not be read" in said
    with (tmp_path / "answers.csv").open(newline="") as file:
        errors = {pathlib.Path(row["file"]).name: row["error"] for row in csv.DictReader(file)}
    assert errors["film.png"].startswith("3,221,225,472 bytes are more than a picture has")


def test_names_that_are_no_utf_8(model, tmp_path):
    folder = os.fsencode(tmp_path) + b"/k\xe4tze"
    os.mkdir(folder)  # noqa: PTH102, pathlib takes no bytes
    for name in (b"b\xff.png", b"caf\xe9.png"):
        Image.new("RGB", (9, 9), (5, 5, 5)).save(os.fsdecode(folder + b"/" + name))
    command = [sys.executable, "-m", "pipeline", "predict", "--model", model]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    said = subprocess.run([*command, folder], capture_output=True, cwd=ROOT, env=environment, text=True)
    assert (said.returncode, said.stderr) == (0, "")
    assert "k\\udce4tze/b\\udcff.png" in said.stdout
    predict_files(model, [os.fsdecode(folder)], str(tmp_path / "answers.csv"), 1, tmp_path)
    assert "k\\udce4tze/b\\udcff.png" in (tmp_path / "answers.csv").read_text(encoding="utf-8")
    missing = subprocess.run([*command, folder + b"/none"], capture_output=True, cwd=ROOT, env=environment, text=True)
    assert missing.returncode == 1
    assert missing.stderr.count("\n") == 1 and "which does not exist" in missing.stderr


def test_several_pictures_are_told_apart_by_their_names(model, pictures, tmp_path, capsys):
    predict_files(model, [str(pictures / "a.jpg"), str(pictures / "b.png")], "", 5, tmp_path)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == str(pictures / "a.jpg") and lines[4] == str(pictures / "b.png") and len(lines) == 8


def test_files_none_of_which_is_a_picture_are_refused(model, pictures, tmp_path):
    with pytest.raises(PipelineError, match="received .*notes.txt: not a picture"):
        predict_files(model, [str(pictures / "notes.txt")], str(tmp_path / "answers.csv"), 3, tmp_path)
    assert not (tmp_path / "answers.csv").exists()


def test_pictures_that_are_not_there_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for given, said in (([], "name a file or a folder"), (["no.png"], "no.png, which does not exist")):
        with pytest.raises(PipelineError, match=said):
            find_pictures(given)
    with pytest.raises(PipelineError, match="received an empty folder"):
        find_pictures([str(tmp_path / "empty")])


def test_links_to_folders_are_told_of(pictures, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "linked").symlink_to(pictures)
    behind = "left out: the folders behind 1 link, for instance linked"
    with pytest.raises(PipelineError, match=f"received {behind}"):
        find_pictures([str(tmp_path / "mine")])
    shutil.copy(pictures / "a.jpg", tmp_path / "mine" / "a.jpg")
    assert find_pictures([str(tmp_path / "mine")]) == [tmp_path / "mine" / "a.jpg"]
    assert behind in capsys.readouterr().out
