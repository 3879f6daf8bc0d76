"""A search by Optuna: each trial's settings follow from the results before it, and trials that do badly end early.

A trial is one pass of a sweep's pipeline that ends with the training. Then the sweep of all trials takes them from
kfp's cache, and is like any other: the same table, the same choice, the same handing on. The same search again trains
nothing, and a larger one what is missing.
"""

import dataclasses
import math
import pathlib
import statistics
from typing import Any

from components.core.artifacts.model import read_training
from components.core.artifacts.trial import Trial, parse_axes, split
from components.core.errors import PipelineError
from pipeline.local.places import with_places
from pipeline.local.start import LocalJob, one_pass, run_local, warm_for
from pipeline.local.warm import WarmProcess
from pipeline.parameters.parameters import Parameters
from pipeline.parameters.sweep import MOST_TRIALS, Sweep, plan_sweep

DEFAULT_TRIALS = 20
# So many trials are trained to the end, before any is judged by the median of those before it.
FIRST = 4
# A trial is judged after this share of its epochs.
JUDGED_AT = 1 / 3
RANGE = ".."
# A search ends when Optuna asks so often in a row for what has been tried: there is nothing else, or nothing better.
REPEATED = 20


def search(job: LocalJob, grid: str, trials: int) -> pathlib.Path:
    """Tries `trials` settings out of `grid`, or as many as there are, and runs the sweep of them.

    Args:
        grid: as of a sweep, `batch_size=50,250`; or a range, `learning_rate=0.0001..0.01`, by its logarithm if its ends
            are a factor of ten or more apart.

    Raises:
        PipelineError: Optuna is not installed, an impossible value, or as run_local.
    """
    optuna = _optuna()
    wanted = trials or DEFAULT_TRIALS
    if wanted > MOST_TRIALS:
        raise PipelineError(f"trials: expected at most {MOST_TRIALS}, received {wanted}")
    parameters = job.configuration.parameters
    axes = parse_axes(grid)
    if not axes:
        raise PipelineError(
            "expected a grid such as GRID='learning_rate=0.0001..0.01 batch_size=50,250', received none"
        )
    # A range is checked by its ends, and what can't be together by as many trials as there may be.
    plan_sweep(parameters, " ".join(f"{name}={','.join(_ends(name, axes[name]))}" for name in axes), MOST_TRIALS)
    space = {name: _axis(optuna, name, values) for name, values in axes.items()}
    # One look at the source and at the model to start from: if they changed meanwhile, the last pass would train anew.
    parameters = with_places(parameters, job.outputs)
    job = dataclasses.replace(job, configuration=dataclasses.replace(job.configuration, parameters=parameters))
    judged = 0 if {"epochs", "end_below"} & {*space} else int(parameters.epochs * JUDGED_AT)
    sampler = optuna.samplers.TPESampler(seed=parameters.seed, n_startup_trials=FIRST)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    names = tuple(space)
    found: dict[str, tuple[str, float]] = {}  # by the settings: the trial, which may end early, and its score
    early: list[float] = []  # the best score of each trial so far when it was judged
    repeated = 0
    with warm_for(parameters) as warm:  # one for all trials: to import TensorFlow takes as long as a small one
        while len(found) < wanted and repeated < REPEATED:
            asked = study.ask(space)
            values = " ".join(f"{name}={_spelled(value, space[name])}" for name, value in asked.params.items())
            [settings] = plan_sweep(parameters, values).trials
            repeated = repeated + 1 if settings in found else 0
            if settings not in found:
                least = math.floor(statistics.median(early) * 1e4) / 1e4 if judged and len(early) >= FIRST else 0
                [trial] = plan_sweep(parameters, f"{values} end_below={judged}:{least}").trials if least else [settings]
                print(f"trial {len(found) + 1} of {wanted}: {trial}", flush=True)
                sweep = Sweep((trial,), names, trains_only=True, first=len(found) + 1, search=grid)
                score, history = _trained(dataclasses.replace(job, sweep=sweep), warm)
                found[settings] = trial, score
                if history and judged:
                    early.append(max(entry[f"val_{parameters.gate_metric}"] for entry in history[:judged]))
            study.tell(asked, found[settings][1])
        sweep = Sweep(tuple(trial for trial, _ in found.values()), names, search=grid)
        return run_local(dataclasses.replace(job, sweep=sweep), warm)


def _ends(name: str, values: str) -> list[str]:
    """The two ends of a range; one text if it is none."""
    field = Parameters.model_fields.get(name)
    return values.split(RANGE, 1) if field and field.annotation in (int, float) else [values]


def _axis(optuna: Any, name: str, values: str) -> Any:
    """What Optuna draws a parameter from."""
    low, *high = _ends(name, values)
    if not high:
        return optuna.distributions.CategoricalDistribution(split(values, ","))
    whole = Parameters.model_fields[name].annotation is int
    try:
        ends = [int(end) if whole else float(end) for end in (low, *high)]
        log = ends[0] > 0 and ends[1] / ends[0] >= 10
        kind = optuna.distributions.IntDistribution if whole else optuna.distributions.FloatDistribution
        return kind(*ends, log=log)
    except ValueError:
        raise PipelineError(f"{name}: expected a range of numbers, LOW..HIGH, received {values!r}") from None


def _spelled(value: Any, axis: Any) -> str:
    """A value as it is typed: three digits are enough, unless they lie beyond the range."""
    return str(min(max(float(f"{value:.3g}"), axis.low), axis.high) if isinstance(value, float) else value)


def _trained(job: LocalJob, warm: WarmProcess) -> tuple[float, list[dict[str, Any]]]:
    """The score that a trial came to, and its history by epoch. One that failed came to 0: from
    failures told as such Optuna learns nothing, and asks for more of the kind (for 16 of 20 in place of 4, if the loss
    is lost in three of a range's seven powers of ten)."""
    run, _, failure = one_pass(job, warm)
    if failure:
        raise PipelineError(failure)
    [tried] = run.facts()["trials"]
    result = Trial.model_validate(tried)
    return (0.0, []) if result.failed else (result.score, read_training(tried["model"])["history"])


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise PipelineError("expected Optuna for SAMPLER=optuna, found none; try: make optuna") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
