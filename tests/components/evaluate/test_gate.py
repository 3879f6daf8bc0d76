"""The gate, with real models and a real registry: who gets through, who does not, and what it says in each case."""

import json
import re
import shutil

import pytest

from components.core.artifacts.dataset import read_info
from components.core.artifacts.evaluation import Decision
from components.core.artifacts.model import load_model
from components.core.errors import PipelineError
from components.core.registry import Registry
from components.core.storage import StorageError
from components.evaluate.run import evaluate
from components.evaluate.settings import EvaluateSettings
from tests.components.evaluate.conftest import MUCH
from tests.datasets import load_split


def reasons(decision: Decision) -> str:
    """`+` for what speaks for the model, `-` for what speaks against it."""
    return "; ".join(f"{'+' if reason.holds else '-'}{reason.said}" for reason in decision.reasons)


# (challenger's bias, champion's bias or None, settings) -> (passed, what is said)
WITHOUT_A_CHAMPION = {
    "good enough": ({}, True, r"\+test accuracy 0\.\d{4}, and no min_accuracy is set; \+digits has no champion yet"),
    "not good enough": (
        {"min_accuracy": 0.99},
        False,
        r"-test accuracy 0\.\d{4} is below min_accuracy 0.99; \+digits has no",
    ),
}


@pytest.mark.parametrize("case", WITHOUT_A_CHAMPION)
def test_without_a_champion_min_accuracy_decides(case, judge, linear, tmp_path):
    settings, passed, said = WITHOUT_A_CHAMPION[case]
    decision = judge(linear.model, str(tmp_path / "registry"), **settings)
    assert (decision.passed, decision.champion, decision.comparison) == (passed, 0, None)
    assert re.fullmatch(f"{said}.*", reasons(decision))
    assert not Registry(str(tmp_path / "registry")).names()


def test_without_a_registry_nothing_is_said_of_champions(judge, linear):
    assert re.fullmatch(r"\+test accuracy 0\.\d{4}, and no min_accuracy is set", reasons(judge(linear.model)))


def test_a_better_one_beats_the_champion_wherever_that_lies(judge, linear, biased, saved, crowned, place):
    crowned(place.uri, saved(MUCH))
    decision = judge(linear.model, place.uri)
    found = decision.comparison
    assert (decision.passed, decision.champion, found.version) == (True, 1, 1)
    pictures, labels = load_split(linear.dataset, read_info(linear.dataset), "test")
    right, before = (
        load_model(f"{model}/model.keras").predict(pictures, verbose=0).argmax(axis=1) == labels
        for model in (linear.model, biased(MUCH))
    )
    assert (found.only_challenger, found.only_champion) == ((right & ~before).sum(), (before & ~right).sum())
    assert found.champion_accuracy == pytest.approx(before.mean())
    assert found.p_value < 1e-6
    assert re.fullmatch(
        rf"\+test accuracy 0\.\d+, and no min_accuracy is set; \+its accuracy is 0\.\d+ above the {before.mean():.4f} "
        rf"of digits version 1, the champion; \+its lead of 0\.\d+ in accuracy over digits version 1 is significant: "
        rf"only the challenger is right on {found.only_challenger} pictures, only the champion on {found.only_champion}"
        r", p = \S+, within the 0.025 that significance 0.05 leaves after 0 earlier comparisons on these pictures",
        reasons(decision),
    )


@pytest.mark.parametrize(("name", "told"), [("digits-2026-12", True), ("photos", True), ("digits", False)])
def test_a_name_that_is_new_to_a_registry_of_others_is_told(
    linear, saved, crowned, outputs, tmp_path, capsys, name, told
):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(0.0))
    settings = EvaluateSettings(behaviour="off", publish_uri=registry, model_name=name)
    evaluate(settings, linear.dataset, linear.model, *outputs)
    said = "which has digits: one of those as model_name compares with it"
    assert (said in capsys.readouterr().out) is told


def test_what_is_not_better_is_kept(judge, linear, biased, saved, crowned, slight, tmp_path):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(0.0))
    equal, worse = judge(linear.model, registry), judge(biased(MUCH), registry)
    assert re.search(
        r"-test accuracy (0\.\d+) equals the \1 of digits version 1, the champion: both are ", reasons(equal)
    )
    assert (equal.comparison.only_challenger, equal.comparison.only_champion) == (0, 0)
    assert re.search(r"-test accuracy 0\.\d+ is below the 0\.\d+ of digits version 1, the champion$", reasons(worse))
    assert (equal.passed, worse.passed) == (False, False)
    assert worse.said.startswith("does not pass the gate: test accuracy") and "reaches" not in worse.said


def test_what_is_better_by_chance_or_by_too_little_is_kept(judge, linear, saved, crowned, slight, tmp_path):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(slight))
    chance = judge(linear.model, registry)
    assert not chance.passed
    assert 0 < chance.comparison.difference <= 3 / 500
    assert re.search(
        r"\+its accuracy is 0\.00\d+ above .*; -its lead of 0\.00\d+ in .* is not significant: ", reasons(chance)
    )
    assert judge(linear.model, registry, significance=1.0).passed
    crowned(registry, saved(MUCH))
    little = judge(linear.model, registry, min_improvement=0.95)
    assert not little.passed and little.champion == 2
    assert re.search(r"-its accuracy is 0\.\d+ above .*, less than min_improvement 0.95; \+its lead", reasons(little))
    exactly = judge(linear.model, registry, min_improvement=little.comparison.difference)
    assert exactly.passed
    assert "the champion, at least min_improvement" in reasons(exactly)


