"""What a user may choose about the evaluation: what it takes to be exported, and how the model must behave."""

from typing import Literal

from pydantic import Field

from components.core.artifacts.evaluation import GateName
from components.core.settings import MetricSettings, RegistrySettings


class EvaluateSettings(RegistrySettings, MetricSettings):
    """The parameters of the evaluate step."""

    min_accuracy: float = Field(
        0.0, ge=0, le=1, description="least gate_metric on the test split with which a model is exported"
    )
    gate: GateName = Field(
        "beat_champion",
        description="beat_champion: with publish_uri, export only a model that is better than the champion there; "
        "min_accuracy: export any model that reaches min_accuracy, and let it replace the champion",
    )
    min_improvement: float = Field(0.0, ge=0, le=1, description="least lead in gate_metric over the champion")
    significance: float = Field(
        0.05,
        gt=0,
        le=1,
        description="greatest chance that, of all models compared on the same test pictures, any wins by luck alone; "
        "1: any lead will do",
    )
    behaviour: Literal["warn", "fail", "off"] = Field(
        "warn",
        description="behaviour tests: report a failure (warn), also refuse the export (fail), or do not run (off)",
    )
    behaviour_kept: float = Field(
        0.8,
        ge=0,
        le=1,
        description="least share of test pictures whose predicted class must survive a small change of the picture",
    )
    behaviour_certain: float = Field(
        0.9, ge=0, le=1, description="greatest certainty allowed for any blank picture and for the median noise picture"
    )
