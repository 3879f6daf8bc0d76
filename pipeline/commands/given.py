"""What make was given, NAME=VALUE, as the command line spells it."""

import re

import click

from components.core.errors import PipelineError, nearest
from pipeline.console import by_make

GIVEN = re.compile(r"[^-=][^=]*=")
# Nothing is not given, but of these it is refused: a script's variable that is not set would train the quickstart.
NEVER_NOTHING = ("PROFILE", "OUTPUTS")


def as_typed(main: click.Group, words: list[str]) -> list[str]:
    """A command line, in which make has named the options and the arguments of the command: OUTPUTS=x is --outputs x.

    Other names are parameters of the pipeline, if the command takes those.

    Raises:
        PipelineError: a name that the command does not take, or a switch that is neither 0 nor 1.
    """
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group) and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    if not by_make() or isinstance(command, click.Group) or not rest or not all(map(GIVEN.match, rest)):
        return words
    begun = words[: -len(rest)]
    known = {_in_make(parameter): parameter for parameter in command.params}
    takes_settings = any(parameter.name == "settings" for parameter in command.params)
    options: list[str] = []
    behind: list[str] = []
    for word in rest:
        name, _, value = word.partition("=")
        parameter = known.get(name)
        if parameter is None and not takes_settings:
            raise PipelineError(f"{' '.join(begun)} takes no {name}=; {nearest(name, list(known))}")
        if parameter is None:
            behind.append(word)
        elif not value and name not in NEVER_NOTHING:
            continue
        elif isinstance(parameter, click.Option):
            options += _spelled(parameter, name, value)
        else:
            behind.insert(0, value)
    return [*begun, *options, "--", *behind]


def _in_make(parameter: click.Parameter) -> str:
    """The name by which make is given an option or an argument."""
    if isinstance(parameter, click.Option):
        return parameter.opts[-1].removeprefix("--").replace("-", "_").upper()
    return str(parameter.metavar or parameter.name).rstrip(".").upper()


def _spelled(option: click.Option, name: str, value: str) -> list[str]:
    if not option.is_flag:
        return [option.opts[-1], value]
    if value not in ("0", "1"):
        raise PipelineError(f"expected {name}=0 or {name}=1, received {value}")
    return option.opts[-1:] if value == "1" else option.secondary_opts[:1]
