"""The parameters of a prediction, and where each value comes from: the command line, the environment, or a default."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import Field, model_validator

from components.check.settings import Cpus, Memory, check_cpus
from components.core.errors import PipelineError, nearest, shown
from components.predict.settings import PredictSettings
from pipeline.parameters.parameters import Parameters, from_command_line, from_environment

# The registry that trainings publish to is the one that predictions read.
PUBLISHED_TO = "publish_uri"


class PredictionParameters(PredictSettings):
    """The predict step's settings, and its share of a node on a cluster."""

    cpu_request: Cpus = Field("100m", description="CPUs that the pod is sure of; it takes more if its node has them")
    predict_cpu: Cpus = Field("2", description="CPUs that answering may use")
    predict_memory: Memory = Field("4Gi", description="memory of the answering pod")

    @model_validator(mode="after")
    def _within_its_limit(self) -> Self:
        check_cpus(self)
        return self


@dataclasses.dataclass(frozen=True)
class PredictionConfiguration:
    """Checked parameters, and for each the place its value came from; the counterpart of Configuration."""

    parameters: PredictionParameters
    origins: Mapping[str, str]

    def is_given(self, name: str) -> bool:
        """Whether a parameter's value was typed or set, and is no default."""
        return self.origins[name] != "default"

    @property
    def title(self) -> str:
        """The run's name: the model's."""
        return f"{self.parameters.model.partition('@')[0]} prediction".strip()


def configure_prediction(
    command_line: Sequence[str] = (), placed: Sequence[str] = (), environment: Mapping[str, str] = os.environ
) -> PredictionConfiguration:
    """Resolves and checks the parameters of a prediction.

    Args:
        command_line: NAME=VALUE settings; names in any case.
        placed: settings of a placement file. Those that place a training mean nothing here.
        environment: where CONV2D_* is looked up; those of a training mean nothing here.

    Raises:
        PipelineError: an unknown name, or a value that can't be.
    """
    around = from_environment(environment)
    if PUBLISHED_TO in around:
        around.setdefault("registry", around[PUBLISHED_TO])
    layers = {
        "environment": around,
        "placement": from_command_line(placed),
        "command line": from_command_line(command_line),
    }
    values: dict[str, str] = {}
    origins = dict.fromkeys(PredictionParameters.model_fields, "default")
    for origin, settings in layers.items():
        for name, value in settings.items():
            if name in origins:
                values[name], origins[name] = value, origin
            elif origin == "command line" or name not in Parameters.model_fields:
                raise PipelineError(f"unknown parameter {shown(name)} in {origin}; {nearest(name, list(origins))}")
    return PredictionConfiguration(PredictionParameters.checked(**values), origins)
