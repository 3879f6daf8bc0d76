"""How a sweep's trials are written down, split up and compared."""

import pytest

from components.core.artifacts.trial import (
    Trial,
    as_change,
    best_trial,
    parse_axes,
    parse_changes,
    read_trial,
    split,
    trial_table,
    write_trial,
)
from components.core.errors import PipelineError


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("learning_rate=0.003", {"learning_rate": "0.003"}),
        ("EPOCHS=3  batch_size=50\n", {"epochs": "3", "batch_size": "50"}),
        (
            'architecture=[{"Conv2D": {"filters": 4}}, "Flatten"] seed=1',
            {"architecture": '[{"Conv2D": {"filters": 4}}, "Flatten"]', "seed": "1"},
        ),
        ('optimizer="a b" freeze="a,b" class_weight=""', {"optimizer": "a b", "freeze": "a,b", "class_weight": ""}),
        ('class_weight={"a":1}', {"class_weight": '{"a":1}'}),
        ("", {}),
    ],
)
def test_changes_are_read_as_typed(text, changes):
    assert parse_changes(text) == changes


@pytest.mark.parametrize("text", ["epochs", "epochs=", "=3", "epochs=1 epochs=2", "learning_rate 0.1"])
def test_what_is_no_change_is_refused(text):
    with pytest.raises(PipelineError, match=r"^[^\n]*$"):
        parse_changes(text)


@pytest.mark.parametrize("value", ["", "a b", "a,b", '[{"Conv2D": {"filters": 4}}, "Flatten"]', '{"a b": 1}', "0.1"])
def test_a_change_is_read_as_it_was_written(value):
    assert parse_changes(f"{as_change('a', value)} b=1") == {"a": value, "b": "1"}


@pytest.mark.parametrize("grid", ["lr=0.1, 0.2 seed=1,2", "lr=0.1 ,0.2 seed=1 , 2", "lr=0.1,\n0.2\nseed=1,2"])
def test_a_blank_beside_a_comma_is_none(grid):
    assert parse_axes(grid) == {"lr": "0.1,0.2", "seed": "1,2"}


def test_commas_within_a_value_are_its_own():
    values = 'seed,[{"Conv2D": {"filters": 4, "kernel_size": 3}}, "Flatten"],"x,]y"'
    assert split(values, ",") == ["seed", '[{"Conv2D": {"filters": 4, "kernel_size": 3}}, "Flatten"]', '"x,]y"']


def trained(accuracy: float) -> Trial:
    return Trial(changes=f"a={accuracy}", val_accuracy=accuracy, best_epoch=1, epochs=2, seconds=3)


FAILED = Trial(changes="a=x", failed="lost")


@pytest.mark.parametrize(
    ("trials", "best"),
    [
        ([trained(0.5), trained(0.9), trained(0.7)], 1),
        ([trained(0.5), trained(0.5)], 0),
        ([FAILED, trained(0.0)], 1),
        ([trained(0.9), FAILED], 0),
    ],
)
def test_the_best_has_the_highest_validation_accuracy(trials, best):
    assert best_trial(trials) == best


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ([FAILED, FAILED], "received 2 that failed; the first: lost"),
        ([], "received none"),
    ],
)
def test_without_a_comparison_there_is_no_best(trials, said):
    with pytest.raises(PipelineError, match=said):
        best_trial(trials)


def test_the_table_lists_the_best_first_and_failures_last():
    columns, *rows = trial_table([trained(0.5), FAILED, trained(0.9)])
    assert columns[2] == "val_accuracy"
    assert [row[0] for row in rows] == ["3", "1", "2"]
    assert rows[0][2] == "0.9000"
    assert (rows[2][2], rows[2][-1]) == ("failed", "lost")
    _, row = trial_table([Trial(changes="a=x", failed="a" * 200)])
    assert row[-1] == "a" * 97 + "..."


def test_a_trial_is_read_as_written(tmp_path):
    write_trial(tmp_path, FAILED)
    assert read_trial(tmp_path) == FAILED
    (tmp_path / "trial.json").write_text("{}")
    with pytest.raises(PipelineError, match="trial.json"):
        read_trial(tmp_path)
