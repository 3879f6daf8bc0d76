"""The optimizer as data: a name, or one name with its arguments, read from JSON or YAML text.

    {"SGD": {"momentum": 0.9, "nesterov": true, "weight_decay": 0.0005}}

Nothing here needs Keras, so that a typing mistake is found before TensorFlow is loaded; the arguments themselves are
checked when the optimizer is made, by Keras (optimizer.py).
"""

import contextlib
from typing import Any

from components.core.errors import PipelineError, nearest
from components.train import json_or_yaml

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
    "sgd",
)


def parse_optimizer(text: str) -> tuple[str, dict[str, Any]]:
    """The optimizer's name in lower case, and its arguments.

    Raises:
        PipelineError: an unknown name, or text of another form.
    """
    value: Any = text.strip()
    with contextlib.suppress(ValueError):  # text that is neither is refused below
        value = json_or_yaml.loads(value)
    name, arguments = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (value, {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise PipelineError(
            'optimizer: expected a name, or one name with its arguments such as {"SGD": {"momentum": 0.9}}, '
            f"received {text!r}"
        )
    if name.lower() == "schedulefreeadamw":
        raise PipelineError(
            "optimizer: ScheduleFreeAdamW trains an average that Keras does not hand out, and that on TensorFlow is "
            "another one than its paper's; try AdamW with schedule=cosine"
        )
    if name.lower() not in OPTIMIZERS:
        raise PipelineError(f"optimizer: unknown optimizer {name!r}; {nearest(name, list(OPTIMIZERS))}")
    if "learning_rate" in arguments:
        raise PipelineError("optimizer: expected the learning rate as the parameter learning_rate, not as an argument")
    if arguments.get("use_ema"):
        raise PipelineError("optimizer: use_ema has no effect here, as epochs are judged by the weights themselves")
    if isinstance(arguments.get("exclude_layers"), str):  # Keras would exclude all in whose names any of its letters is
        raise PipelineError(
            f"optimizer: exclude_layers: expected a list of names, received the text {arguments['exclude_layers']!r}"
        )
    return name.lower(), arguments
