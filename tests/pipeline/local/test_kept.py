"""What was removed from an earlier run's directory, or was read while it changed, is made anew."""

import io
import pathlib
from collections.abc import Callable

import pytest
from kfp import dsl
from kfp.local import status
from kfp.local.cache import LocalCache

from pipeline.console import StepOutput
from pipeline.local.places import with_places
from pipeline.local.run import LocalRun
from pipeline.parameters.parameters import Parameters


@pytest.fixture
def train(tmp_path):
    """Runs a step as kfp.local does, with its cache; gives whether it was cached, and what was said."""
    cache = LocalCache(str(tmp_path / ".cache" / "process"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "model.keras").touch()
    given = Parameters(source=str(tmp_path / "photos"), start_from=str(tmp_path / "model.keras"))

    def execute(task_name: str, pipeline_resource_name: str, meanwhile: Callable[[], None]):
        meanwhile()
        if found := cache.get("key"):
            return found, status.Status.SUCCESS
        directory = tmp_path / pipeline_resource_name / task_name
        outputs = {name: dsl.Artifact(name, str(directory / name)) for name in ("model", "tensorboard")}
        for name in outputs:
            (directory / name).mkdir(parents=True)
            (directory / name / "file").write_text("all of it")
        cache.put("key", outputs)
        return outputs, status.Status.SUCCESS

    def ran(name: str, step: str = "train", meanwhile: Callable[[], None] = lambda: None) -> tuple[bool, str]:
        run = LocalRun(tmp_path, StepOutput(io.StringIO()), "title")
        run.parameters, run.looked = with_places(given, tmp_path / "outputs"), {"download", "train"}
        _, state = run._step(execute, step, name, meanwhile=meanwhile)
        assert state == status.Status.SUCCESS
        assert (tmp_path / name / step / "model" / "file").read_text() == "all of it"
        return run.steps[step].cached, run.console.target.getvalue()

    return ran


@pytest.mark.parametrize("damage", [pathlib.Path.unlink, lambda file: file.write_text("a part")])
def test_what_is_not_whole_any_more_is_made_anew_once(train, tmp_path, damage):
    cache = LocalCache(str(tmp_path / ".cache" / "process"))
    cache.put("another", {"model": dsl.Artifact("model", str(tmp_path))})
    assert [train(f"training-{number}")[0] for number in (1, 2)] == [False, True]
    damage(tmp_path / "training-1" / "train" / "model" / "file")
    cached, said = train("training-3")
    assert not cached
    assert f"  note: {tmp_path}/training-1/train is no longer complete; running the step again\n" in said
    assert train("training-4")[0]
    assert cache.get("another"), "what else is known stays known"


def test_curves_that_were_removed_are_no_reason_to_train_again(train, tmp_path):
    train("training-1")
    (tmp_path / "training-1" / "train" / "tensorboard" / "file").unlink()
    assert train("training-2")[0]


def test_a_source_that_changed_while_it_was_read_is_read_again(train, tmp_path, monkeypatch):
    """A picture that came meanwhile and was taken back was trained on for good."""
    picture = tmp_path / "photos" / "1.png"
    assert "  note: its source changed since the run began; no" in train("training-1", "download", picture.touch)[1]
    picture.unlink()
    assert not train("training-2", "download")[0]
    monkeypatch.setattr("pipeline.local.run.is_as_seen", pytest.fail)  # a walk over 50,000 files, for nothing
    assert train("training-3", "download")[0]


def test_a_model_to_start_from_that_changed_meanwhile_is_started_from_again(train, tmp_path):
    _, said = train("training-1", meanwhile=lambda: (tmp_path / "model.keras").write_text("another"))
    assert "  note: its model to start from changed since the run began; no" in said
    assert not train("training-2")[0]
