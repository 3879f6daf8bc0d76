"""Which runner, and in which image each step runs: by the parameters, the backend among them."""

import importlib.util

import pytest

from components.core.errors import PipelineError
from pipeline.images import names
from pipeline.images.engine import engine
from pipeline.local.runner import choose_runner
from pipeline.parameters.parameters import Parameters


@pytest.mark.parametrize(
    ("given", "target"), [({}, "cpu"), ({"gpus": "1"}, "gpu"), ({"backend": "jax"}, "jax"), ({"gpus": "auto"}, "cpu")]
)
def test_train_has_the_image_of_its_backend_and_device(given, target, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)  # whether it is installed or not
    runner, image = choose_runner("process", Parameters(**given))
    assert runner == "process"
    assert image("train") == names.image("train", target)
    assert image("evaluate") == names.image("evaluate", "cpu")


def test_a_backend_that_is_not_here_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError, match="^backend=jax: the package jax is not installed here; try `make jax`"):
        choose_runner("process", Parameters(backend="jax"))


def test_docker_as_asked_is_docker_or_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(PipelineError):
        engine()
    with pytest.raises(PipelineError):
        choose_runner("docker", Parameters())
    assert choose_runner("auto", Parameters())[0] == "process"
