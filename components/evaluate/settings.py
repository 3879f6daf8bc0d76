"""What a user may choose about the evaluation: how the model must behave where the test split can't tell."""

from typing import Literal

from pydantic import Field

from components.core.settings import Settings


class EvaluateSettings(Settings):
    """The parameters of the evaluate step."""

    behaviour: Literal["warn", "fail", "off"] = Field(
        "warn", description="a model that fails a behaviour test: is told of, is not exported, or is not tested"
    )
    behaviour_kept: float = Field(
        0.8, ge=0, le=1, description="share of test pictures whose class must survive a small change of the picture"
    )
    behaviour_certain: float = Field(
        0.9, ge=0, le=1, description="certainty that no blank picture, and not half of the noise, may be answered with"
    )
    behaviour_mirrored: Literal["auto", "yes", "no"] = Field(
        "auto",
        description="whether mirrored pictures must keep their class; auto: for cifar10, cifar100 and fashion_mnist",
    )
