"""Behaviour tests, on predict functions whose behaviour is known, and on a trained model."""

import json
import pathlib

import numpy as np
import pytest

from components.core.artifacts.model import read_training
from components.core.errors import PipelineError
from components.evaluate.measure.behaviour import BehaviourCheck, behaviour_checks, brightened, most_pictures, shifted
from components.evaluate.run import evaluate
from components.evaluate.settings import EvaluateSettings


def pictures(count: int = 40, shape: tuple[int, int, int] = (32, 32, 3)) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *shape), np.uint8)


def certain_of(classes: np.ndarray, certainty: float, count: int = 10) -> np.ndarray:
    rest = (1 - certainty) / (count - 1)
    return np.where(np.arange(count) == classes[:, None], certainty, rest)


def checks(predict, certain: float = 0.9, **given) -> dict:
    given = {"kept": 0.8, "certain": certain, "mirrored": True} | given
    shown = pictures()
    return {check.name: check for check in behaviour_checks(predict, shown, predict(shown).argmax(axis=1), **given)}


def test_a_model_that_never_changes_its_mind_keeps_all_and_doubts_nothing():
    found = checks(lambda shown: certain_of(np.zeros(len(shown), int), 0.99))
    assert {name: check.passed for name, check in found.items()} == {
        "Brightness": True,
        "Shift": True,
        "Mirror": True,
        "Blank": False,
        "Noise": False,
    }
    assert [found[name].value for name in ("Brightness", "Shift", "Mirror")] == [1, 1, 1]
    assert found["Blank"].value == pytest.approx(0.99)
    assert found["Blank"].said == (
        "a black, grey or white picture is classified with 99.0 % confidence (expected: 90 % or less)"
    )
    assert found["Mirror"].said == (
        "100.0 % of test pictures keep their class when mirrored left to right (expected: 80 % or more)"
    )


def test_a_limit_is_told_as_it_was_set():
    found = checks(lambda shown: certain_of(np.zeros(len(shown), int), 0.998), certain=0.995, kept=0.005)
    assert not found["Blank"].passed
    assert found["Blank"].said.endswith("with 99.8 % confidence (expected: 99.5 % or less)")
    assert found["Shift"].said.endswith("of a side (expected: 0.5 % or more)")


def test_a_figure_beside_its_limit_shows_on_which_side_it_lies():
    near, at = (BehaviourCheck("Shift", "shifted", value, 0.8, True, np.zeros(1)) for value in (0.7996, 0.8))
    assert not near.passed and near.said.startswith("79.96 % of test pictures") and "80 % or more" in near.said
    assert at.passed and at.said.startswith("80.0 % of test pictures")
    sure = BehaviourCheck("Blank", "nothing", 0.90003, 0.9, False, np.zeros(1))
    assert not sure.passed and sure.said == "nothing is classified with 90.003 % confidence (expected: 90 % or less)"


def test_a_model_that_sees_only_the_left_edge_fails_the_mirror_alone():
    def predict(shown):
        return certain_of(
            (shown[:, :, :8].mean(axis=(1, 2, 3)) > shown[:, :, -8:].mean(axis=(1, 2, 3))).astype(int), 0.6
        )

    found = checks(predict)
    assert found["Mirror"].value == 0
    assert not found["Mirror"].passed and found["Brightness"].passed and found["Blank"].passed
    assert "Mirror" not in checks(predict, mirrored=False)


def test_a_model_that_counts_light_fails_the_brightness():
    found = checks(lambda shown: certain_of((shown.mean(axis=(1, 2, 3)) * 10).astype(int) % 10, 0.5))
    assert found["Brightness"].value < 0.5 and not found["Brightness"].passed
    assert found["Mirror"].passed


def test_one_certain_blank_is_enough_but_noise_goes_by_the_median():
    def predict(shown):
        dark = shown.max(axis=(1, 2, 3)) == 0
        first = np.arange(len(shown)) == 0
        return certain_of(np.zeros(len(shown), int), 0.5) + np.where(dark | first, 0.45, 0)[:, None] * np.eye(10)[0]

    found = checks(predict)
    assert found["Blank"].value == pytest.approx(0.95)
    assert found["Noise"].value == pytest.approx(0.5)


