"""The trials of a sweep: a grid of training parameters, or a random sample of it."""

import dataclasses
import math
import random
import re
from typing import Any

from components.core.artifacts.trial import as_change, parse_axes, split, unquoted
from components.core.errors import PipelineError, nearest, one_line, shown
from components.train.class_weight import refuse_classes_not_of
from components.train.settings import OPERATIONAL, TrainSettings
from pipeline.parameters.own_pictures import PICTURES
from pipeline.parameters.parameters import Configuration, Parameters

# All of a sweep's trials are in one compiled file, and KFP takes about 1.5 MiB of it; a person reads a table of them.
MOST_TRIALS = 100
EXAMPLE = "'learning_rate=0.001,0.003 batch_size=50,250'"


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Several trainings of one run.

    Attributes:
        trials: what each trial changes, as components/core/artifacts/trial.py reads it.
        names: the parameters that the trials change.
        parallel: how many trials run at a time.
        trains_only: whether nothing comes after the trials; on this machine only.
        first: the number of the first trial; a search runs one at a time.
        search: what a search tries; empty: it is none.
    """

    trials: tuple[str, ...]
    names: tuple[str, ...]
    parallel: int = 1
    trains_only: bool = False
    first: int = 1
    search: str = ""


def _values(name: str, values: str) -> list[str]:
    """The values that a grid has for a name.

    Raises:
        PipelineError: one of them is nothing, which would be left out in silence.
    """
    if values.startswith(",") or values.endswith(",") or ",," in values:
        said = f'expected a value between every two commas of a grid ("" is nothing), received {shown(values)}'
        raise PipelineError(f"{one_line(name)}: {said}")
    return list(dict.fromkeys(map(unquoted, split(values, ","))))


def plan_sweep(parameters: Parameters, grid: str, sample: int = 0, parallel: int = 1) -> Sweep:
    """The trials of a grid, each checked.

    Args:
        parameters: what the trials have in common.
        grid: `name=value,value name=value,value`; commas and spaces inside brackets or quotes belong to the value, and
            `""` is an empty one.
        sample: so many of the grid's trials, chosen at random by the seed parameter, and in a larger sample of the same
            grid too; 0: all of them.

    Raises:
        PipelineError: an unknown name, a value that can't be, or too many trials.
    """
    axes = {name: _values(name, values) for name, values in parse_axes(grid).items()}
    if not axes:
        raise PipelineError(f"expected a grid such as GRID={EXAMPLE}, received none")
    if parameters.nodes > 1:
        raise PipelineError(f"nodes: expected 1 of a sweep, whose trials each have one, received {parameters.nodes}")
    if parameters.validation_split == 0 and parameters.dataset != PICTURES:  # which may bring their own
        raise PipelineError(
            "validation_split: expected a share above 0 of a sweep, which goes by validation pictures, received 0"
        )
    # A backend is the image's, average_mirrored trains the same model, and by gate_metric trials are compared.
    fixed = {*OPERATIONAL, "backend", "average_mirrored", "gate_metric"}
    known = [name for name in TrainSettings.model_fields if name not in fixed]
    for name in axes:
        if name not in known:
            if name in Parameters.model_fields:
                raise PipelineError(
                    f"grid: expected parameters that decide what training comes to, received {name!r}, which has one "
                    f"value for all trials; known: {', '.join(known)}"
                )
            raise PipelineError(f"grid: unknown parameter {name!r}; {nearest(name, known)}")
        for value in axes[name]:
            if re.fullmatch(r"[-+.\deE]+\.\.[-+.\deE]+", value):
                raise PipelineError(
                    f"grid: expected values of {name} such as 1,2, received the range {value}; make sweep takes ranges "
                    "of numbers with SAMPLER=optuna"
                )
    total = math.prod(len(values) for values in axes.values())
    count = min(sample or total, total)
    if count > MOST_TRIALS:
        raise PipelineError(
            f"grid: expected at most {MOST_TRIALS} trials, received {count:,}; TRIALS=20 tries 20 of them at random"
        )
    for weights in axes.get("class_weight", []):
        refuse_classes_not_of(weights, parameters.dataset, parameters.source)
    draw, places = random.Random(parameters.seed), set[int]()  # noqa: S311 - no secret
    while len(places) < count:  # one by the other, so that a larger sample trains only what is missing
        places.add(draw.randrange(total))
    trials = [_trial(parameters, axes, place) for place in sorted(places)]
    return Sweep(tuple(dict.fromkeys(trials)), tuple(axes), parallel)


def refuse_given_twice(configuration: Configuration, grid: str) -> None:
    """Refuses a parameter that is typed beside a grid of it, which would be left out in silence.

    Raises:
        PipelineError: names it.
    """
    for name in parse_axes(grid):
        if configuration.origins.get(name) == "command line":
            raise PipelineError(f"{name}: expected one value or a grid of them, received both; leave one out")


def _trial(parameters: Parameters, axes: dict[str, list[str]], place: int) -> str:
    """The grid's trial at a place, the last axis changing fastest; in one order and spelling, so that KFP's cache knows
    the same trial of another grid."""
    changes: dict[str, str] = {}
    for name, values in reversed(axes.items()):
        place, at = divmod(place, len(values))
        changes[name] = values[at]
    checked = Parameters.checked(**{**parameters.model_dump(), **changes})
    return " ".join(
        as_change(name, _text(getattr(checked, name))) for name in TrainSettings.model_fields if name in axes
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
