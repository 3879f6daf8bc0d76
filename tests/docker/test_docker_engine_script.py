""".ci/docker-engine, with commands that stand for Docker's."""

import os
import subprocess

import pytest

from pipeline import ROOT
from tests.stand_ins import stand_ins


@pytest.mark.skipif(os.getuid() != 0, reason="only root starts dockerd")
def test_the_engine_keeps_nothing_open_of_whoever_starts_it(tmp_path):
    """Under flock it held the lock for as long as it ran."""
    path = stand_ins(
        tmp_path,
        docker=f"test -e {tmp_path}/up && echo 20.10",
        dockerd=f"ls -l /proc/$$/fd >{tmp_path}/open; touch {tmp_path}/up; sleep 1",
    )
    lock = (tmp_path / "lock").open("w")
    environment = {"PATH": path, "DOCKERD_LOG": str(tmp_path / "log")}
    command = [ROOT / ".ci/docker-engine"]
    done = subprocess.run(command, env=environment, pass_fds=[lock.fileno()], capture_output=True, text=True)
    assert done.stdout.startswith("Docker engine 20.10 started")
    assert str(tmp_path / "log") in (tmp_path / "open").read_text()
    assert f"{tmp_path}/lock" not in (tmp_path / "open").read_text()
