"""What was removed from an earlier run's directory is made anew, and then taken from the cache again."""

import io
import pathlib

import pytest
from kfp import dsl
from kfp.local import status
from kfp.local.cache import LocalCache

from pipeline.console import StepOutput
from pipeline.local.run import LocalRun


@pytest.fixture
def train(tmp_path):
    """Runs a step as kfp.local does, with its cache; gives whether it was cached, and what was said."""
    cache = LocalCache(str(tmp_path / ".cache" / "process"))

    def execute(task_name: str, pipeline_resource_name: str):
        if found := cache.get("key"):
            return found, status.Status.SUCCESS
        directory = tmp_path / pipeline_resource_name / task_name
        outputs = {name: dsl.Artifact(name, str(directory / name)) for name in ("model", "tensorboard")}
        for name in outputs:
            (directory / name).mkdir(parents=True)
            (directory / name / "file").write_text("all of it")
        (directory / "executor_output.json").touch()
        cache.put("key", outputs)
        return outputs, status.Status.SUCCESS

    def ran(name: str) -> tuple[bool, str]:
        run = LocalRun(tmp_path, StepOutput(io.StringIO()), "title")
        _, state = run._step(execute, "train", name)
        assert state == status.Status.SUCCESS
        assert (tmp_path / name / "train" / "model" / "file").read_text() == "all of it"
        return run.steps["train"].cached, run.console.target.getvalue()

    return ran


@pytest.mark.parametrize("damage", [pathlib.Path.unlink, lambda file: file.write_text("a part")])
def test_what_is_not_whole_any_more_is_made_anew_once(train, tmp_path, damage):
    cache = LocalCache(str(tmp_path / ".cache" / "process"))
    cache.put("another", {"model": dsl.Artifact("model", str(tmp_path))})
    assert [train(f"training-{number}")[0] for number in (1, 2)] == [False, True]
    damage(tmp_path / "training-1" / "train" / "model" / "file")
    cached, said = train("training-3")
    assert not cached
    assert f"  note: not all is there that {tmp_path}/training-1/train had; made anew\n" in said
    assert train("training-4")[0]
    assert cache.get("another"), "what else is known stays known"


def test_curves_that_were_removed_are_no_reason_to_train_again(train, tmp_path):
    train("training-1")
    (tmp_path / "training-1" / "train" / "tensorboard" / "file").unlink()
    assert train("training-2")[0]
