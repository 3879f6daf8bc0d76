"""Errors of one line, and files that appear whole or not at all."""

import json
import signal
import subprocess
import sys

import pytest

from components.core.errors import PipelineError, nearest, one_line_errors
from components.core.files import sha256_of, whole_directory, whole_file, write_json


def test_an_expected_failure_ends_the_process_with_one_line(capsys):
    with pytest.raises(SystemExit) as ended, one_line_errors():
        raise PipelineError("expected a, received b; try c")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: expected a, received b; try c\n"


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), one_line_errors():
        _ = 1 / 0


def test_nearest_names_the_closest_or_all():
    assert nearest("epoch", ["epochs", "seed"]) == "did you mean 'epochs'?"
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


def test_a_file_is_replaced_only_by_a_whole_one(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with whole_file(path) as partial:
        partial.write_text("first")
    with pytest.raises(RuntimeError), whole_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "first"
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
