"""How much each class counts while it trains: as the pictures come, each class the same, or by a table.

    balanced                     n / (k * n_c), as scikit-learn has it: n training pictures, k classes, n_c of this one
    {"cat": 1, "rare bird": 8}   a weight above 0 for every class, by name, as JSON or YAML

A picture's loss is multiplied by the weight of its class (network/training_model.py).
"""

import contextlib
import math
from typing import TYPE_CHECKING, Any

from components.core.artifacts.dataset import DatasetInfo
from components.core.catalog import DATASETS
from components.core.errors import PipelineError, nearest, shown
from components.train import json_or_yaml
from components.train.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np

BALANCED = "balanced"
EXAMPLE = '{"cat": 1, "dog": 2.5}'


def parse_class_weight(text: str) -> str | dict[str, float]:
    """What `text` asks for: nothing (empty), "balanced", or a table.

    Raises:
        PipelineError: neither, or a weight that is no number above 0.
    """
    if text.strip() in ("", BALANCED):
        return text.strip()
    value: Any = None
    with contextlib.suppress(ValueError):
        value = json_or_yaml.loads(text)
    if not isinstance(value, dict) or not value:
        raise PipelineError(
            f"class_weight: expected {BALANCED} or a table such as {EXAMPLE}, received {shown(text)}; leave it empty "
            "to let each picture count the same"
        )
    for name, weight in value.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool) and math.isfinite(weight)
        if not number or weight <= 0:
            raise PipelineError(f"class_weight: expected a number above 0 for {name}, received {shown(weight)}")
    return {name: float(weight) for name, weight in value.items()}


def refuse_other_classes(wanted: dict[str, float], class_names: list[str]) -> None:
    """Refuses a table of other classes than there are.

    Raises:
        SettingsError: names one.
    """
    for name in wanted:
        if name not in class_names:
            raise SettingsError(f"class_weight: unknown class {shown(name)}; {nearest(name, class_names)}")
    missing = [name for name in class_names if name not in wanted]
    if missing:
        more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise SettingsError(f"class_weight: expected a weight for every class, received none for {missing[0]}{more}")


def refuse_classes_not_of(text: str, dataset: str, source: str) -> None:
    """Refuses a table of other classes than a data set's, if that is known by name: before anything is fetched.

    Raises:
        SettingsError: names one.
    """
    wanted, known = parse_class_weight(text), DATASETS[dataset]
    # An archive of one's own that is laid out as CIFAR's names its classes itself.
    if isinstance(wanted, dict) and known.class_names and not (source and known.format == "cifar_binary"):
        refuse_other_classes(wanted, list(known.class_names))


def class_weights(text: str, info: DatasetInfo) -> "np.ndarray | None":
    """The weight of each class, float32 in the order of class_names; None if each picture counts the same.

    Raises:
        SettingsError: a table of other classes than the data set's.
    """
    import numpy as np  # here, as the command line reads the settings and does without

    wanted = parse_class_weight(text)
    if not wanted:
        return None
    if isinstance(wanted, str):
        pictures = np.array(info.splits["train"].per_class)
        weights = pictures.sum() / (np.count_nonzero(pictures) * np.maximum(pictures, 1))
        return np.where(pictures > 0, weights, 0).astype(np.float32)  # a class without pictures is never asked for
    refuse_other_classes(wanted, info.class_names)
    return np.array([wanted[name] for name in info.class_names], np.float32)
