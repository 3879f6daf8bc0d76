"""The recorded base image and its digest, renewed from a real registry."""

import pathlib

import pytest

from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.images import base_image, names
from tests.servers.image_registry import BINARY, put_image, serving

pytestmark = pytest.mark.usefixtures("bare_home")
needs_registry = pytest.mark.skipif(BINARY is None, reason="no docker-registry on this machine")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "base-image.txt"


@needs_registry
def test_a_new_image_under_the_old_name_is_another_base(file, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("BASE_IMAGE", raising=False)
    monkeypatch.setattr(names, "base_name", lambda: base_image.recorded(file))
    with serving(tmp_path) as host:
        file.write_text(f"# the base\n{host}/team/python:3.11\n")
        tags = {names.image("train")}
        for update in ("first", "security update"):
            digest = put_image(host, "team/python", "3.11", update)
            base_image.renew(file)
            assert base_image.recorded(file) == f"{host}/team/python:3.11@{digest}"
            tags.add(names.image("train"))
        capsys.readouterr()
        base_image.renew(file)
        assert capsys.readouterr().out == ""
    assert len(tags) == 3


@needs_registry
def test_a_base_that_the_registry_lacks_is_refused(file, tmp_path):
    with serving(tmp_path) as host:
        file.write_text(f"{host}/team/python:3.11\n")
        with pytest.raises(PipelineError, match=f"base image {host}/team/python:3.11 in the registry, received"):
            base_image.renew(file)


def test_what_no_registry_answers_for_stays_as_it_is(file, capsys):
    file.write_text("127.0.0.1:9/team/python:3.11\n")
    base_image.renew(file)
    assert "stays 127.0.0.1:9/team/python:3.11: 127.0.0.1:9 does not answer here" in capsys.readouterr().out
    assert file.read_text() == "127.0.0.1:9/team/python:3.11\n"


@pytest.mark.parametrize("text", ["", "python\n", "python:3.11\npython:3.12\n", "python:3.11@sha256:abc\n"])
def test_a_file_that_names_no_base_is_refused(file, text):
    file.write_text(text)
    with pytest.raises(PipelineError, match=r"base-image.txt: expected one line such as python:3.13-slim"):
        base_image.recorded(file)


def test_every_build_starts_from_the_recorded_base(monkeypatch):
    monkeypatch.delenv("BASE_IMAGE", raising=False)
    monkeypatch.setattr(base_image, "REMEMBERED", pathlib.Path("none"))
    assert base_image.base_name() == base_image.recorded()
    monkeypatch.setenv("BASE_IMAGE", "mine:1")
    assert base_image.base_name() == "mine:1"


def test_the_base_of_what_was_pushed_is_remembered(monkeypatch, tmp_path):
    monkeypatch.setattr(base_image, "REMEMBERED", tmp_path / "build/base-image")
    for given, then in (("mine:1", "mine:1"), (base_image.recorded(), base_image.recorded())):
        monkeypatch.setenv("BASE_IMAGE", given)
        base_image.remember()
        monkeypatch.delenv("BASE_IMAGE")
        assert base_image.base_name() == then


def test_what_builds_by_hand_has_the_recorded_base():
    name = base_image.recorded().partition("@")[0]
    for dockerfile in ("docker/Dockerfile", "docker/tensorboard/Dockerfile"):
        assert f"\nARG BASE_IMAGE={name}\n" in (ROOT / dockerfile).read_text()
