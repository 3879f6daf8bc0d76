"""The commands that need no cluster: run-local, sweep, tensorboard, config, model show, predict, predict-all."""

import dataclasses
import pathlib
from typing import Any

import click

from components.core.errors import PipelineError, without_secrets
from pipeline.commands import options
from pipeline.parameters.parameters import Configuration
from pipeline.parameters.sweep import plan_sweep, refuse_given_twice


@click.command("run-local")
@options.on_this_machine
def run_local_command(job: Any) -> None:
    """Runs the pipeline on this machine."""
    from pipeline.local.start import run_local

    run_local(job)


@click.command("sweep")
@click.option("--grid", default="", help=options.GRID)
@options.trials
@click.option(
    "--sampler",
    type=click.Choice(["grid", "optuna"]),
    default="grid",
    show_default=True,
    help="optuna: choose each trial by the earlier results, also from ranges LOW..HIGH, and stop bad trials early.",
)
@options.on_this_machine
def sweep_command(job: Any, grid: str, trials: int, sampler: str) -> None:
    """Trains a model per combination of parameters. Runs on this machine, then evaluates and exports the best one."""
    from pipeline.local.start import run_local

    refuse_given_twice(job.configuration, grid)
    if sampler == "optuna":
        from pipeline.local.search import search

        if not job.cached:
            raise PipelineError("expected no CACHE=0 with SAMPLER=optuna, which takes its own trials from the cache")
        search(job, grid, trials)
        return
    run_local(dataclasses.replace(job, sweep=plan_sweep(job.configuration.parameters, grid, trials)))


@click.command("tensorboard")
@options.outputs
@click.option("--port", type=click.IntRange(0, 65535), default=6006, show_default=True)
def tensorboard_command(outputs: pathlib.Path, port: int) -> None:
    """Starts TensorBoard with all runs on this machine."""
    from pipeline.local.dashboards import show_dashboards
    from pipeline.local.links import BOARD

    raise SystemExit(show_dashboards(outputs / BOARD, port))


@click.command("config")
@options.configured_for
def config_command(configuration: Configuration) -> None:
    """Prints all parameters by step: value, origin and description."""
    from pipeline.console import table
    from pipeline.parameters.parameters import names_by_step

    kind = type(configuration.parameters)
    rows: list[tuple[str, ...]] = []
    for step, names in names_by_step(kind).items():
        rows += [("", "", "", ""), (f"{step}:", "", "", "")]
        for name in names:
            value = without_secrets(str(getattr(configuration.parameters, name)))  # it may be a CI's log
            about = kind.model_fields[name].description or ""
            rows.append((name, value, configuration.origins[name], about))
    print(table(rows, ("name", "value", "from", "description")))


@click.group("model")
def model_group() -> None:
    """Describes the network, without any data."""


@model_group.command("show")
@click.option("--classes", type=click.IntRange(min=2), help="Number of classes, for pictures of your own.")
@options.configured
def model_show_command(configuration: Configuration, classes: int | None) -> None:
    """Prints the layers, their parameters, and the FLOP and memory per picture."""
    from pipeline.keras_side.describe import describe

    print(describe(configuration.parameters, classes))


@click.command("predict")
@click.option("--model", default="", help="File, export, run, NAME@VERSION or NAME@champion.  [default: newest export]")
@options.registry
@click.option("--out", default="", help="CSV file to write.")
@click.option("--top", type=click.IntRange(min=0), default=3, show_default=True, help="Classes to print; 0: all.")
@options.outputs
@click.argument("images", nargs=-1, metavar="IMAGE...")
def predict_command(
    model: str, registry: str, out: str, top: int, outputs: pathlib.Path, images: tuple[str, ...]
) -> None:
    """Classifies pictures, or all pictures in a folder."""
    from pipeline.models.predict import predict_files

    predict_files(model, images, out, top, outputs, registry)


@click.command("predict-all")
@click.option("--model", default="", help="NAME@champion, NAME@VERSION, file, export or run.  [default: newest export]")
@options.registry
@options.outputs
@options.settings
def predict_all_command(model: str, registry: str, outputs: pathlib.Path, settings: tuple[str, ...]) -> None:
    """Classifies the new pictures at SOURCE=... into OUT=... More settings: TOP, ANSWERS_AS, MAX_DRIFT."""
    from components.predict.settings import AnswerSettings
    from pipeline.models.predict_all import predict_all
    from pipeline.parameters.parameters import from_command_line

    predict_all(model, registry, outputs, AnswerSettings.checked(**from_command_line(settings)))


COMMANDS = (
    run_local_command,
    sweep_command,
    tensorboard_command,
    config_command,
    model_group,
    predict_command,
    predict_all_command,
)
