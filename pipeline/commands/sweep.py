"""The sweep command, and the options by which other commands compile a sweep."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import click

from pipeline.parameters.parameters import DEFAULT_PROFILE, configure
from pipeline.parameters.sweep import plan_sweep

grid_help = "What to try: 'learning_rate=0.001,0.003 batch_size=50,250'."
trials_option = click.option(
    "--trials", type=click.IntRange(min=0), default=0, help="So many of the grid's trials, at random.  [default: all]"
)


def sweep_options(command: Callable) -> Callable:
    """Adds the options of a sweep; hands on `plan`, which makes a Sweep of parameters, or None without a grid."""

    @click.option("--grid", default="", help=f"Train several times, and hand on the best. {grid_help}")
    @trials_option
    @click.option(
        "--parallel", type=click.IntRange(min=1), default=4, show_default=True, help="Trials that run at a time."
    )
    @functools.wraps(command)
    def wrapped(grid: str, trials: int, parallel: int, **rest: Any) -> Any:
        def plan(parameters: Any) -> Any:
            return plan_sweep(parameters, grid, trials, parallel) if grid else None

        return command(plan=plan, **rest)

    return wrapped


@click.command("sweep")
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="A profile's name or a YAML file.")
@click.option("--grid", default="", help=grid_help)
@trials_option
@click.option("--runner", type=click.Choice(["auto", "docker", "process"]), default="auto", show_default=True)
@click.option("--outputs", type=click.Path(path_type=pathlib.Path), default="local_outputs", show_default=True)
@click.argument("settings", nargs=-1, metavar="[NAME=VALUE]...")
def sweep_command(
    profile: str, grid: str, trials: int, runner: Any, outputs: pathlib.Path, settings: tuple[str, ...]
) -> None:
    """Trains on this machine once for each combination of some parameters, and hands the best model on."""
    from pipeline.local.run import run_local

    configuration = configure(profile, settings)
    run_local(configuration, runner, outputs, plan_sweep(configuration.parameters, grid, trials))
