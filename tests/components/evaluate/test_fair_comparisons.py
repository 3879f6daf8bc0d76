"""Who is compared on which pictures, and how often: nobody on what it has learned from, and nobody promoted by luck."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from components.core.artifacts.dataset import INFO_FILE, DatasetInfo, read_info
from components.core.artifacts.dataset_reading import load_split
from components.core.artifacts.evaluation import Decision, read_decision
from components.core.artifacts.model import load_model
from components.core.artifacts.picture_hashes import (
    HASHES_FILE,
    LEARNED_FILE,
    learned_hashes,
    split_hashes,
    write_hashes,
)
from components.core.errors import PipelineError
from components.core.registry import Registry
from components.core.storage import Denied, PreconditionFailed, Store
from components.evaluate.champion import Champion
from components.evaluate.comparing import LEAST_ASKED, differently_made
from components.evaluate.gate import Duel, allowed, decide
from components.evaluate.looks import count_look, share_of
from components.evaluate.measure.paired import mcnemar
from components.evaluate.run import evaluate
from components.evaluate.settings import EvaluateSettings
from tests.servers.fixtures import gcs_server, place, s3_server  # noqa: F401

MUCH = 8.0  # a bias that ruins a model


@pytest.fixture
def judge(linear, tmp_path):
    """Evaluates a model artifact against the champion of `digits`; gives the decision."""

    def judged(model: str, registry: str, dataset: str = "", **settings) -> Decision:
        outputs = [str(tmp_path / name) for name in ("evaluation", "report", "board")]
        chosen = EvaluateSettings(behaviour="off", publish_uri=registry, model_name="digits", **settings)
        evaluate(chosen, dataset or linear.dataset, model, *outputs)
        return read_decision(outputs[0])

    return judged


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


def test_copies_of_what_the_challenger_has_learned_from_are_not_asked(judge, linear, saved, crowned, tmp_path):
    """A test split that the source gives may hold copies of training pictures."""
    dataset = tmp_path / "dataset"
    shutil.copytree(linear.dataset, dataset)
    info = read_info(dataset)
    every = [split_hashes(dataset, info, split) for split in ("train", "validation", "test")]
    every[2] = np.concatenate([every[0][:100], every[1][:100], every[2][200:]])
    document = json.loads((dataset / INFO_FILE).read_text())
    document["hashes_sha256"] = write_hashes(dataset / HASHES_FILE, np.concatenate(every))
    (dataset / INFO_FILE).write_text(json.dumps(document))
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH))
    assert judge(linear.model, registry, str(dataset)).comparison.pictures == 300
    page = " ".join((tmp_path / "report").read_text().split())
    assert "200 of the test pictures are copies of pictures that it learned from, and prove nothing." in page


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


def test_what_the_challenger_was_started_from_has_learned_for_it(judge, started, saved, crowned, hashes, tmp_path):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH))
    assert judge(started(hashes[:200]), registry).comparison.pictures == 300
    page = " ".join((tmp_path / "report").read_text().split())
    assert "200 of the test pictures are copies of pictures that it learned from, and prove nothing." in page


def test_a_challenger_started_from_what_does_not_say_what_it_learned_from(judge, started, saved, crowned, tmp_path):
    registry, model = str(tmp_path / "registry"), started(None)
    assert judge(model, registry).verdict == "export"  # there is nothing to compare with
    crowned(registry, saved(MUCH))
    decision = judge(model, registry)
    assert (decision.verdict, decision.comparison) == ("keep", None)
    assert "since the challenger was started from a model without learned.npy, so that nobody can know" in decision.said
    assert judge(model, registry, gate="min_accuracy").verdict == "export"
    page = " ".join((tmp_path / "report").read_text().split())
    assert "It was started from x.keras, which may have learned from test pictures." in page


def test_too_few_pictures_decide_nothing(judge, linear, saved, crowned, hashes, tmp_path):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH), hashes[: 500 - LEAST_ASKED + 1])
    decision = judge(linear.model, registry)
    assert (decision.verdict, decision.champion, decision.comparison) == ("keep", 1, None)
    assert decision.said == (
        "does not pass the gate: digits version 1, the champion, can't be compared with, since there are only 29 test "
        "pictures of 500 that neither has learned from, and a comparison takes 30: add new pictures (a larger "
        "test_split takes more of them), choose another model_name, or gate=min_accuracy to replace it"
    )
    crowned(registry, saved(MUCH), hashes[: 500 - LEAST_ASKED])
    assert judge(linear.model, registry).comparison.pictures == LEAST_ASKED
    assert judge(linear.model, registry, gate="min_accuracy").verdict == "export"


def test_a_champion_that_does_not_say_what_it_learned_from_is_not_compared_with(
    judge, linear, saved, crowned, tmp_path
):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH), None)
    decision = judge(linear.model, registry)
    assert (decision.verdict, decision.comparison) == ("keep", None)
    assert "since it has no assets.extra/learned.npy, which says what pictures it learned from: choose" in decision.said
    assert judge(linear.model, registry, gate="min_accuracy").verdict == "export"


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
    assert decision.verdict == "keep"


@pytest.mark.parametrize("damage", [b"", b"rubbish"])
def test_a_damaged_record_of_what_it_learned_from_is_an_incident(
    judge, linear, saved, crowned, tmp_path, monkeypatch, damage
):
    registry = str(tmp_path / "registry")
    monkeypatch.setattr(
        "tests.components.evaluate.conftest.write_hashes", lambda path, hashes: path.write_bytes(damage), raising=True
    )
    crowned(registry, saved(MUCH))
    with pytest.raises(PipelineError, match="the champion, can't be compared with: .*gate=min_accuracy") as caught:
        judge(linear.model, registry)
    assert "\n" not in str(caught.value)


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
        ({"image_shape": [16, 16, 3]}, {}, "it takes pictures of 16 x 16 x 3, this data set has 8 x 8 x 1"),
    ],
)
def test_a_champion_is_asked_pictures_made_as_it_is_served_them(linear, described, found, said):
    info = DatasetInfo.model_validate(read_info(linear.dataset).model_dump() | found)
    assert differently_made({"image_shape": [8, 8, 1]} | described, info) == said


# Looks: how often the same pictures were asked.


def test_each_comparison_spends_less_and_all_of_them_no_more_than_there_is():
    assert [share_of(look) for look in (1, 2, 3)] == [1 / 2, 1 / 6, 1 / 12]
    assert sum(share_of(look) for look in range(1, 100_000)) == pytest.approx(1, abs=1e-4)
    assert sum(share_of(look) for look in range(1, 100_000)) < 1
    assert allowed(0.05, 1) == 0.025
    assert allowed(1, 200) == 1


@dataclasses.dataclass
class Clock:
    """Hands out pictures that nobody has seen."""

    now: int = 0

    def fresh(self, count: int) -> np.ndarray:
        self.now += count
        return np.arange(self.now - count, self.now, dtype=np.uint64) * np.uint64(2**40 + 1)


def test_looks_are_counted_by_picture(place):  # noqa: F811
    store, clock = Registry(place.uri).store, Clock()
    first, second = clock.fresh(50), clock.fresh(50)
    assert count_look(store, "digits", first, "a", 1) == 1
    assert count_look(store, "digits", first, "b", 1) == 2
    assert count_look(store, "digits", second, "b", 1) == 1
    # One picture that was asked before makes it another look; the others count with it.
    assert count_look(store, "digits", np.concatenate([clock.fresh(49), first[:1]]), "c", 1) == 3
    assert count_look(store, "digits", np.concatenate([first, clock.fresh(50)]), "d", 2) == 4
    assert count_look(store, "cats", first, "a", 1) == 1
    # The very same comparison again is no new chance: of a step that was killed, or of a retry.
    assert count_look(store, "digits", first, "b", 1) == 2
    assert count_look(store, "digits", first[::-1], "b", 1) == 2
    assert count_look(store, "digits", first, "b", 2) == 5
    assert Registry(place.uri).names() == []


def test_challengers_at_the_same_moment_are_all_counted(place, monkeypatch):  # noqa: F811
    store, pictures, write = Registry(place.uri).store, Clock().fresh(40), Store.write_bytes
    others = iter("bcd")

    def overtaken(self, *arguments, **conditions):
        if other := next(others, None):
            monkeypatch.setattr(Store, "write_bytes", write)
            count_look(store, "digits", pictures, other, 1)
            monkeypatch.setattr(Store, "write_bytes", overtaken)
        return write(self, *arguments, **conditions)

    monkeypatch.setattr(Store, "write_bytes", overtaken)
    assert count_look(store, "digits", pictures, "a", 1) == 4


def test_a_count_that_can_not_be_written_loses_no_model(judge, linear, saved, crowned, tmp_path, monkeypatch, capsys):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH))

    def refused(*_, **__):
        raise Denied("may not write to the registry; ask for the right to")

    monkeypatch.setattr(Store, "write_bytes", refused)
    assert judge(linear.model, registry).verdict == "export"
    assert "warning: comparison 1 on these test pictures could not be counted: may not write" in capsys.readouterr().out

    def overtaken(*_, **__):
        raise PreconditionFailed("somebody else")

    monkeypatch.setattr(Store, "write_bytes", overtaken)
    assert judge(linear.model, registry).verdict == "export"
    assert "could not be counted: others were, 20 times" in capsys.readouterr().out


def test_a_damaged_count_starts_again(place, capsys):  # noqa: F811
    store, pictures = Registry(place.uri).store, Clock().fresh(40)
    for damage in (b"", b"PK\x03\x04", b"rubbish"):
        store.write_bytes("models/.looks/digits.npz", damage)
        assert count_look(store, "digits", pictures, "a", 1) == 1
        assert "can't be read" in capsys.readouterr().out
        assert count_look(store, "digits", pictures, "b", 1) == 2


def test_a_refused_challenger_counts_and_a_later_one_must_be_surer(judge, linear, biased, saved, crowned, tmp_path):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH))
    for look, bias in enumerate((MUCH + 1, MUCH + 2, MUCH + 3), start=1):
        decision = judge(biased(bias), registry)
        assert (decision.verdict, decision.comparison.look) == ("keep", look)
    assert judge(biased(MUCH + 3), registry).comparison.look == 3
    last = judge(linear.model, registry)
    assert last.verdict == "export"
    assert last.comparison.p_allowed == pytest.approx(0.05 / 20)
    assert "that significance 0.05 leaves after 3 challengers were compared on these pictures" in last.said
    assert "3 challengers were compared on these pictures before" in (tmp_path / "report").read_text()


def test_of_200_nights_without_a_better_model_hardly_any_promotes_one():
    """The decision itself, on models that are all equally good: they differ by luck alone.

    400 runs of 200 nights, each with a champion and test pictures of its own; pictures are easy or hard for all models
    alike, and the champion may have been unlucky with them, which helps every challenger.
    """
    random, settings, runs, nights, pictures = (
        np.random.default_rng(3),
        EvaluateSettings(publish_uri="x"),
        400,
        200,
        300,
    )
    champion, labels = Champion("digits version 1", 1, other=""), np.zeros(pictures, np.int64)
    promoted_somewhen = promoted_at_once = 0
    for _ in range(runs):
        chances = random.beta(2, 0.5, pictures)
        champion_right = random.random(pictures) < chances
        answers = np.stack([champion_right, ~champion_right], axis=1).astype(np.float32)
        right = random.random((nights, pictures)) < chances
        better, worse = (right & ~champion_right).sum(axis=1), (champion_right & ~right).sum(axis=1)
        # The nights worth deciding: those that could pass at all at the plain significance.
        hopeful = [night for night in np.flatnonzero(better > worse) if mcnemar(better[night], worse[night]) <= 0.05]
        promoted_at_once += bool(hopeful)
        for night in hopeful:
            challenger = np.stack([right[night], ~right[night]], axis=1).astype(np.float32)
            duel = Duel(np.ones(pictures, bool), answers, int(night) + 1)
            if decide(settings, labels, challenger, [], champion, duel).passed:
                promoted_somewhen += 1
                break
    print(f"{promoted_somewhen / runs:.3f} with the count, {promoted_at_once / runs:.3f} without")
    assert promoted_at_once / runs > 0.5
    assert promoted_somewhen / runs <= 0.05


def test_what_a_model_has_learned_from_is_known_without_its_pictures(linear):
    info = read_info(linear.dataset)
    learned = learned_hashes(linear.dataset, info)
    assert (learned[1:] > learned[:-1]).all()
    assert learned.nbytes == 8 * (info.splits["train"].count + info.splits["validation"].count)
