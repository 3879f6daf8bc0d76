"""Building for real, on a project whose image is a few kilobytes."""

import pytest

from components.core.errors import PipelineError
from pipeline.images import build as image_builds
from pipeline.images import names as images


def test_builds_what_is_missing_and_moves_nothing(engine, small):
    said = []
    first = images.build(["cpu"], say=said.append)
    assert first == [images.image(component) for component in images.COMPONENTS]
    assert images.missing(["cpu"]) == []
    ids = {name: engine.images.get(name).id for name in first}
    assert len(set(ids.values())) == 1

    said.clear()
    assert images.build(["cpu"], say=said.append) == [] and said == []

    (small / "components/evaluate/logic.py").write_text("changed")
    assert images.missing(["cpu"]) == [images.image("evaluate")]
    assert images.build(["cpu"], say=said.append) == [images.image("evaluate")]
    assert engine.images.get(images.image("evaluate")).id not in ids.values()
    assert {name: engine.images.get(name).id for name in first} == ids


def test_an_edit_during_the_build_does_not_get_under_the_tag(engine, small, monkeypatch):
    """The name is of what was copied; the edited source has a name of its own, not yet made."""
    real = image_builds.docker_build

    def edit_then_build(*arguments):
        (small / "components/train/logic.py").write_text("edited meanwhile")
        real(*arguments)

    monkeypatch.setattr(images, "docker_build", edit_then_build)
    before = images.image("train")
    images.build(["cpu"], say=lambda line: None)
    assert images.missing(["cpu"]) == [images.image("train")] != [before]
    container = engine.containers.create(before, ["never run"])
    content = b"".join(container.get_archive("/app/components/train/logic.py")[0])
    container.remove()
    assert b"edited meanwhile" not in content


def test_a_failed_build_says_the_last_lines_and_leaves_no_image(small):
    (small / "docker/Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS cpu\nCOPY nothing /here\n")
    said = []
    with pytest.raises(PipelineError, match="expected the cpu image to build, docker ended with: .*nothing") as failure:
        images.build(["cpu"], say=said.append)
    assert "\n" not in str(failure.value)
    assert [line for line in said if "nothing" in line]
    assert len(images.missing(["cpu"])) == len(images.COMPONENTS)


def test_an_unobtainable_base_names_the_script_that_makes_one(small, monkeypatch):
    monkeypatch.setenv("BASE_IMAGE", "127.0.0.1:9/no/such:image")
    with pytest.raises(PipelineError, match="base image 127.0.0.1:9/no/such:image.*docker/base-image.sh") as failure:
        images.build(["cpu"], say=lambda line: None)
    assert "\n" not in str(failure.value)


def test_credentials_of_this_machine_reach_neither_the_image_nor_the_output(engine, small, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://somebody:hunter2@index.example/simple")
    monkeypatch.setenv("HTTPS_PROXY", "http://somebody:hunter3@127.0.0.1:9")
    text = (small / "docker/Dockerfile").read_text()
    (small / "docker/Dockerfile").write_text(text + "ARG PIP_INDEX_URL\nCOPY docker /docker\n")
    said = []
    images.build(["cpu"], say=said.append)
    assert "PIP_INDEX_URL holds credentials: not passed to the build" in said
    image = engine.images.get(images.image("train"))
    for place in (image.history(), image.attrs, said, (image_builds.LOGS / "image-cpu.log").read_text()):
        assert "hunter" not in str(place)


def test_the_list_says_what_is_built(small):
    said = []
    images.show(["cpu"], say=said.append)
    assert len(said) == len(images.COMPONENTS) and all(line.endswith("not built") for line in said)
    images.build(["cpu"], say=lambda line: None)
    said.clear()
    images.show(["cpu"], say=said.append)
    assert len(said) == len(images.COMPONENTS) and all(line.endswith(" GB") for line in said)
