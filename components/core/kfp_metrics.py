"""Metrics for the KFP page: finite plain numbers in the artifact, and the same in its file."""

import math
from collections.abc import Mapping
from typing import Any

from components.core.errors import PipelineError
from components.core.files import write_json


def log_metrics(artifact: Any, values: Mapping[str, int | float | str]) -> None:
    """Logs each value on a KFP Metrics artifact and writes them to its file.

    The file matters locally: kfp.local's cache takes an artifact without a file for one that was deleted.

    Args:
        artifact: a kfp.dsl.Metrics, handed in so that nothing here imports kfp.
        values: one NaN or Infinity would fail the task inside KFP with an error that names nothing.
    """
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise PipelineError(f"expected a finite metric {name}, received {value}; look at the training's loss curve")
        artifact.log_metric(name, value)
    write_json(artifact.path, values)