def test_a_better_one_below_min_accuracy_is_kept(judge, linear, saved, crowned, tmp_path):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH))
    decision = judge(linear.model, registry, min_accuracy=0.995)
    assert not decision.passed
    assert re.fullmatch(r"does not pass the gate: test accuracy 0\.\d+ is below min_accuracy 0.995", decision.said)


def test_nan_fails_the_step(judge, biased):
    with pytest.raises(PipelineError, match="expected finite probabilities, received NaN"):
        judge(biased(float("nan")))


def test_a_champion_of_another_task_is_neither_beaten_nor_replaced(judge, linear, saved, crowned, tmp_path):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH, class_names=list("1023456789")))
    decision = judge(linear.model, registry)
    assert (decision.passed, decision.comparison, decision.champion) == (False, None, 1)
    said = "-digits version 1, the champion, can't be compared, because it answers other classes: 1, 0, 2, 3, 4 and"
    assert said in reasons(decision)
    assert judge(linear.model, registry, gate="min_accuracy").passed


def test_a_champion_for_other_pictures_or_without_a_description_is_neither(judge, linear, saved, crowned, tmp_path):
    registry = str(tmp_path / "registry")
    for wanted, said in (
        ({"image_shape": [16, 16, 3]}, "it takes pictures of 16 x 16 x 3, this data set has 8 x 8 x 1"),
        ({"class_names": 7}, "it has no assets.extra/model.json, which names its classes"),
        (None, "it has no assets.extra/model.json, which names its classes"),
    ):
        other = tmp_path / str(wanted)[:16]
        shutil.copytree(saved(MUCH), other)
        description = other / "assets.extra" / "model.json"
        if wanted:
            description.write_text(json.dumps(json.loads(description.read_text()) | wanted))
        else:
            description.unlink()
        crowned(registry, other)
        decision = judge(linear.model, registry)
        assert not decision.passed
        assert said in decision.said


@pytest.mark.parametrize("place", ["file", "gs"], indirect=True)  # by S3 as in the test above of a better one
def test_a_damaged_champion_fails_the_step_wherever_it_lies(judge, linear, saved, crowned, place):
    registry = crowned(place.uri, saved(MUCH))
    key = "models/digits/1/variables/variables.data-00000-of-00001"
    data = bytearray(registry.store.read_bytes(key))
    data[len(data) // 2] ^= 1
    registry.store.write_bytes(key, bytes(data))
    with pytest.raises(PipelineError) as caught:
        judge(linear.model, place.uri)
    assert re.fullmatch(
        r"digits version 1, the champion, can't be compared with: expected \S+ with sha256 \w+ as its manifest.json "
        r"says, received \w+; make another version the champion \(make models ARGS='rollback digits' or "
        r"'champion digits VERSION'\), or set gate=min_accuracy to replace it unseen",
        str(caught.value),
    )
    replacing = judge(linear.model, place.uri, gate="min_accuracy")
    assert (replacing.passed, replacing.champion) == (True, 1)
    assert "+digits version 1, the champion, need not be beaten: gate is min_accuracy" in reasons(replacing)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda store: store.delete("models/digits/1/saved_model.pb"), "saved_model.pb of .* bytes .*, received none"),
        (lambda store: store.delete("models/digits/1/manifest.json"), "champion of digits is version 1, which is gone"),
        (lambda store: store.write_bytes("models/digits/1/manifest.json", b"{"), "expected a manifest in "),
        (lambda store: store.write_bytes("models/digits/champion.json", b"{}"), "ARGS='champion digits VERSION'"),
    ],
)
def test_no_kind_of_damage_is_taken_for_a_verdict(judge, linear, saved, crowned, tmp_path, spoil, said):
    registry = crowned(str(tmp_path / "registry"), saved(MUCH))
    spoil(registry.store)
    with pytest.raises(PipelineError, match=said):
        judge(linear.model, str(tmp_path / "registry"))


@pytest.mark.parametrize(
    ("bias", "said"),
    [(MUCH, "can't be loaded"), (float("nan"), "received NaN or infinity for 500 of 500 pictures")],
)
def test_a_champion_that_can_not_be_asked_is_an_incident(judge, linear, saved, crowned, tmp_path, bias, said):
    copy = shutil.copytree(saved(bias), tmp_path / "spoilt")
    if bias == MUCH:
        (copy / "saved_model.pb").write_bytes(b"no graph")
    crowned(str(tmp_path / "published"), copy)
    with pytest.raises(PipelineError, match=f"digits version 1, the champion, can't be compared with: .*{said}"):
        judge(linear.model, str(tmp_path / "published"))
    assert not (tmp_path / "evaluation").exists()


def test_a_registry_that_does_not_answer_fails_the_step(judge, linear, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        judge(linear.model, str(tmp_path / "file"))


def test_behaviour_counts_only_where_that_was_asked(linear, outputs):
    for mode, kept, certain, passed in (("warn", 0.8, 0.0, True), ("fail", 0.0, 1.0, True), ("fail", 0.8, 0.0, False)):
        settings = EvaluateSettings(behaviour=mode, behaviour_kept=kept, behaviour_certain=certain)
        decision = evaluate(settings, linear.dataset, linear.model, *outputs)[0].decision
        assert decision.passed is passed
    assert "behaviour: a black, grey or white picture is classified with" in decision.said
