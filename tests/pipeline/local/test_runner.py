"""Which runner, and in which image each step runs: by the parameters, the backend among them."""

import functools
import importlib.util
import os
import subprocess
import sys

import pytest

from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.images import names
from pipeline.local.runner import choose_runner, container_options
from pipeline.local.step_containers import labels, own_user, remove_containers
from pipeline.parameters.parameters import Parameters


@pytest.mark.parametrize(("given", "target"), [({}, "cpu"), ({"gpus": "1"}, "gpu"), ({"backend": "jax"}, "jax")])
def test_train_has_the_image_of_its_backend_and_device(given, target, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)  # whether it is installed or not
    runner, image = choose_runner("process", Parameters(**given))
    assert runner == "process"
    assert image("train") == names.image("train", target)
    assert image("evaluate") == names.image("evaluate", "cpu")
    made: list[str] = []
    monkeypatch.setattr("pipeline.images.build.build", made.extend)
    assert choose_runner("docker", Parameters(**given))[0] == "docker"
    assert made == list(dict.fromkeys(["cpu", target]))


@pytest.mark.parametrize("gpus", ["auto", ""])
def test_all_gpus_that_are_there_are_seen_by_processes_alone(monkeypatch, gpus):
    """A container was given none, and trained on its processors."""
    monkeypatch.setattr("pipeline.images.build.build", lambda targets: None)
    assert choose_runner("auto", Parameters(gpus=gpus))[0] == "process"
    with pytest.raises(PipelineError, match="^gpus: expected a number .* received (auto|none), or use .*process"):
        choose_runner("docker", Parameters(gpus=gpus))


def test_a_backend_that_is_not_here_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError, match="^backend=jax: the package jax is not installed here; try `make jax`"):
        choose_runner("process", Parameters(backend="jax"))


def test_without_an_engine_processes_run(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    assert choose_runner("auto", Parameters())[0] == "process"
    remove_containers(tmp_path)  # one that is stopped during a run ended it in a traceback, without a summary


def test_what_containers_write_is_ones_own_whatever_the_engine_makes_of_users(tmp_path, monkeypatch):
    """With `dockerd --userns-remap` and rootless engines they could not write at all."""
    given = container_options(Parameters(), tmp_path)
    assert (given["user"], given["userns_mode"]) == (f"{os.getuid()}:{os.getgid()}", "host")
    # Nothing beyond what a step needs, as the README says; what SELinux labels stays as it is.
    secured = ("no-new-privileges", "label=disable")
    assert (given["read_only"], given["cap_drop"], tuple(given["security_opt"])) == (True, ["ALL"], secured)
    # Pictures that only a group of one's own may read, and to root those of others, were "no permission".
    monkeypatch.setattr(os, "getgroups", lambda: [7, 8])
    monkeypatch.delenv("HOME")  # nor is anything known of a user of a CI
    for user, capabilities in ((0, ["DAC_OVERRIDE"]), (54321, [])):
        monkeypatch.setattr(os, "getuid", functools.partial(int, user))
        as_it = container_options(Parameters(), tmp_path)
        assert (as_it["group_add"], as_it["cap_add"]) == ([7, 8], capabilities)
    assert (given["tmpfs"], given["shm_size"], given["labels"]) == ({"/tmp": "exec"}, "1g", labels(tmp_path))  # noqa: S108
    assert "device_requests" not in given
    [gpus] = container_options(Parameters(gpus="2", backend="jax"), tmp_path)["device_requests"]
    assert (gpus["Count"], gpus["Capabilities"]) == (2, [["gpu"]])
    seccomp = "name=seccomp,profile=default"
    assert own_user({"SecurityOptions": [seccomp, "name=rootless"]}) == {"user": "0:0", "group_add": []}
    assert own_user({"SecurityOptions": [seccomp, "name=userns"]}) == own_user({"SecurityOptions": [seccomp]}) == {}


def test_a_step_ends_with_its_standard_input_and_not_with_what_is_typed_there():
    """Enter in `docker attach` ended it, without a word."""
    code = "from pipeline.local.waiting import end_with; end_with(0)"
    command = ["sh", "-c", '"$0" -c "$1"; echo $?; cat', sys.executable, code]
    ended = subprocess.run(command, input="\n\n", capture_output=True, text=True, cwd=ROOT)
    assert (ended.stdout, ended.stderr.count("error: ")) == ("1\n", 1)
