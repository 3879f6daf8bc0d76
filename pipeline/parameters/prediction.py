"""The parameters of a prediction, and where each value comes from: the command line, the environment, or a default."""

import os
from collections.abc import Mapping, Sequence

from pydantic import Field

from components.check.settings import Cpus, Memory, SizedSettings
from components.predict.settings import PredictSettings
from pipeline.parameters.parameters import Configuration, Parameters, from_command_line, from_environment, layered

# The registry that trainings publish to is the one that predictions read.
PUBLISHED_TO = "publish_uri"


class PredictionParameters(PredictSettings, SizedSettings):
    """The predict step's settings, and its share of a node on a cluster."""

    predict_cpu: Cpus = Field("2", description="CPU limit of the predict pod")
    predict_memory: Memory = Field("4Gi", description="memory of the predict pod")


def configure_prediction(
    command_line: Sequence[str] = (), placed: Sequence[str] = (), environment: Mapping[str, str] = os.environ
) -> Configuration[PredictionParameters]:
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
    values, origins = layered(PredictionParameters, layers, elsewhere=Parameters.model_fields)
    checked = PredictionParameters.checked(**values)
    return Configuration(checked, origins, f"{checked.model.partition('@')[0]} prediction".strip())
