"""Kills, dead helpers and full disks: nothing half-made, nothing left running, and the next run ends as if nothing had
happened."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from components.core.artifacts.dataset import read_info
from components.core.errors import PipelineError
from components.core.machine import usable_cores
from components.preprocess.processes import Processes
from components.preprocess.run import preprocess
from components.preprocess.settings import PreprocessSettings
from tests.components.preprocess.conftest import make_raw
from tests.components.preprocess.sources import archive, class_folders

PATIENCE = 60
PROGRAM = """
import resource, sys
from components.core.errors import one_line_errors
from components.preprocess.run import preprocess
from components.preprocess.settings import PreprocessSettings

if __name__ == "__main__":  # this file is imported by each decoding process
    raw, dataset, largest_file, workers = sys.argv[1:]
    if int(largest_file):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file), int(largest_file)))
    with one_line_errors():
        preprocess(PreprocessSettings.checked(image_size="64"), raw, dataset, dataset + ".html", int(workers))
"""


@pytest.fixture
def command(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def command(raw: str, dataset: pathlib.Path, largest_file: int = 0, workers: int = 1) -> list[str]:
        return [sys.executable, str(program), raw, str(dataset), str(largest_file), str(workers)]

    return command


@pytest.fixture
def environment():
    return os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[3])}


def wait_until(true) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.002)


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> str:
    place = tmp_path_factory.mktemp("source")
    return make_raw(place / "raw", archive(place / "a.tar", class_folders({"cat": 400, "dog": 400}, 16, 16)))


@pytest.fixture(scope="module")
def undisturbed(raw, tmp_path_factory) -> pathlib.Path:
    """The data set of `raw`, made by one who was left alone."""
    place = tmp_path_factory.mktemp("undisturbed") / "dataset"
    preprocess(PreprocessSettings(image_size="64"), raw, str(place), f"{place}.html")
    return place


@pytest.mark.parametrize("reached", ["scratch", "scratch/0/pictures", "train-00000-of-00001.tfrecord"])
def test_killed_and_run_again(tmp_path, raw, undisturbed, command, environment, reached):
    dataset = tmp_path / "out" / "dataset"
    with subprocess.Popen(command(raw, dataset, workers=2), env=environment, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: any(dataset.parent.glob(f".dataset.*.partial/{reached}")))
        helpers = children(process.pid)
        process.send_signal(signal.SIGKILL)
    assert not dataset.exists()
    wait_until(lambda: not any(running(helper) for helper in helpers))
    preprocess(PreprocessSettings(image_size="64"), raw, str(dataset), f"{dataset}.html")
    assert read_info(dataset) == read_info(undisturbed)
    assert sorted(path.name for path in dataset.parent.iterdir()) == ["dataset", "dataset.html"]
    assert sorted(path.name for path in dataset.iterdir()) == sorted(path.name for path in undisturbed.iterdir())


def test_a_decoding_process_is_killed(tmp_path, raw, command, environment):
    """As the kernel does where memory runs out: all but the one that keeps books, as soon as they are there."""
    dataset = tmp_path / "out" / "dataset"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command(raw, dataset, workers=2), env=environment, **pipes) as process:

        def decoders() -> list[int]:
            return [pid for pid in children(process.pid) if b"spawn_main" in _command_line(pid)]

        wait_until(lambda: len(decoders()) == 2)
        for pid in decoders():
            os.kill(pid, signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    last = said.strip().splitlines()[-1]
    assert last.startswith("error: expected 2 decoding processes to live, received the end of one")
    assert list(dataset.parent.iterdir()) == []


def _command_line(pid: int) -> bytes:
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_a_process_that_dies_at_work_is_no_hang():
    with pytest.raises(PipelineError, match="killed for lack of memory"), Processes(2) as processes:
        list(processes.map(os._exit, [3, 3, 3, 3]))


def test_results_come_in_order_and_errors_come_through():
    with Processes(2) as processes:
        assert list(processes.map(abs, range(-50, 0))) == list(range(50, 0, -1))
        with pytest.raises(ValueError, match="negative"):
            list(processes.map(bytes, [2, -1, 3]))
    with Processes(1) as alone:
        assert list(alone.map(os.getpid.__class__, [])) == []
        assert list(alone.map(abs, [-1, 2])) == [1, 2]


def test_few_items_are_taken_ahead():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    with Processes(2) as processes:
        results = processes.map(abs, items())
        next(results)
        assert len(taken) <= 3 * 2
        results.close()


def test_the_cores_of_this_process():
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, 64),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({}, 64),
    ],
)
def test_a_containers_limit_counts_with_either_version_of_cgroups(tmp_path, monkeypatch, files, cores):
    """A process for each of a node's 64 cores has no place in a pod of 2."""
    monkeypatch.setattr("components.core.machine.CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores() == cores


def test_a_file_grows_too_large(tmp_path, raw, command, environment):
    """A limit on the size of files, as a quota would set it, met by the largest shard."""
    dataset = tmp_path / "out" / "dataset"
    limited = command(raw, dataset, largest_file=5_000_000)
    ended = subprocess.run(limited, env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == (
        "error: expected to read and write files, but the file grew too large; free some space and run again\n"
    )
    assert list(dataset.parent.iterdir()) == []


def test_a_disk_too_small_for_the_result_is_seen_before_it_is_written(tiny_disk, raw, command, environment):
    ended = subprocess.run(command(raw, tiny_disk / "dataset"), env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: expected 19.8 MB free in ")
    assert list(tiny_disk.iterdir()) == []


def test_a_disk_too_small_for_the_source(tmp_path, tiny_disk, raw_artifact, command, environment):
    big = raw_artifact(archive(tmp_path / "b.tar", class_folders({"cat": 2, "dog": 2}, 500, 500)))
    ended = subprocess.run(command(big, tiny_disk / "dataset"), env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "but the disk is full; free some space" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert list(tiny_disk.iterdir()) == []
