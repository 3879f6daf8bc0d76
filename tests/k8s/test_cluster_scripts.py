"""cluster-up and cluster-down, with stand-ins for docker, kind, kubectl and git that write down what they are told.

What the real ones do with it is for k8s/CHECKLIST.md: no cluster can be had here.
"""

import os
import pathlib
import subprocess

import pytest

from tests.k8s.manifests import K8S

COMMANDS = ("docker", "kind", "kubectl", "git")
STAND_IN = """#!/bin/bash
echo "$(basename "$0") $*" >> {log}
case "$(basename "$0") $*" in
{answers}
"kind get clusters") cat {clusters} 2>/dev/null ;;
"kind create cluster "*) echo conv2d >> {clusters} ;;
"kind delete cluster "*) rm {clusters} ;;
esac
"""


class Machine:
    """A machine with these commands and no others of their kind."""

    def __init__(self, home: pathlib.Path, commands=COMMANDS, failing: str = ""):
        self.log, self.path = home / "log", home / "bin"
        self.path.mkdir()
        script = STAND_IN.format(
            log=self.log, clusters=home / "clusters", answers=f"{failing}) exit 1 ;;" if failing else ""
        )
        for command in commands:
            (self.path / command).write_text(script)
            (self.path / command).chmod(0o755)
        for needed in ("bash", "basename", "cat", "cut", "dirname", "grep", "rm", "sha256sum", "env"):
            (self.path / needed).symlink_to(pathlib.Path("/usr/bin") / needed)

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess:
        self.log.write_text("")
        environment = {"PATH": str(self.path), "HOME": os.environ.get("HOME", "/")}
        command = ["/bin/bash", str(K8S / script), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    def told(self, command: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(command)]


def test_up_makes_a_cluster_once_and_down_removes_it(tmp_path):
    machine = Machine(tmp_path)
    first = machine.run("cluster-up.sh", "conv2d-pipeline:train-0123456789ab")
    assert first.returncode == 0, first.stderr
    assert len(machine.told("kind create cluster --name conv2d --image kindest/node:v")) == 1
    applied = [line for line in machine.told("kubectl") if " apply " in line]
    assert [line.split("--kustomize ")[1].split("?")[0].rsplit("/", 1)[1] for line in applied] == [
        "cluster-scoped-resources",
        "platform-agnostic",
        "local",
    ]
    (loaded,) = machine.told("kind load docker-image")
    tensorboard = loaded.split()[-2]
    assert tensorboard.startswith("conv2d-tensorboard:")
    (runs,) = [line for line in machine.told("kubectl") if " set image " in line]
    assert runs.endswith(f"--namespace kubeflow set image deployment/tensorboard tensorboard={tensorboard}")
    assert loaded.endswith("conv2d-pipeline:train-0123456789ab")
    again = machine.run("cluster-up.sh")
    assert again.returncode == 0
    assert "is there already" in again.stdout
    assert machine.told("kind create") == []
    assert machine.run("cluster-down.sh").returncode == 0
    assert len(machine.told("kind delete cluster --name conv2d")) == 1
    assert "there is no cluster" in machine.run("cluster-down.sh").stdout


def test_no_other_cluster_is_touched(tmp_path):
    machine = Machine(tmp_path)
    assert machine.run("cluster-up.sh").returncode == 0
    assert machine.told("kubectl")
    assert all(line.startswith("kubectl --context kind-conv2d ") for line in machine.told("kubectl"))


@pytest.mark.parametrize("missing", COMMANDS)
def test_a_missing_command_is_one_line(tmp_path, missing):
    machine = Machine(tmp_path, [command for command in COMMANDS if command != missing])
    done = machine.run("cluster-up.sh")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: expected the command {missing}, found none; install it from https://")
    assert machine.told("kind create") == []


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ("docker\\ version*", "expected a Docker engine, none answers"),
        ("kind\\ create*", "kind could not make the cluster"),
        ("*cluster-scoped-resources*", "is there a release 2.17"),
        ("*--for\\ condition=available*", "did not become available in 15 minutes"),
        ("kind\\ load*", "kind could not load the images"),
        ("*rollout\\ status*", "TensorBoard did not start"),
    ],
)
def test_what_fails_is_told_in_one_line(tmp_path, failing, said):
    done = Machine(tmp_path, failing=failing).run("cluster-up.sh")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
