"""kfp.local's word for a success is not enough: what a task left behind counts."""

import io
import signal
import subprocess
import sys
import types

import pytest
from kfp.local import status

from components.core.progress import LIVE_PREFIX
from pipeline import ROOT
from pipeline.console import StepOutput
from pipeline.local.kfp_hooks import left_everything, observed_tasks
from pipeline.local.run import LocalRun
from pipeline.parameters.parameters import Parameters


@pytest.fixture
def run(tmp_path):
    run = LocalRun(tmp_path, StepOutput(io.StringIO()), "title")
    run.parameters, run.looked = Parameters(), True
    return run


def artifact(path):
    return types.SimpleNamespace(path=str(path))


@pytest.mark.parametrize(
    ("written", "whole"),
    [({"executor_output.json", "raw"}, True), ({"raw"}, False), ({"executor_output.json"}, False), (set(), False)],
)
def test_a_task_is_whole_with_its_closing_file_and_every_artifact(tmp_path, written, whole):
    for name in written:
        (tmp_path / name).touch()
    assert left_everything(tmp_path, {"raw": artifact(tmp_path / "raw"), "Output": 0.5}) is whole


@pytest.mark.parametrize("writes", [True, False])
def test_a_success_without_outputs_is_a_failure(run, tmp_path, writes):
    def container_that_is_gone(task_name, pipeline_resource_name):
        """What DockerRunner makes of a container that ended before it was asked for its exit code."""
        directory = tmp_path / pipeline_resource_name / task_name
        directory.mkdir(parents=True)
        if writes:
            (directory / "executor_output.json").touch()
            (directory / "raw").touch()
        return {"raw": artifact(directory / "raw")}, status.Status.SUCCESS

    _, state = run._step(container_that_is_gone, "download", "training-1")
    assert state == (status.Status.SUCCESS if writes else status.Status.FAILURE)
    assert run.steps["download"].status == ("succeeded" if writes else "failed")
    assert bool(run.steps["download"].outputs) is writes


def test_the_engine_going_away_is_a_failed_step_with_its_reason(run):
    def no_engine(**_):
        raise ConnectionError("no engine\nmore")

    _, state = run._step(no_engine, "train", "training-1")
    assert state == status.Status.FAILURE
    assert run.console.last_error == "no engine"
    assert (run.steps["train"].status, run.steps["train"].cached) == ("failed", False)
    assert run.steps["train"].failure == "train failed: no engine"


def test_a_run_below_nohup_outlives_its_terminal(run):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with run.interruptible({signal.SIGHUP}, lambda: None):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_kfp_gets_its_own_function_back():
    from kfp.local.orchestrator import task_executor

    before = task_executor.execute_single_task
    with pytest.raises(RuntimeError), observed_tasks(lambda *_: None):
        assert task_executor.execute_single_task is not before
        raise RuntimeError
    assert task_executor.execute_single_task is before


def test_a_bar_is_no_line_of_a_log(run):
    run.console.write(f"    {LIVE_PREFIX}train 10%\n")
    assert run.console.target.getvalue() == ""


def test_a_local_run_loads_no_client_of_a_cluster_and_nothing_that_computes():
    code = (
        "import sys; from pipeline.local.kfp_hooks import import_kfp; import_kfp(); "
        "import pipeline.commands.main, pipeline.local.start, pipeline.training, kfp.local; "
        "print([name for name in ('kubernetes', 'kfp.client', 'numpy', 'tensorflow') if name in sys.modules]); "
        "import kfp.client; print(kfp.client.Client.__name__)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert said.splitlines() == ["[]", "Client"]
