"""Local runs through a real engine: steps that fail are never taken for steps that succeeded."""

import json
import os
import pathlib
import subprocess
import sys
import tarfile

import pytest

from pipeline import ROOT
from pipeline.images import names
from pipeline.local.early import EarlyContainers

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


# A component's source, and KFP's command for it.
SOURCE = """
def evaluate():
    import os, sys
    print("process", os.getpid(), "has imported it:", "components.evaluate.run" in sys.modules, "as", os.getuid())
    sys.exit(3)
"""
INPUT = json.dumps({"inputs": {}, "outputs": {"outputFile": "/tmp/executor_output.json"}})
COMMAND = ["sh", "-ec", "...", SOURCE, "--executor_input", INPUT, "--function_to_execute", "evaluate"]
OPTIONS = {
    "labels": {"conv2d-pipeline.test": "early"},
    "user": "1234:1234",
    "read_only": True,
    "tmpfs": {"/tmp": "exec"},
}
LABEL = {"label": "conv2d-pipeline.test=early"}


def fresh(**options: object) -> int:
    """Stands for kfp.local's own way, a container that is started now."""
    assert options["command"] == COMMAND
    return 7


@pytest.mark.usefixtures("cpu_image")
def test_a_container_that_waits_becomes_the_step(engine, capsys):
    with EarlyContainers(names.image, frozenset({"evaluate"})) as early:
        early.start("evaluate", OPTIONS)
        code = early.run(fresh, engine, image=names.image("evaluate"), command=COMMAND, **OPTIONS)
        said = capsys.readouterr().out.splitlines()  # KFP's executor logs what it was given
        assert (code, said[-1]) == (3, "process 1 has imported it: True as 1234")
        # One that would not be the same, or is gone, is none; each is taken away, and so is one that nobody needed.
        early.start("evaluate", OPTIONS | {"user": "1"})
        assert early.run(fresh, engine, image=names.image("evaluate"), command=COMMAND, **OPTIONS) == 7
        early.start("evaluate", OPTIONS)
        early.held["evaluate"].container.kill()
        assert early.run(fresh, engine, image=names.image("evaluate"), command=COMMAND, **OPTIONS) == 7
        early.start("evaluate", OPTIONS)
        early.start("preprocess", OPTIONS)
        assert len(engine.containers.list(filters=LABEL)) == 1
    assert engine.containers.list(all=True, filters=LABEL) == []


@pytest.mark.usefixtures("cpu_image")
def test_a_container_that_waits_ends_with_a_run_that_was_killed(engine):
    code = f"""
import sys
from pipeline.images import names
from pipeline.local.early import EarlyContainers
with EarlyContainers(names.image, frozenset({{"evaluate"}})) as early:
    early.start("evaluate", {OPTIONS})
    print(early.held["evaluate"].container.id, flush=True)
    sys.stdin.read()
"""
    run = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    container = engine.containers.get(run.stdout.readline().decode().strip())
    run.kill()
    run.communicate()
    try:
        assert container.wait(timeout=120)["StatusCode"] == 0
    finally:
        container.remove(force=True)
