"""Who is compared on which pictures, and how often: nobody on what it has learned from, and nobody promoted by luck."""

import json
import shutil

import numpy as np
import pytest

from components.core.artifacts.dataset import INFO_FILE, SPLITS, DatasetInfo, read_info
from components.core.artifacts.model import load_model
from components.core.artifacts.picture_hashes import (
    HASHES_FILE,
    LEARNED_FILE,
    learned_hashes,
    split_hashes,
    write_hashes,
)
from components.core.artifacts.served_model import Description
from components.core.errors import PipelineError
from components.evaluate.comparing import LEAST_ASKED, differently_made
from components.evaluate.run import evaluate
from components.evaluate.settings import EvaluateSettings
from tests.components.evaluate.conftest import MUCH
from tests.datasets import load_split


@pytest.fixture
def hashes(linear) -> np.ndarray:
    """Of the test pictures."""
    return split_hashes(linear.dataset, read_info(linear.dataset), "test")


def test_a_champion_is_not_asked_what_it_has_learned_from_elsewhere(judge, linear, saved, crowned, hashes, tmp_path):
    """Another data set or split had 380 of the 500 test pictures among its training pictures."""
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH), hashes[:380])
    decision = judge(linear.model, registry)
    pictures, labels = load_split(linear.dataset, read_info(linear.dataset), "test")
    assert decision.pictures == 500
    assert decision.comparison.pictures == 120
    right = load_model(f"{linear.model}/model.keras").predict(pictures[380:], verbose=0).argmax(axis=1) == labels[380:]
    assert decision.comparison.accuracy == pytest.approx(right.mean())
    assert "the champion, on the 120 test pictures that neither has learned from" in decision.said
    page = (tmp_path / "report").read_text()
    assert "those of the 500 test pictures that neither has learned from" in " ".join(page.split())


def test_a_champion_of_other_pictures_may_be_another_project_s_and_that_is_told(
    judge, linear, saved, crowned, tmp_path
):
    """Two people call their folders photos, and their classes ok and defect: one's model replaced the other's."""
    own, others = str(tmp_path / "own"), str(tmp_path / "others")
    crowned(own, saved(MUCH))
    crowned(others, saved(MUCH), np.arange(100, dtype=np.uint64))
    said = "digits version 1 has learned from none of this data set's pictures; choose another model_name if it is an"
    assert said not in judge(linear.model, own).said
    decision = judge(linear.model, others)
    assert decision.passed and said in decision.said
    assert "digits version 1 has learned from none of this data set" in (tmp_path / "report").read_text()


def test_copies_of_what_the_challenger_has_learned_from_are_not_asked(judge, linear, saved, crowned, tmp_path):
    """A test split that the source gives may hold copies of training pictures, and of its own, which are asked once."""
    dataset = tmp_path / "dataset"
    shutil.copytree(linear.dataset, dataset)
    info = read_info(dataset)
    every = [split_hashes(dataset, info, split) for split in ("train", "validation", "test")]
    every[2] = np.concatenate([every[0][:100], every[1][:100], every[2][200:450], every[2][200:250]])
    document = json.loads((dataset / INFO_FILE).read_text())
    document["hashes_sha256"] = write_hashes(dataset / HASHES_FILE, np.concatenate(every))
    (dataset / INFO_FILE).write_text(json.dumps(document))
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH))
    assert judge(linear.model, registry, str(dataset)).comparison.pictures == 250
    page = " ".join((tmp_path / "report").read_text().split())
    assert "200 of the test pictures are copies of pictures that it learned from, and prove nothing." in page


@pytest.mark.parametrize("gone", [False, True])
def test_who_has_learned_from_one_picture_of_a_group_is_asked_none_of_it(judge, linear, saved, crowned, tmp_path, gone):
    """The champion knows one of two test patients, by a picture or, if that is gone, by number; and another picture."""
    dataset = tmp_path / "dataset"
    shutil.copytree(linear.dataset, dataset)
    info = read_info(dataset)
    every = np.concatenate([split_hashes(dataset, info, split) for split in SPLITS])
    groups = np.arange(len(every)) - len(every)
    groups[-200:] //= 100
    groups = groups.astype(np.uint64)
    document = json.loads((dataset / INFO_FILE).read_text())
    document["hashes_sha256"] = write_hashes(dataset / HASHES_FILE, np.stack([every, groups]))
    (dataset / INFO_FILE).write_text(json.dumps(document))
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH), np.array([groups[-150] if gone else every[-150], every[-300]]))
    found = judge(linear.model, registry, str(dataset)).comparison
    assert found.pictures == 500 - 100 - 1
    assert found.pictures_a_chance > 2  # the other test patient's hundred are as good as one
    assert "Pictures of one group, and copies, get similar predictions" in (tmp_path / "report").read_text()


@pytest.fixture
def started(linear, tmp_path):
    """The model as if it had been started from one that has learned from pictures with these hashes."""

    def made(learned: np.ndarray | None) -> str:
        model = tmp_path / "started"
        shutil.copytree(linear.model, model)
        training = json.loads((model / "training.json").read_text())
        started_from = {"name": "x.keras", "sha256": "0" * 64, "kept": [], "anew": []}
        (model / "training.json").write_text(json.dumps(training | {"started_from": started_from}))
        (model / LEARNED_FILE).unlink()
        if learned is not None:
            write_hashes(model / LEARNED_FILE, learned)
        return str(model)

    return made


