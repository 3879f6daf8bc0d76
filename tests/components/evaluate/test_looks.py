"""How often the same test pictures were asked: each comparison makes the gate surer, and nobody is promoted by luck."""

import dataclasses
import shutil
import zipfile

import numpy as np
import pytest

from components.core.registry import Registry
from components.core.storage import Denied, PreconditionFailed, Store
from components.evaluate.champion import AskedChampion
from components.evaluate.comparing import Duel
from components.evaluate.gate import allowed, decide
from components.evaluate.looks import count_look, share_of
from components.evaluate.measure.paired import mcnemar
from components.evaluate.settings import EvaluateSettings
from tests.components.evaluate.conftest import MUCH


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


def count(store: Store, asked: np.ndarray, only_right: int, champion: int = 1, name: str = "digits") -> int:
    """Counts the comparison of a challenger that is right on one picture more than the champion."""
    outcome = (asked == np.sort(asked)[only_right]).astype(np.int8)
    return count_look(store, name, asked, outcome, champion)


def test_looks_are_counted_by_picture(place):
    store, clock = Registry(place.uri).store, Clock()
    first, second = clock.fresh(50), clock.fresh(50)
    assert count(store, first, 0) == 1
    assert count(store, first, 1) == 2
    assert count(store, second, 1) == 1
    # One picture that was asked before makes it another look; the others count with it.
    assert count(store, np.concatenate([clock.fresh(49), first[:1]]), 2) == 3
    assert count(store, np.concatenate([first, clock.fresh(50)]), 3, champion=2) == 4
    assert count(store, first, 0, name="cats") == 1
    # The very same comparison again is no new chance: of a step that was killed, or of a retry.
    assert count(store, first, 1) == 2
    assert count(store, first[::-1], 1) == 2
    assert count(store, first, 1, champion=2) == 5
    assert Registry(place.uri).names() == []


def test_a_model_that_is_right_where_the_champion_is_uses_up_no_look(place):
    store, pictures = Registry(place.uri).store, Clock().fresh(40)
    same = np.zeros(40, np.int8)
    assert [count_look(store, "digits", pictures, same, 1) for _ in range(3)] == [1, 1, 1]
    assert count(store, pictures, 0) == 1
    assert count_look(store, "digits", pictures, same, 1) == 2
    assert count(store, pictures, 1) == 2


def test_nights_without_new_data_make_the_gate_no_stricter(judge, linear, biased, saved, crowned, tmp_path):
    """The champion itself, trained anew: other bytes of model.keras each night, as the time is in them."""
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH))
    for night in range(3):
        again = tmp_path / f"night-{night}"
        shutil.copytree(biased(MUCH), again)
        with zipfile.ZipFile(again / "model.keras", "a") as archive:
            archive.comment = f"night {night}".encode()
        same = judge(str(again), registry)
        assert not same.passed
        assert "both are right on the same pictures, as it would be with the champion itself" in same.said
    assert judge(biased(MUCH + 1), registry).comparison.look == 1
    decision = judge(linear.model, registry)
    assert (decision.passed, decision.comparison.p_allowed) == (True, pytest.approx(0.05 / 6))


def test_challengers_at_the_same_moment_are_all_counted(place, monkeypatch):
    store, pictures, write = Registry(place.uri).store, Clock().fresh(40), Store.write_bytes
    others = iter((1, 2, 3))

    def overtaken(self, *arguments, **conditions):
        if other := next(others, None):
            monkeypatch.setattr(Store, "write_bytes", write)
            count(store, pictures, other)
            monkeypatch.setattr(Store, "write_bytes", overtaken)
        return write(self, *arguments, **conditions)

    monkeypatch.setattr(Store, "write_bytes", overtaken)
    assert count(store, pictures, 0) == 4


def test_a_count_that_can_not_be_written_loses_no_model(judge, linear, saved, crowned, tmp_path, monkeypatch, capsys):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH))

    def refused(*_, **__):
        raise Denied("may not write to the registry; ask for the right to")

    monkeypatch.setattr(Store, "write_bytes", refused)
    assert judge(linear.model, registry).passed
    assert "warning: comparison 1 on these test pictures could not be counted: may not write" in capsys.readouterr().out

    def overtaken(*_, **__):
        raise PreconditionFailed("somebody else")

    monkeypatch.setattr(Store, "write_bytes", overtaken)
    assert judge(linear.model, registry).passed
    assert "could not be counted: others were, 20 times" in capsys.readouterr().out


def test_a_damaged_count_starts_again(place, capsys):
    store, pictures = Registry(place.uri).store, Clock().fresh(40)
    for damage in (b"", b"PK\x03\x04", b"rubbish"):
        store.write_bytes("models/.looks/digits.npz", damage)
        assert count(store, pictures, 0) == 1
        assert "can't be read" in capsys.readouterr().out
        assert count(store, pictures, 1) == 2


def test_a_refused_challenger_counts_and_a_later_one_must_be_surer(judge, linear, biased, saved, crowned, tmp_path):
    registry = str(tmp_path / "registry")
    crowned(registry, saved(MUCH))
    for look, bias in enumerate((MUCH + 1, MUCH + 2, MUCH + 3), start=1):
        decision = judge(biased(bias), registry)
        assert (decision.passed, decision.comparison.look) == (False, look)
    assert judge(biased(MUCH + 3), registry).comparison.look == 3
    last = judge(linear.model, registry)
    assert last.passed
    assert last.comparison.p_allowed == pytest.approx(0.05 / 20)
    assert "that significance 0.05 leaves after 3 earlier comparisons on these pictures" in last.said
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
    labels = np.zeros(pictures, np.int64)
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
            champion = AskedChampion("digits version 1", 1, duel=duel)
            if decide(settings, labels, challenger, [], champion).passed:
                promoted_somewhen += 1
                break
    print(f"{promoted_somewhen / runs:.3f} with the count, {promoted_at_once / runs:.3f} without")
    assert promoted_at_once / runs > 0.5
    assert promoted_somewhen / runs <= 0.05
