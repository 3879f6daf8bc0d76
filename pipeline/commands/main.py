"""The command line, `python -m pipeline` or `conv2d`. The Makefile calls it; `--help` tells what there is."""

import re
import sys

import click

from components.core.errors import ERROR_PREFIX, one_line, one_line_errors
from pipeline.commands import cluster, images, local, models
from pipeline.commands.given import as_typed
from pipeline.console import help_command, option, program


@click.group()
def main() -> None:
    """Trains image classifiers: on this machine, or on Kubeflow Pipelines."""


for command in (*local.COMMANDS, *cluster.COMMANDS, *models.COMMANDS, *images.COMMANDS):
    main.add_command(command)


def run() -> None:
    """A command line that is wrong is told in one line, as every other error, with click's exit code, 2; click itself
    takes four. The name of a group alone is answered by its help, and Ctrl-C by a word, as by click."""
    with one_line_errors():
        try:
            main(as_typed(main, sys.argv[1:]), standalone_mode=False)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            raise SystemExit(error.exit_code) from None
        except click.ClickException as error:
            said = _as_typed(one_line(error.format_message()).rstrip("."))
            context = getattr(error, "ctx", None)
            command = context.command_path if context else program()
            print(f"{ERROR_PREFIX}{said[:1].lower()}{said[1:]}; try: {help_command(command)}", file=sys.stderr)
            raise SystemExit(error.exit_code) from None
        except click.Abort:
            print("Aborted!", file=sys.stderr)
            raise SystemExit(1) from None


def _as_typed(said: str) -> str:
    """click's words with an option's name as the caller knows it, and a number's kind as anybody does."""
    said = re.sub(r"'--([a-z][a-z-]*)'", lambda found: f"'{option(found[1]).removesuffix('=')}'", said)
    return said.replace("a valid integer range", "a whole number").replace("a valid float range", "a number")
