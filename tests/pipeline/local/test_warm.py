"""A step that is forked from the warm process is what a Python of its own is: its environment, its folder, its end."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from pipeline import ROOT
from pipeline.local.step_containers import WAITING
from pipeline.local.waiting import UNTOLD
from pipeline.local.warm import WarmProcess, fork, warm_process
from tests.warm import command, environment, run

FACTS = """
import json, os, random, sys, tempfile, threading
import numpy as np
print(json.dumps({
    "arguments": sys.argv[1:], "folder": os.getcwd(), "path": sys.path[0], "set": os.environ.get("SET_FOR_IT"),
    "unset": os.environ.get("HOME"), "scratch": tempfile.gettempdir(), "threads": len(os.listdir("/proc/self/task")),
    "loaded": "tensorflow" in sys.modules, "group": os.getpgrp(), "drawn": [random.random(), np.random.random()],
    "main": __name__,
}))
"""


def test_it_has_its_own_environment_folder_arguments_and_no_thread(warm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOME", raising=False)
    said = json.loads(run(warm, FACTS, "python3", "it's & $HOME", SET_FOR_IT="a b'$", TMPDIR=str(tmp_path)).stdout)
    drawn = said.pop("drawn")
    assert said == {
        "arguments": ["python3", "it's & $HOME"],
        "folder": str(tmp_path),
        "path": str(ROOT),
        "set": "a b'$",
        "unset": None,
        "scratch": str(tmp_path),
        "threads": 1,
        "loaded": True,
        "group": os.getpgrp(),
        "main": "__main__",
    }
    assert drawn[0] != json.loads(run(warm, FACTS).stdout)["drawn"][0], "each draws random numbers of its own"


def test_how_much_tensorflow_logs_is_no_reason_to_import_it_again(warm):
    """tf2onnx sets it, wherever it is loaded."""
    assert json.loads(run(warm, FACTS, TF_CPP_MIN_LOG_LEVEL="3").stdout)["loaded"]


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("print('done')", 0, "done\n"),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('error: no')", 1, "error: no\n"),
        ("import atexit; atexit.register(print, 'last')", 0, "last\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
    ],
)
def test_it_ends_as_a_program_does(warm, code, status, said):
    done = run(warm, code)
    assert (done.returncode, done.stdout) == (status, said)


@pytest.mark.parametrize(
    "code", ["raise ValueError('wrong')", "import os, signal; os.kill(os.getpid(), signal.SIGINT)"]
)
def test_its_errors_and_interrupts_are_python_s_own(warm, code):
    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    done = run(warm, code)
    assert done.returncode == plain.returncode
    assert done.stdout.splitlines()[-1] == plain.stderr.splitlines()[-1]


def test_it_computes_what_a_process_of_its_own_computes(warm):
    code = "import tensorflow as tf; print(float(tf.linalg.trace(tf.ones([9, 9]) @ tf.ones([9, 9]))))"
    assert run(warm, code).stdout.splitlines()[-1] == "81.0"


@pytest.mark.parametrize("variable", ["PYTHONPATH", "TF_ENABLE_ONEDNN_OPTS", "KERAS_BACKEND", "OMP_NUM_THREADS"])
def test_what_counts_at_import_makes_a_process_of_its_own(warm, variable):
    assert fork(warm, ["-m", "this"], environment() | {variable: "another"}, 1) is None


def started(warm: WarmProcess, step: str, tmp_path: pathlib.Path) -> tuple[int, bool]:
    """A step's exit status, and whether it was forked."""
    code = "import sys; print('tensorflow' in sys.modules)"
    with (tmp_path / "said").open("w+") as output:
        wait = warm.start(step, command(code), environment(), output.fileno())
        return wait(), (tmp_path / "said").read_text() == "True\n"


def test_without_a_warm_process_each_step_is_a_python_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("_CONV2D_WARM", str(tmp_path / "nothing"))
    with WarmProcess(["train"]) as warm:
        assert started(warm, "train", tmp_path) == (0, False)
    monkeypatch.delenv("_CONV2D_WARM")
    with warm_process(str(tmp_path / "socket"), environment() | {"PYTHONHOME": "/nowhere"}):  # can't start
        assert fork(str(tmp_path / "socket"), ["-m", "this"], environment(), 1) is None


def test_steps_that_load_no_tensorflow_do_not_wait_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.delenv("_CONV2D_WARM", raising=False)
    with WarmProcess(["train"]) as warm:
        assert started(warm, "download", tmp_path) == (0, False)
        assert started(warm, "train", tmp_path) == (0, True)
        place = pathlib.Path(warm.place)
        assert place.is_socket()
    assert not place.parent.exists()
    assert fork(str(place), ["-m", "this"], environment(), 1) is None


def test_a_step_of_other_code_imports_for_itself_and_is_interrupted_too(warm, tmp_path, monkeypatch):
    monkeypatch.setenv("_CONV2D_WARM", warm)
    shutil.copytree(ROOT / "components", code := tmp_path / "components")
    monkeypatch.setattr("components.core.revision.COMPONENTS", code)
    with WarmProcess(["train"]) as process:
        assert started(process, "train", tmp_path) == (0, True)
        (code / "train" / "run.py").write_text("print('another branch')")
        assert started(process, "train", tmp_path) == (0, False)
        with (tmp_path / "said").open("w+") as output:
            code = "import time; print('begun', flush=True); time.sleep(600)"
            wait = process.start("train", command(code), environment(), output.fileno())
            while "begun" not in (tmp_path / "said").read_text():
                time.sleep(0.05)
            process.interrupt_step()
            assert wait() == -signal.SIGINT
            process.interrupt_step()  # none runs: nothing is done


def test_an_interrupt_that_ends_the_warm_process_ends_the_step(tmp_path, monkeypatch):
    monkeypatch.delenv("_CONV2D_WARM", raising=False)
    with WarmProcess(["train"]) as warm:
        assert started(warm, "download", tmp_path) == (0, False)
        os.kill(warm.process.pid, signal.SIGINT)
        assert started(warm, "train", tmp_path) == (-signal.SIGINT, False)


def test_a_container_does_not_wait_for_hours_beside_a_training():
    """It held 0.4 GB for all of it."""
    text = WAITING.read_text().replace("PATIENCE_S = 600", "PATIENCE_S = 0")
    with subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE) as waiting:
        assert waiting.wait(timeout=60) == UNTOLD