@pytest.mark.parametrize(("shape", "shown"), [((8, 8, 1), [256, 44]), ((512, 256, 1), [8] * 37 + [4])])
def test_each_picture_is_shown_once_a_change_and_few_large_ones_at_once(shape, shown):
    """With the brightness of 256 pictures of 512 x 512 the evaluation took 6 GB; its pod has 4."""
    seen = []

    def predict(shown):
        seen.append(len(shown))
        return certain_of(np.zeros(len(shown), int), 0.5)

    behaviour_checks(predict, pictures(300, shape), np.zeros(300, int), 0.8, 0.9, True)
    assert seen == [*shown * 3, 3, 32]


def test_a_change_in_parts_is_the_change_as_a_whole():
    given = pictures(23, (512, 512, 1))
    parts = []

    def predict(shown):
        parts.append(shown)
        return certain_of(np.zeros(len(shown), int), 0.5)

    behaviour_checks(predict, given, np.zeros(23, int), 0.8, 0.9, False)
    assert [len(part) for part in parts] == [4, 4, 4, 4, 4, 3] * 2 + [3, 32]
    assert np.array_equal(np.concatenate(parts[:6]), brightened(given))
    assert np.array_equal(np.concatenate(parts[6:12]), shifted(given))


def test_fewer_large_pictures_are_shown():
    assert [most_pictures((side, side, 3)) for side in (8, 224, 512, 8000)] == [500, 500, 170, 1]


def test_brightness_goes_up_and_down_and_stays_a_picture():
    given = np.full((4, 2, 2, 1), 100, np.uint8)
    given[2:] = 250
    changed = brightened(given)
    assert changed.dtype == np.uint8
    assert changed[:, 0, 0, 0].tolist() == [110, 90, 255, 225]


def test_a_shift_is_one_pixel_of_32_in_four_directions_with_the_edge_repeated():
    given = pictures(4)
    right, left, down, up = shifted(given)
    np.testing.assert_array_equal(right[:, 1:], given[0][:, :-1])
    np.testing.assert_array_equal(right[:, 0], given[0][:, 0])
    np.testing.assert_array_equal(left[:, :-1], given[1][:, 1:])
    np.testing.assert_array_equal(down[1:], given[2][:-1])
    np.testing.assert_array_equal(up[:-1], given[3][1:])


def test_small_pictures_are_shifted_by_a_part_of_a_pixel():
    ramp = np.broadcast_to(np.arange(0, 128, 16, dtype=np.uint8)[None, :, None], (8, 8, 1))
    [moved] = shifted(ramp[None])
    assert moved[0, :, 0].tolist() == [0, 12, 28, 44, 60, 76, 92, 108]


@pytest.mark.parametrize(
    ("mode", "flipped", "said"), [("warn", False, "warning: behaviour: "), ("fail", True, "warn"), ("off", True, "")]
)
def test_evaluate_says_what_fails_and_writes_it_down(trained, outputs, capsys, monkeypatch, mode, flipped, said):
    monkeypatch.setattr("components.evaluate.run.most_pictures", lambda shape: 100)
    training = {**read_training(trained.model), "settings": {"augment_flip": flipped}}
    monkeypatch.setattr("components.evaluate.run.read_training", lambda path: training)
    evaluate(EvaluateSettings(behaviour=mode, behaviour_certain=0.0), trained.dataset, trained.model, *outputs)
    behaviour = json.loads(pathlib.Path(outputs[0], "metrics.json").read_text())["behaviour"]
    assert behaviour["mode"] == mode
    names = [check["name"] for check in behaviour["checks"]]
    # Mirrored digits are others, or none.
    changes = ["Brightness", "Shift", "Mirror"] if flipped else ["Brightness", "Shift"]
    assert names == ([*changes, "Blank", "Noise"] if said else [])
    out = capsys.readouterr().out
    report = pathlib.Path(outputs[1]).read_text().replace("\u00a0", " ")  # the page keeps numbers and units together
    if said:
        assert said in out
        failed = [check for check in behaviour["checks"] if not check["passed"]]
        assert [check["name"] for check in failed][-2:] == ["Blank", "Noise"]
        assert [check["said"] for check in failed] == behaviour["failed"]
        assert behaviour["checks"][0]["value"] > 0.9
        assert "Behaviour tests" in report and all(sentence in report for sentence in behaviour["failed"])
    else:
        assert "behaviour" not in out and "Behaviour tests" not in report


@pytest.mark.parametrize(
    ("name", "value"),
    [("behaviour", "strict"), ("behaviour_kept", 1.5), ("behaviour_certain", -0.1)],
)
def test_settings_that_can_not_be_are_named(name, value):
    with pytest.raises(PipelineError, match=f"{name}: "):
        EvaluateSettings.checked(**{name: value})
