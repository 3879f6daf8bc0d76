"""Layers that can't fit the pictures are refused before anything runs, also if only the data can tell their shape."""

import contextlib

import pytest

from components.core.errors import PipelineError
from pipeline.keras_side.check import build_all, possible_shapes
from pipeline.parameters.parameters import Parameters

FLAT = '[{"Reshape": {"target_shape": [%s]}}, {"GRU": {"units": 4}}]'
OWN = {"dataset": "image_folder", "source": "/photos"}


def asked(architecture: str, **own: str) -> None:
    parameters = Parameters(**OWN, **own, architecture=architecture)
    build_all({"architecture": architecture}, possible_shapes(parameters), 2)


@pytest.mark.parametrize(
    ("own", "shapes"),
    [
        ({}, []),
        ({"color": "rgb"}, []),
        ({"image_size": "16"}, [(16, 16, 3), (16, 16, 1)]),
        ({"image_size": "16x8", "color": "grayscale"}, [(16, 8, 1)]),
    ],
)
def test_which_shapes_pictures_may_have(own: dict[str, str], shapes: list) -> None:
    assert possible_shapes(Parameters(**OWN, **own)) == shapes


@pytest.mark.parametrize("own", [{}, {"image_size": "16"}])
@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ('[{"GRU": {"units": 4}}]', r"layer 1 \(GRU\) doesn't fit what it receives"),
        ('["Flatten", {"Conv2D": {"filters": 4, "kernel_size": 3}}, "Flatten"]', r"layer 2 \(Conv2D\)"),
        ('[{"Conv2D": {"filters": 4, "kernel_size": 3}}]', "add Flatten or GlobalAveragePooling2D"),
    ],
)
def test_layers_that_fit_no_pictures_are_refused(architecture: str, said: str, own: dict[str, str]) -> None:
    with pytest.raises(PipelineError, match=rf"^architecture: [^\n]*{said}[^\n]*$"):
        asked(architecture, **own)


def test_layers_that_may_fit_are_left_to_the_data() -> None:
    asked(FLAT % "96, 288")
    asked(FLAT % "16, 16", image_size="16")  # if the pictures are grey
    with pytest.raises(PipelineError, match=r"layer 1 \(Reshape\)"):
        asked(FLAT % "96, 288", image_size="16")


def test_a_layer_that_the_optimizer_names_is_one_of_the_model() -> None:
    layers = '[{"Conv2D": {"filters": 2, "kernel_size": 3, "name": "eyes"}}, "Flatten"]'
    for named, refused in (("eye", contextlib.nullcontext()), ("eyos", pytest.raises(PipelineError, match="'eyes'"))):
        with refused:
            build_all({"architecture": layers, "optimizer": f"{{Muon: {{exclude_layers: [{named}]}}}}"}, [(8, 8, 1)], 2)
