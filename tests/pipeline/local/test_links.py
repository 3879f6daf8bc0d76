"""Links to runs: a run ends as well where there can be none."""

import errno
import os
import pathlib

import pytest

from pipeline.local.links import BoardLinks, lead
from pipeline.local.start import LocalJob, _new_run
from pipeline.local.summary import _point_latest
from pipeline.parameters.parameters import configure


@pytest.fixture
def run(tmp_path: pathlib.Path) -> pathlib.Path:
    """A run's directory."""
    (run := tmp_path / "outputs" / "training-2").mkdir(parents=True)
    return run


def all_links(run: pathlib.Path) -> list[pathlib.Path]:
    """Makes every link that a run makes."""
    board = BoardLinks(run.parent / "tensorboard" / "digits")
    board.show("fit", run / "train" / "tensorboard")
    lead(run / "train", run.parent / "training-1" / "train")
    _point_latest(run)
    board.tidy()
    return [path for path in run.parent.rglob("*") if path.is_symlink()]


def test_links_lead_where_they_say(run, capsys):
    (run.parent / "training-1" / "train" / "tensorboard").mkdir(parents=True)
    _point_latest(run.parent / "training-1")  # is replaced
    found = {str(path.relative_to(run.parent)): str(path.readlink()) for path in all_links(run)}
    assert found == {
        "latest": "training-2",
        "training-2/train": "../training-1/train",
        "tensorboard/digits/fit": "../../training-2/train/tensorboard",
    }
    assert capsys.readouterr().out == ""


def test_two_runs_of_one_second_have_a_folder_each(tmp_path):
    job = LocalJob(configure("quickstart", environment={}), "process", tmp_path)
    assert len({_new_run(job, None).board.directory for _ in range(2)}) == 2


def test_a_sweep_shows_its_own_trials_alone(run):
    """Its folder in TensorBoard may have links of an earlier sweep of the name, which came to other trials."""
    (run / "train" / "tensorboard").mkdir(parents=True)
    for title in ("01 seed=1", "02 seed=2"):
        board = BoardLinks(run.parent / "tensorboard" / "sweep")
        board.show(f"{title}/fit", run / "train" / "tensorboard")
        board.tidy()
    assert [path.name for path in board.directory.iterdir()] == ["02 seed=2"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_links_costs_no_run(run, monkeypatch, capsys, number):
    def refuse(source, target, *_, **__):
        raise OSError(number, os.strerror(number), os.fspath(source), None, os.fspath(target))

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.chdir(run.parent)
    assert all_links(run) == []
    assert capsys.readouterr().out == (
        f"note: latest can't be made a link to training-2 ({os.strerror(number)}); make tensorboard needs links "
        "too: use tensorboard --logdir training-2\n"
    )


def test_a_folder_in_the_place_of_latest_costs_no_run(run, capsys):
    (run.parent / "latest").mkdir()
    _point_latest(run)
    assert "latest can't be made a link to training-2 (Is a directory)" in capsys.readouterr().out
    assert sorted(path.name for path in run.parent.iterdir()) == ["latest", "training-2"]
