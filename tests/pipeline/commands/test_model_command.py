"""`model show` as a person runs it."""

import functools

import pytest
from click.testing import CliRunner

from components.core.errors import PipelineError
from pipeline.commands.main import main
from pipeline.keras_side import describe
from pipeline.local.warm import fork


@pytest.fixture(autouse=True)
def forked(warm, monkeypatch):
    """What loads Keras to answer is forked from a process that has."""

    def start(command, environment, output):
        return fork(warm, command, environment, output).wait

    monkeypatch.setattr(describe, "ask", functools.partial(describe.ask, start=start))


def show(*arguments: str) -> str:
    ended = CliRunner().invoke(main, ["model", "show", *arguments], catch_exceptions=False)
    assert ended.exit_code == 0
    return ended.output


def test_the_articles_model_is_shown_without_any_data():
    said = show("--profile", "cifar10")
    assert said.startswith("cifar10: pictures of 32 x 32 x 3, 10 classes\n")
    lines = {tuple(line.split()[:2]): line.split() for line in said.splitlines() if line}
    assert lines["conv2d_2", "Conv2D"][2:] == ["26", "x", "26", "x", "128", "73,856", "99.9", "M", "346.1", "kB"]
    assert "parameters  11,170,250, of which 11,170,250 are trained" in said
    assert "training    457.9 MFLOP per picture" in said
    assert "33.9 MB for a batch of 50" in said
    assert "assumed" not in said


def test_what_only_the_data_can_tell_is_assumed_and_said():
    small = 'ARCHITECTURE=["GlobalAveragePooling2D"]'
    said = show("DATASET=image_folder", "SOURCE=photos", small)
    assert (
        "assumed, because it depends on the data: pictures of 32 x 32 x 3 (set image_size and color), 10 classes"
        in said
    )
    said = show("DATASET=image_folder", "SOURCE=photos", "IMAGE_SIZE=48x64", "--classes", "3", small)
    assert said.startswith(
        "image_folder: pictures of 48 x 64 x 3, 3 classes\nassumed, because it depends on the data: "
    )


def test_layers_that_do_not_fit_are_refused_in_one_line():
    with pytest.raises(PipelineError, match=r"^architecture: layer 1 \(Conv2D\)[^\n]*$"):
        show('ARCHITECTURE=[{"Conv2D": {"filters": 4, "kernel_size": 9}}]')
