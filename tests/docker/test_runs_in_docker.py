"""Local runs through a real engine: steps that fail are never taken for steps that succeeded."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tarfile

import pytest
import requests
from docker.types import Mount

from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.images import names
from pipeline.local.step_containers import OUTPUTS_LABEL, OWNER_LABEL, StepContainer, StepContainers, remove_containers
from pipeline.local.waiting import UNTOLD

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
OPTIONS = {
    "labels": {"conv2d-pipeline.test": str(os.getpid())},  # another checkout's tests may run beside
    "user": "1234:1234",
    "read_only": True,
    "tmpfs": {"/tmp": "exec"},
}
LABEL = {"label": f"conv2d-pipeline.test={os.getpid()}"}


def command(source: str) -> list[str]:
    return ["sh", "-ec", "...", source, "--executor_input", INPUT, "--function_to_execute", "evaluate"]


@pytest.mark.usefixtures("cpu_image")
def test_a_container_that_waits_becomes_the_step(engine, capsys):
    def ran() -> tuple[int, str]:
        code = containers.run(command(SOURCE))
        return code, capsys.readouterr().out.splitlines()[-1]  # KFP's executor logs what it was given

    with StepContainers(names.image, frozenset({"evaluate"}), OPTIONS) as containers:
        containers.start("evaluate")
        assert ran() == (3, "process 1 has imported it: True as 1234")
        # One that is gone is none; each is taken away, and so is one that nobody needed.
        containers.start("evaluate")
        containers.held["evaluate"].container.kill()
        assert ran() == (3, "process 1 has imported it: False as 1234")
        containers.start("evaluate")
        containers.start("preprocess")
        assert len(engine.containers.list(filters=LABEL)) == 1
    assert engine.containers.list(all=True, filters=LABEL) == []


ODD = """
def evaluate():
    import os, pathlib, time
    for half in (b"\\xc3", b"\\xa9\\n"):  # of one letter
        os.write(1, half)
        time.sleep(0.2)
    pathlib.Path(FOLDER, "written").touch()
    assert pathlib.Path("/mounted/written").exists()
    raise SystemExit(137)
"""


@pytest.mark.usefixtures("cpu_image")
def test_output_in_pieces_a_path_with_a_colon_and_the_exit_status_are_what_they_are(engine, tmp_path, capsys):
    """kfp.local decodes each piece alone, separates volumes by colons, and takes what is gone for a success."""
    folder = tmp_path / "a: b,c"
    folder.mkdir()
    folder.chmod(0o777)
    options = OPTIONS | {"mounts": [Mount(place, str(folder), type="bind") for place in ("/mounted", str(folder))]}
    with StepContainers(names.image, frozenset(), options) as containers:
        assert containers.run(command(f"FOLDER = {str(folder)!r}{ODD}")) == -9
    assert capsys.readouterr().out.endswith("\u00e9\n")
    assert (folder / "written").exists()
    assert engine.containers.list(all=True, filters=LABEL) == []


@pytest.mark.usefixtures("cpu_image")
def test_an_engine_that_does_not_see_the_files_is_told_as_that():
    """As one on another machine: what it said was HTTP."""
    options = OPTIONS | {"mounts": [Mount("/no/such/folder", "/no/such/folder", type="bind")]}
    told = r"to run a step, received: .*does not exist: /no/such/folder; an engine on another machine .*process$"
    with StepContainers(names.image, frozenset(), options) as containers, pytest.raises(PipelineError, match=told):
        containers.run(command(SOURCE))


@pytest.mark.usefixtures("cpu_image")
def test_an_engine_that_stops_during_a_step_is_told_as_that(monkeypatch):
    def stopped(*_: object) -> None:
        raise requests.ConnectionError("('Connection aborted.', FileNotFoundError(2, 'No such file or directory'))")

    monkeypatch.setattr(StepContainer, "ended", stopped)  # as it was seen
    told = "^expected the engine at .* to run a step, received: No such file or directory$"
    with StepContainers(names.image, frozenset(), OPTIONS) as containers, pytest.raises(PipelineError, match=told):
        containers.run(command(SOURCE))


OTHERS = ("another's", "another machine's")


@pytest.mark.usefixtures("cpu_image")
def test_a_run_removes_its_own_containers_and_those_of_the_dead(engine, tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    owners = {"own": f"{host} {os.getpid()}", "left": f"{host} {ended.pid}"}
    owners |= {"another's": f"{host} {os.getppid()}", "another machine's": f"not-{host} {ended.pid}"}
    made = {
        name: engine.containers.create(
            names.image("download"),
            ["sleep", "60"],
            labels={OUTPUTS_LABEL: str(tmp_path), OWNER_LABEL: owner},
        )
        for name, owner in owners.items()
    }
    try:
        remove_containers(tmp_path)
        left = engine.containers.list(all=True, filters={"label": f"{OUTPUTS_LABEL}={tmp_path}"})
        assert {container.id for container in left} == {made[name].id for name in OTHERS}
    finally:
        for name in OTHERS:
            made[name].remove(force=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("cpu_image")
def test_a_run_that_is_ended_leaves_no_container(engine, tmp_path, number):
    """By `timeout`, by a CI, by a terminal that is closed: the training went on, unseen."""
    # Below `nohup` the tests ignore a closed terminal, and so would what they start.
    command = ["env", "--default-signal", sys.executable, "-m", "pipeline", "run-local", "--runner", "docker"]
    run = subprocess.Popen(
        [*command, "--outputs", str(tmp_path), "EPOCHS=100000"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert any(" parameters on " in line for line in run.stdout)
        run.send_signal(number)
        _, said = run.communicate(timeout=60)
    finally:
        run.kill()
    assert (run.returncode, said.strip()) == (1, "Aborted!")
    assert engine.containers.list(all=True, filters={"label": f"{OUTPUTS_LABEL}={tmp_path}"}) == []


LONG = """
def evaluate():
    import time
    print("begun", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("does", "status"),
    [
        ("early.start('evaluate'); print('begun', flush=True); sys.stdin.read()", UNTOLD),
        ("early.run(COMMAND)", 1),
    ],
)
@pytest.mark.usefixtures("cpu_image")
def test_a_container_ends_with_a_run_that_was_killed(engine, does, status):
    """A step trained on, unseen, until the next run in that folder."""
    code = f"""
import sys
from pipeline.images import names
from pipeline.local.step_containers import StepContainers
COMMAND, OPTIONS = {command(LONG)!r}, {OPTIONS}
with StepContainers(names.image, frozenset({{"evaluate"}}), OPTIONS) as early:
    {does}
"""
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    run = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes)
    try:
        assert "begun\n" in run.stdout
        [container] = engine.containers.list(filters=LABEL)
    finally:
        run.kill()
        run.communicate()
    try:
        assert container.wait(timeout=120)["StatusCode"] == status
    finally:
        container.remove(force=True)