def test_what_the_challenger_started_from_has_learned_for_it(judge, started, saved, crowned, hashes, tmp_path, capsys):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH))
    assert judge(started(hashes[:200]), registry).comparison.pictures == 300
    page = " ".join((tmp_path / "report").read_text().split())
    assert (said := "200 of the test pictures are copies of pictures that it learned from, and prove nothing") in page
    assert f"warning: {said}\n" in capsys.readouterr().out  # who does not open the report takes the accuracy for true


def test_a_challenger_started_from_what_does_not_say_what_it_learned_from(judge, started, saved, crowned, tmp_path):
    registry, model = str(tmp_path / "registry"), started(None)
    assert judge(model, registry).passed  # there is nothing to compare with
    crowned(registry, saved(MUCH))
    decision = judge(model, registry)
    assert (decision.passed, decision.comparison) == (False, None)
    assert (
        "because the challenger was started from a model without learned.npy, so that nobody can know" in decision.said
    )
    assert judge(model, registry, gate="min_accuracy").passed
    page = " ".join((tmp_path / "report").read_text().split())
    assert "It was started from x.keras, which may have learned from test pictures." in page


def test_too_few_pictures_decide_nothing(judge, linear, saved, crowned, hashes, tmp_path):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH), hashes[: 500 - LEAST_ASKED + 1])
    decision = judge(linear.model, registry)
    assert (decision.passed, decision.champion, decision.comparison) == (False, 1, None)
    assert decision.said == (
        "does not pass the gate: digits version 1, the champion, can't be compared, because there are only 29 test "
        "pictures of 500 that neither has learned from, and a comparison takes 30: add new pictures (a larger "
        "test_split takes more of them), choose another model_name, or gate=min_accuracy to replace it"
    )
    crowned(registry, saved(MUCH), hashes[: 500 - LEAST_ASKED])
    assert judge(linear.model, registry).comparison.pictures == LEAST_ASKED
    assert judge(linear.model, registry, gate="min_accuracy").passed


def test_balanced_accuracy_is_asked_of_every_class_or_decides_nothing(judge, linear, saved, crowned, hashes, tmp_path):
    registry = str(tmp_path / "registry")
    _, labels = load_split(linear.dataset, read_info(linear.dataset), "test")
    crowned(registry, saved(MUCH), hashes[labels == 3])
    decision = judge(linear.model, registry, gate_metric="balanced_accuracy")
    assert (decision.passed, decision.comparison) == (False, None)
    assert "none of the test pictures of 3 is one that neither has learned from" in decision.said
    assert judge(linear.model, registry).passed


def test_a_champion_that_does_not_say_what_it_learned_from_is_not_compared_with(
    judge, linear, saved, crowned, tmp_path
):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH), None)
    decision = judge(linear.model, registry)
    assert (decision.passed, decision.comparison) == (False, None)
    assert (
        "because it has no assets.extra/learned.npy, which says what pictures it learned from: choose" in decision.said
    )
    assert judge(linear.model, registry, gate="min_accuracy").passed


def test_a_published_export_says_what_it_learned_from(judge, trained, exported, evaluation, tmp_path):
    """From the export step to the gate of the next run."""
    from components.export.publish import publish

    registry = str(tmp_path / "registry")
    first = tmp_path / "first"
    outputs = [str(first / name) for name in ("evaluation", "report", "board")]
    settings = EvaluateSettings(publish_uri=registry, model_name="digits")
    evaluate(settings, trained.dataset, trained.model, *outputs)
    assert publish(registry, "digits", str(exported[1]), outputs[0]).champion
    decision = judge(trained.model, registry)
    assert decision.comparison.pictures == 500
    assert not decision.passed


@pytest.mark.parametrize("damage", [b"", b"rubbish"])
def test_a_damaged_record_of_what_it_learned_from_is_an_incident(
    judge, linear, saved, crowned, tmp_path, monkeypatch, damage
):
    registry = str(tmp_path / "registry")
    monkeypatch.setattr(
        "tests.components.evaluate.conftest.write_hashes", lambda path, hashes: path.write_bytes(damage), raising=True
    )
    crowned(registry, saved(MUCH))
    with pytest.raises(PipelineError, match="the champion, can't be compared with: .*gate=min_accuracy"):
        judge(linear.model, registry)


@pytest.mark.parametrize(
    ("described", "found", "said"),
    [
        ({}, {}, ""),
        ({"resize": "resize"}, {}, ""),  # the data set had to resize nothing
        ({"resize": "crop"}, {"resized": 7}, ""),
        ({}, {"resized": 7}, ""),
        (
            {"resize": "resize"},
            {"resized": 1700},
            "it is served stretched pictures, and 1,700 of this data set's were cropped",
        ),
        (
            {"resize": "crop"},
            {"resized": 7, "resize": "resize"},
            "it is served cropped pictures, and 7 of this data set's were stretched",
        ),
        ({"image_shape": [8, 8, 3]}, {}, "it takes pictures of 8 x 8 x 3, this data set has 8 x 8 x 1"),
    ],
)
def test_a_champion_is_asked_pictures_made_as_it_is_served_them(linear, described, found, said):
    info = DatasetInfo.model_validate(read_info(linear.dataset).model_dump() | {"resize": "crop"} | found)
    served = Description.model_validate({"class_names": [], "image_shape": [8, 8, 1]} | described)
    assert differently_made(served, info) == said


def test_what_a_model_has_learned_from_is_known_without_its_pictures(linear):
    info = read_info(linear.dataset)
    learned = learned_hashes(linear.dataset, info)
    assert (learned[1:] > learned[:-1]).all()
    assert learned.nbytes == 8 * (info.splits["train"].count + info.splits["validation"].count)
