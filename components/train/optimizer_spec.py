"""The optimizer as data: a name, or one name with its arguments, read from JSON or YAML text.

    {"SGD": {"momentum": 0.9, "nesterov": true, "weight_decay": 0.0005}}

Nothing here needs Keras, so that a typing mistake is found before TensorFlow is loaded; the arguments themselves are
checked when the optimizer is made, by Keras (optimizer.py).
"""

import contextlib
import json
from typing import Any

from components.core.errors import PipelineError, nearest

# keras.optimizers' classes in lower case, spelled out so that a mistake is found without the import; a test compares.
OPTIMIZERS = (
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "ftrl",
    "lamb",
    "lion",
    "muon",
    "nadam",
    "rmsprop",
    "schedulefreeadamw",
    "sgd",
)


def parse_optimizer(text: str) -> tuple[str, dict[str, Any]]:
    """The optimizer's name in lower case, and its arguments.

    Raises:
        PipelineError: an unknown name, or text of another form.
    """
    value: Any = text.strip()
    try:
        value = json.loads(value)
    except ValueError:
        import yaml

        with contextlib.suppress(yaml.YAMLError):  # what is no YAML stays text, and is refused below
            value = yaml.safe_load(value)
    name, arguments = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (value, {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise PipelineError(
            'optimizer: expected a name, or one name with its arguments such as {"SGD": {"momentum": 0.9}}, '
            f"received {text!r}"
        )
    if name.lower() not in OPTIMIZERS:
        raise PipelineError(f"optimizer: unknown optimizer {name!r}; {nearest(name, list(OPTIMIZERS))}")
    if "learning_rate" in arguments:
        raise PipelineError("optimizer: expected the learning rate as the parameter learning_rate, not as an argument")
    if arguments.get("use_ema"):
        raise PipelineError("optimizer: use_ema has no effect here, as epochs are judged by the weights themselves")
    return name.lower(), arguments
