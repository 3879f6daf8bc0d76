"""Errors of one line, and files that appear whole or not at all."""

import concurrent.futures
import json
import pathlib
import signal
import subprocess
import sys

import pytest

from components.core.errors import PipelineError, nearest, one_line, one_line_errors, shown
from components.core.files import sha256_of, whole_directory, whole_file, write_json


def test_an_expected_failure_ends_the_process_with_one_line(capsys):
    with pytest.raises(SystemExit) as ended, one_line_errors():
        raise PipelineError("expected a, received b; try c")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: expected a, received b; try c\n"


def test_an_error_moves_no_terminal(capsys):
    """What a file or a class is called may be anybody's."""
    with pytest.raises(SystemExit), one_line_errors():
        raise PipelineError("expected a picture, received \x1b]0;title\x07\x1b[2Jü.png")
    assert capsys.readouterr().err == "error: expected a picture, received \\x1b]0;title\\x07\\x1b[2Jü.png\n"


@pytest.mark.parametrize("url", ["https://me:pass@host/a", "https://me:p@ss@host/a", "https://token@host/a"])
def test_no_password_is_repeated(url):
    assert shown(url) == "'https://host/a'"


def test_nearest_names_the_closest_or_all():
    assert nearest("epoch", ["epochs", "seed"]) == "did you mean 'epochs'?"
    assert nearest("LR", ["color", "learning_rate"]) == "did you mean 'learning_rate'?"
    assert nearest("zzz", ["epochs", "seed"]) == "known: epochs, seed"


def test_a_directory_appears_only_when_whole(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(RuntimeError), whole_directory(target) as directory:
        (directory / "a").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with whole_directory(target) as directory:
        (directory / "a").write_text("whole")
        assert not target.exists()
    assert (target / "a").read_text() == "whole"


def test_an_older_result_is_replaced_only_by_a_whole_one(tmp_path):
    target = tmp_path / "out"
    with whole_directory(target) as directory:
        (directory / "old").touch()
    with pytest.raises(RuntimeError), whole_directory(target) as directory:
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["old"]
    with whole_directory(target) as directory:
        (directory / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]


def test_after_a_kill_the_next_attempt_ends_with_the_same_result(tmp_path):
    code = (
        "import os, signal, sys; from components.core.files import whole_directory\n"
        "with whole_directory(sys.argv[1]) as d:\n"
        "    (d / 'stale').touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")])
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    with whole_directory(tmp_path / "out") as directory:
        (directory / "a").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]


def test_two_writers_at_once_never_share_a_partial(tmp_path):
    """Both finish; the later one's result stays, whole."""
    target = tmp_path / "checkpoint.npz"
    with whole_file(target) as first:
        first.write_text("first, half")
        with whole_file(target) as second:
            second.write_text("second")
        assert first.read_text() == "first, half"
        assert target.read_text() == "second"
    assert target.read_text() == "first, half"
    target = tmp_path / "model"
    with whole_directory(target) as first:
        (first / "weights").write_text("first")
        with whole_directory(target) as second:
            (second / "weights").write_text("second")
        assert [path.name for path in first.iterdir()] == ["weights"]
    assert (target / "weights").read_text() == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.npz", "model"]


def test_many_writers_of_one_directory_all_finish(tmp_path):
    def write(number: int) -> None:
        with whole_directory(tmp_path / "out") as directory:
            for name in "abc":
                (directory / name).write_text(str(number))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(64)))
    assert len({path.read_text() for path in (tmp_path / "out").iterdir()}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


HOLD = (
    "import sys; from components.core.files import whole_directory, whole_file\n"
    "kind = whole_directory if sys.argv[2] == 'directory' else whole_file\n"
    "with kind(sys.argv[1]) as partial: print(partial, flush=True); sys.stdin.read()\n"
)


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_a_writer_at_work_holds_is_spared_and_what_a_dead_one_left_is_removed(tmp_path, kind):
    target, write = tmp_path / "out", whole_directory if kind == "directory" else whole_file
    command = [sys.executable, "-c", HOLD, str(target), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        held = pathlib.Path(other.stdout.readline().strip())
        with write(target):
            assert held.exists()
        assert held.exists()
        other.kill()
    assert held.exists()
    (tmp_path / ".out.partial").write_text("as earlier releases called it")
    (tmp_path / ".output.partial").write_text("another's")
    with write(target):
        assert not held.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".output.partial", "out"]


@pytest.mark.parametrize("length", [200, 241, 247, 255])
def test_names_up_to_the_longest_can_be_written(tmp_path, length):
    write_json(tmp_path / ("n" * length), {})
    with whole_directory(tmp_path / ("d" * length)) as directory:
        (directory / "a").touch()
    assert sorted(len(path.name) for path in tmp_path.iterdir()) == [length, length]


def test_a_file_is_replaced_only_by_a_whole_one(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with whole_file(path) as partial:
        partial.write_text("first")
    with pytest.raises(RuntimeError), whole_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "first"
    with path.open() as reader:
        with whole_file(path) as partial:
            partial.write_text("second")
        assert reader.read() == "first", "renamed, and not written into what others read"
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_json_with_nan_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []
    write_json(tmp_path / "x.json", {"loss": 0.5})
    assert json.loads((tmp_path / "x.json").read_text()) == {"loss": 0.5}


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_line_has_no_terminal_colors() -> None:
    assert (
        one_line(ValueError("calling Reshape.\n\n\x1b[1mThe size must stay.\x1b[0m"))
        == "calling Reshape. The size must stay."
    )
