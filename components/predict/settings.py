"""What a user may choose about answering many pictures."""

from typing import Literal

from pydantic import Field, field_validator

from components.core.settings import Settings, StorePlace
from components.core.start_place import named_version


class AnswerSettings(Settings):
    """What is answered and where to, whichever model answers."""

    source: StorePlace = Field(
        "",
        description="the pictures to answer: a folder, a picture or an archive of them, here or at a gs, s3 or minio "
        "URI; what was answered before is left out",
    )
    out: StorePlace = Field(
        "", description="a directory or a gs, s3 or minio prefix for the answers, by model and version"
    )
    top: int = Field(3, ge=0, description="classes told of each picture, the most probable first; 0: all")
    answers_as: Literal["jsonl", "csv"] = Field("jsonl", description="the format of the answers")
    max_drift: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the pictures that may lie elsewhere than what the model knows, in any measure of the "
        "drift report; more, and not by chance, fails the run; 1: never",
    )
    drift_significance: float = Field(
        0.01, gt=0, lt=1, description="chance at most that a drift report calls any measure different if none is"
    )


class PredictSettings(AnswerSettings):
    """The parameters of the predict step."""

    model: str = Field("", description="a version of the registry: NAME@champion or NAME@3")
    registry: StorePlace = Field("", description="a gs, s3 or minio URI or a directory: the model registry")

    @field_validator("model")
    @classmethod
    def _of_a_registry(cls, model: str) -> str:
        if model and not named_version(model):
            raise ValueError("expected a version of the registry, such as digits@champion or digits@3")
        return model
