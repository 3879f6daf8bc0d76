"""Layers that a format can't carry are refused before anything is trained, by layer: the converters say so."""

import json

import pytest

from components.core.errors import PipelineError
from pipeline.keras_side import check as door
from pipeline.keras_side.check import build_all, check_model
from pipeline.parameters.parameters import Parameters

CONV = {"filters": 8, "kernel_size": 3}
RESIZED = [{"Resizing": {"height": 8, "width": 8, "antialias": True}}, "Flatten"]


def asked(layers: list, formats: list[str], shape: list[int] | None = None) -> None:
    build_all({"architecture": json.dumps(layers)}, [shape or [16, 16, 3]], 10, formats)


@pytest.mark.parametrize(
    ("layers", "formats", "said"),
    [
        ([{"Conv2D": CONV}, {"Conv2D": CONV | {"activation": "gelu"}}, "Flatten"], ["onnx"], "layer 2 (Conv2D)"),
        ([{"Conv2D": CONV}, {"Conv2D": CONV | {"groups": 4}}, "Flatten"], ["onnx"], "layer 2 (Conv2D)"),
        (RESIZED, ["onnx"], "layer 1 (Resizing)"),
        (RESIZED, ["saved_model", "litert"], "layer 1 (Resizing)"),
    ],
)
def test_what_a_format_cannot_carry_is_refused_by_layer(layers, formats, said):
    with pytest.raises(PipelineError) as refused:
        asked(layers, formats)
    line, name = str(refused.value), formats[-1]
    assert line.startswith(f"architecture: {said} can't be carried by {name}: can't")
    assert line.endswith(f"; take another layer, or leave {name} out of formats")


def test_what_can_be_carried_passes_and_what_is_not_converted_is_not_tried():
    asked([{"Conv2D": CONV}, "BatchNormalization", "Flatten"], ["onnx"])
    asked(RESIZED, ["saved_model", "keras"])


def test_the_door_asks_for_own_layers_and_the_formats_that_are_converted(monkeypatch, capsys):
    told: list[dict] = []
    monkeypatch.setattr(door, "ask", lambda question, start, **about: told.append(about))
    given = {"architecture": json.dumps(RESIZED), "formats": "saved_model,keras,onnx,litert"}
    check_model(Parameters(**given))
    check_model(Parameters(**given | {"architecture": "article", "image_size": "16"}))
    assert [about["formats"] for about in told] == [["onnx", "litert"], []]
    told_before = "checking that the layers fit pictures of {0} x {0}: Keras takes some seconds to start\n"
    assert capsys.readouterr().out == told_before.format(8) + told_before.format(16)


def test_what_fits_is_asked_once_and_again_when_the_question_or_keras_is_another(monkeypatch, tmp_path):
    told: list[dict] = []
    monkeypatch.setattr(door, "ask", lambda question, start, **about: told.append(about))
    small, large = Parameters(image_size="16"), Parameters(image_size="24")
    for parameters in (small, large, small, large):
        check_model(parameters, fitting=tmp_path / "outputs/.fitting")
    assert [about["image_shapes"] for about in told] == [[(16, 16, 1)], [(24, 24, 1)]]
    monkeypatch.setattr(door.importlib.metadata, "version", lambda package: "3.99")
    check_model(small, fitting=tmp_path / "outputs/.fitting")
    assert len(told) == 3


def test_what_does_not_fit_is_refused_again(monkeypatch, tmp_path):
    def refuse(*question, **about):
        raise PipelineError("layer 1 (Conv2D) doesn't fit")

    monkeypatch.setattr(door, "ask", refuse)
    for _ in range(2):
        with pytest.raises(PipelineError, match="doesn't fit"):
            check_model(Parameters(image_size="16"), fitting=tmp_path)
    assert not list(tmp_path.iterdir())
