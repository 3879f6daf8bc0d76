"""The command about the model itself: python -m pipeline model show."""

import json
import subprocess
import sys
from typing import Any

import click

from components.core.catalog import DATASETS
from components.core.errors import PipelineError
from components.core.progress import amount
from components.train.settings import TrainSettings
from pipeline import ROOT
from pipeline.console import table
from pipeline.keras_side.preflight import SOME_CLASSES, image_shape
from pipeline.parameters.parameters import DEFAULT_PROFILE, Parameters, configure

SOME_SHAPE = (32, 32, 3)
COLUMNS = ("layer", "type", "output", "parameters", "FLOP", "memory")


@click.group("model")
def model() -> None:
    """The network, before there is any data."""


@model.command("show")
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="A profile's name or a YAML file.")
@click.option("--classes", type=click.IntRange(min=2), help="How many, for pictures of your own.")
@click.argument("settings", nargs=-1, metavar="[NAME=VALUE]...")
def show_command(profile: str, classes: int | None, settings: tuple[str, ...]) -> None:
    """Prints the layers, their parameters, and what a picture costs in operations and memory."""
    parameters = configure(profile, settings).parameters
    known = DATASETS[parameters.dataset]
    shape, count = image_shape(parameters), classes or known.class_count
    assumed = [
        *([] if shape else [f"pictures of {_shape(SOME_SHAPE)} (set image_size)"]),
        *([] if count else [f"{SOME_CLASSES} classes (set --classes, or make model CLASSES=)"]),
    ]
    shape, count = shape or SOME_SHAPE, count or SOME_CLASSES
    facts = _ask(parameters, shape, count)
    print(f"{parameters.dataset}: pictures of {_shape(shape)}, {count} classes")
    if assumed:
        print(f"assumed, as only the data can tell: {', '.join(assumed)}")
    print()
    print(describe(facts, parameters))


def _ask(parameters: Parameters, shape: tuple[int, int, int], count: int) -> dict[str, Any]:
    """The facts, from a process of its own that loads Keras."""
    settings = parameters.model_dump(include=set(TrainSettings.model_fields))
    asked = subprocess.run(
        [sys.executable, "-m", "pipeline.keras_side.describe"],
        input=json.dumps({"settings": settings, "image_shape": shape, "class_count": count}) + "\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if asked.returncode:
        said = (asked.stderr.strip().splitlines() or ["the model's process ended without a word"])[-1]
        raise PipelineError(said.removeprefix("error: "))
    return json.loads(asked.stdout.splitlines()[-1])


def describe(facts: dict[str, Any], parameters: Parameters) -> str:
    """The table of layers, and what they come to. `facts` is a ModelFacts of pipeline/keras_side/describe.py."""
    rows = [
        (
            layer["name"],
            layer["type"],
            _shape(layer["shape"]),
            f"{layer['parameters']:,}",
            "?" if layer["flops"] is None else _flop(layer["flops"]),
            amount(layer["bytes"], "B"),
        )
        for layer in facts["layers"]
    ]
    batch = parameters.batch_size
    auto = f", what {facts['device']} does well" if parameters.precision == "auto" else ""
    exported = "; twice that as exported, with average_mirrored" if parameters.average_mirrored else ""
    told = [
        ("precision", f"{facts['precision']}{auto}"),
        ("parameters", f"{facts['parameters']:,}, of which {facts['trained_parameters']:,} are trained"),
        ("weights", amount(facts["weight_bytes"], "B")),
        ("forward", f"{_flop(facts['forward_flops'])}FLOP a picture{exported}"),
        ("", f"{amount(facts['forward_bytes'], 'B')} a picture at a time"),
        ("training", f"{_flop(facts['training_flops'])}FLOP a picture, about three times the forward pass"),
        ("", f"{amount(facts['kept_bytes'], 'B')} a picture, kept until the backward pass has used it"),
        (
            "memory",
            f"{amount(facts['state_bytes'], 'B')} for weights, gradients and the optimizer's state, and "
            f"{amount(facts['kept_bytes'] * batch, 'B')} for a batch of {batch:,}",
        ),
    ]
    uncounted = sorted({layer["type"] for layer in facts["layers"] if layer["flops"] is None})
    notes = [("note", f"not counted: the FLOP of {', '.join(uncounted)}")] if uncounted else []
    lines = [f"{name:<12}{said}" for name, said in (*told, *notes)]
    return "\n".join([table(rows, COLUMNS), "", *lines])


def _shape(shape: Any) -> str:
    """`30 x 30 x 32`."""
    return " x ".join("any" if side is None else str(side) for side in shape)


def _flop(count: int) -> str:
    """`152.3 M`, with a space for the unit behind."""
    for prefix in ("", "k", "M", "G"):
        if count < 1000:
            return f"{count:.1f} {prefix}" if prefix else f"{count} "
        count /= 1000
    return f"{count:.1f} T"
