"""A command line that is wrong is told in one line, as every other error; click itself takes four."""

import contextlib
import re
import sys
from collections.abc import Iterator

import click

from components.core.errors import ERROR_PREFIX, one_line
from pipeline.console import help_command, option, program


@contextlib.contextmanager
def one_line_usage() -> Iterator[None]:
    """Ends the process with `error: ...` and click's exit code, 2, if what was typed is no command line.

    The name of a group alone is answered by its help, and Ctrl-C by a word, as by click. Runs a command in click's mode
    for callers (`standalone_mode=False`), in which click leaves its errors to us.
    """
    try:
        yield
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
