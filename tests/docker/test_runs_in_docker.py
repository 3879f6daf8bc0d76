"""Local runs through a real engine: steps that fail are never taken for steps that succeeded."""

import os
import pathlib
import subprocess
import sys
import tarfile

import pytest

from pipeline import ROOT

# kfp.local reported a failed container as a success in 20 to 70 % of tries.
TRIES = 4


def run_local(outputs: pathlib.Path, *settings: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline", "run-local", "--runner", "docker", "--outputs", str(outputs)]
    return subprocess.run([*command, *settings], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.usefixtures("cpu_image")
def test_a_failing_step_always_fails_the_command(tmp_path):
    source = tmp_path / "one-class.tar"
    with tarfile.open(source, "w") as tar:
        picture = tmp_path / "x.png"
        picture.write_bytes(b"no picture")
        tar.add(picture, "only/x.png")
    for attempt in range(TRIES):
        process = run_local(tmp_path / f"outputs-{attempt}", "DATASET=image_folder", f"SOURCE={source}")
        assert process.returncode == 1
        assert process.stderr.startswith("error: preprocess failed: ")
        assert process.stderr.count("\n") == 1
        assert "preprocess  failed" in process.stdout


@pytest.mark.usefixtures("cpu_image")
def test_what_containers_write_belongs_to_whoever_ran_them_and_none_stays(tmp_path, engine):
    outputs = tmp_path / "outputs"
    source = tmp_path / "empty.tar"
    with tarfile.open(source, "w"):
        pass
    run_local(outputs, "DATASET=image_folder", f"SOURCE={source}")
    written = list(outputs.rglob("*"))
    assert written
    assert {path.lstat().st_uid for path in written} == {os.getuid()}
    assert engine.containers.list(all=True, filters={"label": f"conv2d-pipeline.outputs={outputs}"}) == []
