"""A search by Optuna: each trial's settings follow from the results before it, and trials that do badly end early.

A trial is one pass of a sweep's pipeline that ends with the training. Then the sweep of all trials takes them from
kfp's cache, and is like any other: the same table, the same choice, the same handing on. The same search again trains
nothing.
"""

import math
import pathlib
import statistics
from typing import Any

from components.core.artifacts.model import read_training
from components.core.artifacts.trial import Trial, parse_changes, split
from components.core.errors import PipelineError
from pipeline.local.runner import RunnerChoice
from pipeline.local.start import one_pass, run_local, warm_for
from pipeline.local.sweep import SweepRun
from pipeline.local.warm import WarmProcess
from pipeline.parameters.parameters import Configuration, Parameters
from pipeline.parameters.sweep import MOST_TRIALS, Sweep, plan_sweep

DEFAULT_TRIALS = 20
# So many trials are trained to the end, before any is judged by the median of those before it.
FIRST = 4
# A trial is judged after this share of its epochs.
JUDGED_AT = 1 / 3
RANGE = ".."


def search(
    configuration: Configuration, choice: RunnerChoice, outputs: pathlib.Path, grid: str, trials: int
) -> pathlib.Path:
    """Tries `trials` settings out of `grid`, and runs the sweep of them.

    Args:
        grid: as of a sweep, `batch_size=50,250`; or a range, `learning_rate=0.0001..0.01`, by its logarithm if its ends
            are a factor of ten or more apart.

    Raises:
        PipelineError: Optuna is not installed, an impossible value, or as run_local.
    """
    optuna = _optuna()
    parameters, wanted = configuration.parameters, trials or DEFAULT_TRIALS
    if wanted > MOST_TRIALS:
        raise PipelineError(f"trials: expected at most {MOST_TRIALS}, received {wanted}")
    space = {name: _axis(optuna, parameters, name, values) for name, values in parse_changes(grid).items()}
    if not space:
        raise PipelineError(
            "expected a grid such as GRID='learning_rate=0.0001..0.01 batch_size=50,250', received none"
        )
    judged = 0 if "epochs" in space else int(parameters.epochs * JUDGED_AT)
    sampler = optuna.samplers.TPESampler(seed=parameters.seed, n_startup_trials=FIRST)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    results: dict[str, Trial] = {}
    early: list[float] = []  # the best validation accuracy of each trial so far when it was judged
    with warm_for(parameters) as warm:  # one for all trials: to import TensorFlow takes as long as a small one
        for number in range(1, wanted + 1):
            asked = study.ask(space)
            values = {
                name: f"{value:.3g}" if isinstance(value, float) else value for name, value in asked.params.items()
            }
            if judged and len(early) >= FIRST:
                values["end_below"] = f"{judged}:{math.floor(statistics.median(early) * 1e4) / 1e4}"
            [trial] = plan_sweep(parameters, " ".join(f"{name}={value}" for name, value in values.items())).trials
            if trial not in results:
                print(f"trial {number} of {wanted}: {trial}", flush=True)
                results[trial], history = _trained(configuration, choice, outputs, trial, warm)
                if history and judged:
                    early.append(max(entry["val_accuracy"] for entry in history[:judged]))
            _tell(optuna, study, asked, results[trial], parameters.epochs if judged else 0)
        return run_local(configuration, choice, outputs, Sweep(tuple(results), tuple(space)), warm=warm)


def _axis(optuna: Any, parameters: Parameters, name: str, values: str) -> Any:
    """What Optuna draws a parameter from; its ends, or all its values, are checked."""
    low, dots, high = values.partition(RANGE)
    plan_sweep(parameters, f"{name}={low},{high}" if dots else f"{name}={values}")
    if not dots:
        return optuna.distributions.CategoricalDistribution(split(values, ","))
    try:
        whole = low.isdecimal() and high.isdecimal()
        ends = (int(low), int(high)) if whole else (float(low), float(high))
        log = ends[0] > 0 and ends[1] / ends[0] >= 10
        kind = optuna.distributions.IntDistribution if whole else optuna.distributions.FloatDistribution
        return kind(*ends, log=log)
    except ValueError:
        raise PipelineError(f"{name}: expected a range of numbers, LOW..HIGH, received {values!r}") from None


def _trained(
    configuration: Configuration, choice: RunnerChoice, outputs: pathlib.Path, trial: str, warm: WarmProcess
) -> tuple[Trial, list[dict[str, Any]]]:
    """What came of a trial, and its history by epoch."""
    sweep = Sweep((trial,), tuple(parse_changes(trial)), trains_only=True)
    run, _, failure = one_pass(configuration, choice, outputs, sweep, warm=warm)
    if failure:
        raise PipelineError(failure)
    assert isinstance(run, SweepRun)
    [result] = run.results()
    return result, [] if result.failed else read_training(run.steps["train 1"].outputs["model"].path)["history"]


def _tell(optuna: Any, study: Any, asked: Any, result: Trial, epochs: int) -> None:
    states = optuna.trial.TrialState
    if result.failed:
        study.tell(asked, state=states.FAIL)
    elif (result.epochs or 0) < epochs:
        asked.report(result.val_accuracy, step=result.epochs)
        study.tell(asked, state=states.PRUNED)
    else:
        study.tell(asked, result.val_accuracy)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise PipelineError("expected Optuna for SAMPLER=optuna, found none; try: make optuna") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
