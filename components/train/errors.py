"""What training refuses."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from components.core.errors import PipelineError


class SettingsError(PipelineError):
    """What the settings ask for can't be done: the next try, or another machine of the kind, would say the same."""


class TooLittleMemoryError(SettingsError):
    """Memory that others may have taken, or that a larger machine has: another try may say something else."""


class FitsNoPicturesError(SettingsError):
    """Layers that fit no pictures at all, whatever size and colours those have."""


def refuse_text_for_truth(where: str, make: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Refuses a text where Keras takes true or false: to it, "false" is as true as any.

    Args:
        where: begins what is said.
        make: what is called with the arguments; its defaults tell which are true or false. Of layers, `trainable` is.

    Raises:
        SettingsError: names the argument.
    """
    truths = {name for name, given in inspect.signature(make).parameters.items() if isinstance(given.default, bool)}
    for name, value in arguments.items():
        if name in truths | {"trainable"} and isinstance(value, str):
            raise SettingsError(f"{where}: {name}: expected true or false, received the text {value!r}")
