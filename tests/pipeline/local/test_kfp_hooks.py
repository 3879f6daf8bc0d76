"""kfp.local's word for a success is not enough: what a task left behind counts."""

import io
import json
import signal
import subprocess
import sys

import pytest
from kfp.local import status

from components.core.progress import LIVE_PREFIX
from pipeline import ROOT
from pipeline.console import StepOutput
from pipeline.local.kfp_hooks import observed_tasks
from pipeline.local.run import LocalRun
from pipeline.parameters.parameters import Parameters


@pytest.fixture
def run(tmp_path):
    run = LocalRun(tmp_path, StepOutput(io.StringIO()), "title")
    run.parameters, run.looked = Parameters(), set()
    return run


@pytest.mark.parametrize("writes", [True, False])
def test_a_success_without_outputs_is_a_failure(run, tmp_path, writes):
    """kfp.local kept that it left nothing as its result, and the next run's step was a success, cached."""
    closing = tmp_path / "executor_output.json"
    if writes:
        closing.touch()
    given = json.dumps({"outputs": {"outputFile": str(closing)}})
    code = run._run(lambda command: 0, ["--executor_input", given])
    assert (code, run.console.last_error) == ((0, "") if writes else (1, "the step ended without writing its outputs"))


def test_the_engine_going_away_is_a_failed_step_with_its_reason(run):
    def no_engine(**_):
        raise ConnectionError("no engine\nmore")

    _, state = run._step(no_engine, "train", "training-1")
    assert state == status.Status.FAILURE
    assert run.console.last_error == "no engine more"
    assert (run.steps["train"].status, run.steps["train"].cached) == ("failed", False)
    assert run.steps["train"].failure == "train failed: no engine more"


def test_a_run_below_nohup_outlives_its_terminal(run):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with run.interruptible({signal.SIGHUP: pytest.fail}):
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
