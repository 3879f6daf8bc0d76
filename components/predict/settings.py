"""What a user may choose about answering many pictures."""

from typing import Literal

from pydantic import Field, field_validator

from components.core.settings import Settings, StorePlace
from components.core.start_place import named_version


class AnswerSettings(Settings):
    """What is answered and where to, whichever model answers."""

    source: StorePlace = Field(
        "",
        description="the pictures to classify: a picture, a folder or an archive, a local path or a gs, s3 or minio "
        "URI; pictures that were answered before are skipped",
    )
    out: StorePlace = Field(
        "", description="a directory or a gs, s3 or minio prefix for the answers, with a folder per model and version"
    )
    top: int = Field(3, ge=0, description="classes per picture in the answers, most probable first; 0: all")
    answers_as: Literal["jsonl", "csv"] = Field("jsonl", description="the format of the answers")
    max_drift: float = Field(
        1.0,
        ge=0,
        le=1,
        description="greatest drift allowed in any measure of the drift report: the share of pictures that lie "
        "elsewhere in its distribution than the training data (total variation), beyond chance. More fails the run; 1: "
        "never",
    )
    drift_significance: float = Field(
        0.01, gt=0, lt=1, description="greatest chance that a drift report calls any measure different when none is"
    )


class PredictSettings(AnswerSettings):
    """The parameters of the predict step."""

    model: str = Field("", description="a registry version: NAME@champion or NAME@3")
    registry: StorePlace = Field("", description="the model registry: a gs, s3 or minio URI or a directory")

    @field_validator("model")
    @classmethod
    def _of_a_registry(cls, model: str) -> str:
        if model and not named_version(model):
            raise ValueError("expected a version of the registry, such as digits@champion or digits@3")
        return model
