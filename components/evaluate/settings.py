"""What a user may choose about the evaluation: what it takes to be exported, and how the model must behave."""

from typing import Literal

from pydantic import Field

from components.core.artifacts.evaluation import GateName
from components.core.settings import MetricSettings, RegistrySettings


class EvaluateSettings(RegistrySettings, MetricSettings):
    """The parameters of the evaluate step."""

    min_accuracy: float = Field(
        0.0, ge=0, le=1, description="gate_metric of the test pictures from which the model is exported"
    )
    gate: GateName = Field(
        "beat_champion",
        description="beat_champion: if publish_uri is set, export only what is better than the champion there; "
        "min_accuracy: export whatever reaches that, and let it replace any champion",
    )
    min_improvement: float = Field(
        0.0, ge=0, le=1, description="gate_metric by which the champion must be beaten at least"
    )
    significance: float = Field(
        0.05,
        gt=0,
        le=1,
        description="chance at most that any of all models no better than the champion passes for better on the same "
        "test pictures; 1: any lead will do",
    )
    behaviour: Literal["warn", "fail", "off"] = Field(
        "warn", description="a model that fails a behaviour test: is told of, is not exported, or is not tested"
    )
    behaviour_kept: float = Field(
        0.8, ge=0, le=1, description="share of test pictures whose class must survive a small change of the picture"
    )
    behaviour_certain: float = Field(
        0.9, ge=0, le=1, description="certainty that no blank picture, and not half of the noise, may be answered with"
    )
