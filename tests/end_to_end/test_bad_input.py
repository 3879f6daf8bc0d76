"""Bad input to a local run: one clear line, a non-zero exit, and nothing half-written left behind."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator

import pytest
from PIL import Image

# Refused before any work: not even a run's directory appears.
REFUSED_AT_ONCE = {
    "unknown data set": (["DATASET=cifar11"], "dataset: "),
    "unknown layer": (['ARCHITECTURE=[{"Conv2d": {}}]'], "did you mean 'Conv2D'"),
    "unknown layer argument": (['ARCHITECTURE=[{"Conv2D": {"filter": 3}}]'], "did you mean 'filters'"),
    "unknown optimizer argument": (['OPTIMIZER={"SGD": {"momentun": 0.9}}'], "momentun"),
    "shapes that do not fit": (
        ['ARCHITECTURE=[{"Conv2D": {"filters": 4, "kernel_size": 9}}, {"Flatten": {}}]'],
        "layer 1 (Conv2D)",
    ),
    "class that is not there": (["CLASS_WEIGHT={eleven: 2}"], "class_weight: unknown class 'eleven'"),
    "frozen for longer than it trains": (
        ["FREEZE=1", "FREEZE_EPOCHS=3", "EPOCHS=2"],
        "freeze_epochs: expected at most",
    ),
    "source missing": (["DATASET=image_folder", "SOURCE=/no/such/place"], "/no/such/place"),
}


@pytest.mark.parametrize("case", REFUSED_AT_ONCE)
def test_refused_before_any_work(case, command_line, tmp_path):
    settings, said = REFUSED_AT_ONCE[case]
    process = command_line.run_local(tmp_path / "outputs", *settings)
    assert process.returncode == 1
    assert process.stderr.startswith("error: ")
    assert process.stderr.count("\n") == 1
    assert said in process.stderr
    assert not (tmp_path / "outputs").exists()


def test_a_failing_step_fails_the_command(command_line, tmp_path, summary_of):
    empty = tmp_path / "empty.tar"
    with tarfile.open(empty, "w"):
        pass
    outputs = tmp_path / "outputs"
    process = command_line.run_local(outputs, "DATASET=image_folder", f"SOURCE={empty}")
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1
    assert process.stderr.startswith("error: ")
    assert "Traceback" not in process.stdout
    summary = summary_of(outputs)
    assert summary["status"] == "failed"
    assert summary["error"] in process.stderr
    failed = [step["name"] for step in summary["steps"] if step["status"] == "failed"]
    assert failed in (["download"], ["preprocess"])
    assert summary["artifacts"] == {}
    assert not list(outputs.rglob("*.partial"))


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", r"\u043a\u043e\u0442"), ("utf-8", "кот")])
def test_classes_are_named_as_they_are_and_escaped_where_a_terminal_has_no_signs_for_them(
    command_line, tmp_path, monkeypatch, encoding, shown
):
    """The preprocess step ended in a traceback in a terminal of another encoding, and errors had escapes in all."""
    for place, name in enumerate(("кот", "dog")):
        (tmp_path / "src" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("L", (8, 8), 40 * number + place).save(tmp_path / f"src/{name}/{number}.png")
    (tmp_path / "src/кот/x.png").write_bytes(b"no picture")
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    settings = [f"SOURCE={tmp_path / 'src'}", "VALIDATION_SPLIT=0", "EARLY_STOPPING_PATIENCE=1", "IMAGE_SIZE=8"]
    command = ["run-local", "--runner", "process", "--outputs", tmp_path / "out", *settings]
    # As many digits as a look at the source has: "its source changed", in each run, and no later one took it.
    process = command_line.run(*command, "MAX_UNREADABLE=0.5", "SOURCE_VERSION=0123456789abcdef")
    assert "its source changed" not in process.stdout
    assert "received a data set without; set it to 0" in process.stderr
    assert "Traceback" not in process.stdout and "fewer than 5" in process.stdout and f"{shown} (" in process.stdout
    process = command_line.run(*command)
    assert f"for instance {shown}/x.png" in process.stderr


def test_outputs_that_nobody_may_write_to(command_line, tmp_path):
    """As after a run by sudo: the first step ended in a traceback, and a summary was named that was not there."""
    done = command_line.run_local("/sys", "IMAGE_SIZE=9")  # root can't either; what fits is remembered there, too
    assert done.stderr == (
        "error: expected to write to /sys, received: Permission denied; change its rights, or name another folder: "
        "--outputs FOLDER\n"
    )
    assert done.stdout == "checking that the layers fit pictures of 9 x 9: Keras takes some seconds to start\n"
    (tmp_path / ".cache").symlink_to("/sys")
    done = command_line.run_local(tmp_path)
    assert done.stderr.startswith(f"error: expected to write to {tmp_path}/.cache, received: Permission denied; change")


def writers(outputs: pathlib.Path) -> set[int]:
    """The processes that hold event files below a run's outputs open, whoever has forked them."""
    found = set()
    for file in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # it has ended
            target = os.readlink(file)  # noqa: PTH115, a pipe is no path
            if target.startswith(str(outputs)) and "tfevents" in target:
                found.add(int(file.parts[2]))
    return found


