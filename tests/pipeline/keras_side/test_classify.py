"""Picture files through every kind of model: the answers are evaluate's, odd files are converted or told of."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from components.core.artifacts.dataset import read_info
from components.core.artifacts.served_model import DESCRIPTION
from components.core.errors import PipelineError
from components.core.pictures.decode import Target, decode
from pipeline.keras_side.classify import class_names, classify, open_classifier
from tests.datasets import load_split


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory) -> pathlib.Path:
    """The first 300 test pictures as PNG files: more than a batch."""
    place = tmp_path_factory.mktemp("pictures")
    pictures, _ = load_split(trained.dataset, read_info(trained.dataset), "test")
    for number, picture in enumerate(pictures[:300]):
        Image.fromarray(picture.squeeze(2)).save(place / f"{number:03d}.png")
    return place


@pytest.fixture(scope="module")
def measured(evaluation) -> np.ndarray:
    with np.load(pathlib.Path(evaluation) / "predictions.npz", allow_pickle=False) as predictions:
        return predictions["probabilities"]


@pytest.mark.parametrize("place", ["", "saved_model", "saved_model/7", "model.keras"])
def test_an_export_answers_files_as_evaluate_measured(exported, folder, measured, place):
    classifier = open_classifier(exported[1] / place)
    assert classifier.class_names == [str(digit) for digit in range(10)]
    answered = list(classify(classifier, sorted(folder.iterdir())))
    assert [answer.path.name for answer in answered] == [f"{number:03d}.png" for number in range(300)]
    np.testing.assert_allclose(np.stack([answer.probabilities for answer in answered]), measured[:300], atol=1e-5)


def test_a_model_artifact_and_a_bare_file_answer_too(trained, folder, measured, tmp_path):
    few = sorted(folder.iterdir())[:3]
    artifact = open_classifier(pathlib.Path(trained.model))
    assert artifact.target.resize == read_info(trained.dataset).resize == "resize"
    shutil.copy(f"{trained.model}/model.keras", tmp_path / "alone.keras")
    bare = open_classifier(tmp_path / "alone.keras")
    assert bare.class_names == [str(number) for number in range(10)]
    for classifier in (artifact, bare):
        found = np.stack([answer.probabilities for answer in classify(classifier, few)])
        np.testing.assert_allclose(found, measured[:3], atol=1e-5)


def test_odd_pictures_are_converted_as_preprocess_does_and_broken_ones_stop_nothing(exported, folder, tmp_path):
    random = np.random.default_rng(2).integers(0, 256, (40, 30, 4), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(random[..., :3]).save(tmp_path / "1-turned.jpg", exif=exif)
    Image.fromarray(random, "RGBA").save(tmp_path / "2-transparent.png")
    (tmp_path / "3-broken.png").write_bytes(b"no picture")
    (tmp_path / "4-empty.jpg").touch()
    Image.fromarray(random[..., 0].astype(np.uint16) * 257).save(tmp_path / "5-deep.png")
    files = sorted(tmp_path.iterdir())
    classifier = open_classifier(exported[1])
    answered = list(classify(classifier, [*files, folder / "none.png"]))
    assert [bool(answer.reason) for answer in answered] == [False, False, True, True, False, True]
    assert [answer.reason for answer in answered if answer.reason] == [
        "not a picture of a known format, or damaged from its start",
        "the file is empty",
        "No such file or directory",
    ]
    for place in (0, 1, 4):
        pixels = decode(files[place].read_bytes(), None, Target(8, 8, 1, "resize")).pixels
        expected = classifier.answer(pixels[None])[0]
        np.testing.assert_allclose(answered[place].probabilities, expected, atol=1e-5)


@pytest.mark.parametrize("text", ['[{"name": "app"}]', "7", '{"class_names": "abc", "image_shape": [8, 8]}', "{"])
def test_a_manifest_of_another_program_says_nothing(trained, tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / "below").mkdir()
    shutil.copy(f"{trained.model}/model.keras", tmp_path / "below")
    assert open_classifier(tmp_path / "below" / "model.keras").class_names == [str(number) for number in range(10)]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"class_names": ["a", "b"], "image_shape": [8, 8, 1]}, r"by 2 classes, .* received \(1, 10\); give the whole"),
        (
            {"class_names": ["a"] * 10, "image_shape": [9, 9, 1]},
            r"of \(9, 9, 1\) .*, received .*; give the",
        ),
    ],
)
def test_a_manifest_of_another_model_is_told_as_that(trained, tmp_path, facts, said):
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    shutil.copy(f"{trained.model}/model.keras", tmp_path)
    with pytest.raises(PipelineError, match=said):
        open_classifier(tmp_path / "model.keras")


def test_of_several_versions_the_highest_number_answers(exported, tmp_path):
    for number in ("9", "10"):
        described = shutil.copytree(exported[1] / "saved_model" / "7", tmp_path / number) / DESCRIPTION
        described.write_text(described.read_text().replace('"0"', f'"of {number}"'))
    assert class_names(tmp_path)[0] == "of 10"


def test_no_files_give_no_answers(exported):
    assert list(classify(open_classifier(exported[1]), [])) == []


def test_what_is_no_model_is_one_line(exported, tmp_path):
    with pytest.raises(PipelineError, match="which does not exist"):
        open_classifier(tmp_path / "none")
    with pytest.raises(PipelineError, match="expected an export, a SavedModel directory"):
        open_classifier(tmp_path)
    (tmp_path / "model.keras").write_text("no")
    with pytest.raises(PipelineError, match="can't be loaded"):
        open_classifier(tmp_path)
    shutil.copytree(exported[1] / "saved_model" / "7", tmp_path / "1")
    shutil.rmtree(tmp_path / "1" / "assets.extra")
    with pytest.raises(PipelineError, match="give the whole export"):
        open_classifier(tmp_path / "1")
