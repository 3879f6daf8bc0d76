"""The command about the model itself: python -m pipeline model show."""

import click

from pipeline.parameters.parameters import DEFAULT_PROFILE, configure


@click.group("model")
def model() -> None:
    """The network, before there is any data."""


@model.command("show")
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="A profile's name or a YAML file.")
@click.option("--classes", type=click.IntRange(min=2), help="How many, for pictures of your own.")
@click.argument("settings", nargs=-1, metavar="[NAME=VALUE]...")
def show_command(profile: str, classes: int | None, settings: tuple[str, ...]) -> None:
    """Prints the layers, their parameters, and what a picture costs in operations and memory."""
    from pipeline.keras_side.describe import describe

    print(describe(configure(profile, settings).parameters, classes))
