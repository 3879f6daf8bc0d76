"""`docker build -f docker/Dockerfile .` by hand: .dockerignore lets in what the Dockerfiles copy."""

import re

import pytest
from docker.utils.build import exclude_paths

from pipeline import ROOT


@pytest.mark.parametrize("dockerfile", ["docker/Dockerfile", "docker/tensorboard/Dockerfile"])
def test_the_build_is_given_all_that_it_copies(dockerfile):
    sent = exclude_paths(str(ROOT), (ROOT / ".dockerignore").read_text().split())  # as the Docker client leaves out
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", (ROOT / dockerfile).read_text(), re.MULTILINE)
    assert copied and set(" ".join(copied).split()) <= sent
