"""Building for real, on a project whose image is a few kilobytes."""

import pytest

from components.core.errors import PipelineError
from pipeline.images import build, docker_build, names


def test_builds_what_is_missing_and_moves_nothing(engine, small, capsys):
    first = build.build(["cpu"])
    assert first == names.names(["cpu"]) and len(first) == len(names.COMPONENTS)
    assert build.missing(["cpu"]) == []
    ids = {name: engine.images.get(name).id for name in first}
    assert len(set(ids.values())) == 2
    assert ids[names.image("download")] == ids[names.image("preprocess")] != ids[names.image("train")]

    capsys.readouterr()
    assert build.build(["cpu"]) == [] and capsys.readouterr().out == ""

    (small / "components/evaluate/logic.py").write_text("changed")
    assert build.missing(["cpu"]) == [names.image("evaluate")]
    assert build.build(["cpu"]) == [names.image("evaluate")]
    assert engine.images.get(names.image("evaluate")).id not in ids.values()
    assert {name: engine.images.get(name).id for name in first} == ids


def test_an_edit_during_the_build_does_not_get_under_the_tag(engine, small, monkeypatch):
    """The name is of what was copied; the edited source has a name of its own, not yet made."""
    real = docker_build.docker_build

    def edit_then_build(*arguments):
        (small / "components/train/logic.py").write_text("edited meanwhile")
        real(*arguments)

    monkeypatch.setattr(build, "docker_build", edit_then_build)
    before = names.image("train")
    build.build(["cpu"])
    assert build.missing(["cpu"]) == [names.image("train")] != [before]
    container = engine.containers.create(before, ["never run"])
    content = b"".join(container.get_archive("/app/components/train/logic.py")[0])
    container.remove()
    assert b"edited meanwhile" not in content


def test_a_failed_build_says_the_last_lines_and_leaves_no_image(small, capsys):
    (small / "docker/Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS data\nCOPY nothing /here\n")
    with pytest.raises(PipelineError, match="expected the data image to build, docker ended with: .*nothing"):
        build.build(["cpu"])
    assert "nothing" in capsys.readouterr().out
    assert len(build.missing(["cpu"])) == len(names.COMPONENTS)


def test_an_unobtainable_base_names_the_script_that_makes_one(small, monkeypatch):
    monkeypatch.setenv("BASE_IMAGE", "127.0.0.1:9/no/such:image")
    with pytest.raises(PipelineError, match="base image 127.0.0.1:9/no/such:image.*docker/base-image.sh"):
        build.build(["cpu"])


def test_credentials_of_this_machine_reach_neither_the_image_nor_the_output(engine, small, monkeypatch, capsys):
    monkeypatch.setenv("PIP_INDEX_URL", "https://somebody:hunter2@index.example/simple")
    monkeypatch.setenv("HTTPS_PROXY", "http://somebody:hunter3@127.0.0.1:9")
    text = (small / "docker/Dockerfile").read_text()
    (small / "docker/Dockerfile").write_text(text + "ARG PIP_INDEX_URL\nCOPY docker /docker\n")
    build.build(["cpu"])
    said = capsys.readouterr().out.splitlines()
    assert "PIP_INDEX_URL holds credentials: not passed to the build" in said
    image = engine.images.get(names.image("train"))
    for place in (image.history(), image.attrs, said, (docker_build.LOGS / "image-cpu.log").read_text()):
        assert "hunter" not in str(place)