@contextlib.contextmanager
def training(command_line, outputs: pathlib.Path) -> Iterator[tuple[subprocess.Popen, int]]:
    """A run whose first epoch is done, and its step's process."""
    # Below `nohup` the tests ignore a closed terminal, and so would what they start.
    command = ["env", "--default-signal", sys.executable, "-m", "pipeline", "run-local", "--runner", "process"]
    process = subprocess.Popen(
        [*command, "--outputs", str(outputs), "EPOCHS=5000"],
        cwd=command_line.checkout,
        env=command_line.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert any(line.startswith("  epoch") for line in process.stdout)
        [step] = writers(outputs)
        yield process, step
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_ended_leaves_no_step(command_line, tmp_path, number):
    """By `timeout`, by a CI, by a terminal that is closed: the training went on until it printed next."""
    with training(command_line, tmp_path / "outputs") as (process, step):
        os.kill(step, signal.SIGSTOP)  # so that it prints nothing by which it could end
        while "State:\tT" not in status(step):
            time.sleep(0.05)
        process.send_signal(number)
        while not is_interrupted(step):
            time.sleep(0.05)
        os.kill(step, signal.SIGCONT)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said.strip().splitlines()[-1]) == (1, "Aborted!")
        assert writers(tmp_path / "outputs") == set()


@pytest.mark.parametrize("interrupted", [True, False], ids=["interrupted alone", "its pipe closed"])
def test_a_run_that_ends_alone_leaves_no_step(command_line, tmp_path, interrupted):
    """As an IDE ends it, and `| head`: it waited for the training, whose lines nobody read, for good."""
    with training(command_line, tmp_path / "outputs") as (process, _):
        if interrupted:
            process.send_signal(signal.SIGINT)
        else:
            process.stdout.close()
        assert process.wait(timeout=60) != 0
        while writers(tmp_path / "outputs"):
            time.sleep(0.05)


def status(process: int) -> str:
    return pathlib.Path(f"/proc/{process}/status").read_text()


def is_interrupted(stopped: int) -> bool:
    """Whether SIGINT waits for a process that is stopped."""
    waiting = int(status(stopped).partition("ShdPnd:")[2].split()[0], 16)
    return bool(waiting >> (signal.SIGINT - 1) & 1)


def test_a_step_that_is_killed_is_told_as_that(command_line, tmp_path):
    """As the memory killer does it: no line of the step's own, signal 9."""
    outputs = tmp_path / "outputs"
    with training(command_line, outputs) as (process, step):
        os.kill(step, signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.startswith("error: train was killed (signal 9), probably out of memory: ")
    assert said.count("\n") == 1
    summary = (outputs / "latest/summary.json").read_text()
    assert json.loads(summary)["error"] in said
    assert "\\u001b" not in summary


def test_a_disk_that_fills_up_while_training_is_told_in_a_line(command_line, tmp_path):
    outputs = tmp_path / "tiny"
    outputs.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(outputs)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a file system")
    try:
        process = command_line.run_local(outputs, "EPOCHS=1")
    finally:
        subprocess.run(["umount", str(outputs)], check=True)
    assert process.returncode == 1
    assert process.stderr.startswith("error: train failed: ")
    assert "but the disk is full; free some space and run again" in process.stderr
    assert process.stderr.count("\n") == 1
