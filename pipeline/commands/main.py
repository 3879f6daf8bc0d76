"""The command line, `python -m pipeline` or `conv2d`. The Makefile calls it; `--help` tells what there is."""

import sys

import click

from components.core.errors import one_line_errors
from pipeline.commands import cluster, images, local, models
from pipeline.commands.given import as_typed
from pipeline.commands.usage import one_line_usage


@click.group()
def main() -> None:
    """Trains image classifiers: on this machine, or on Kubeflow Pipelines."""


for command in (*local.COMMANDS, *cluster.COMMANDS, *models.COMMANDS, *images.COMMANDS):
    main.add_command(command)


def run() -> None:
    with one_line_errors(), one_line_usage():
        main(as_typed(main, sys.argv[1:]), standalone_mode=False)
