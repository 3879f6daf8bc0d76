"""What a user may choose about preprocessing, and what is refused."""

import re
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from components.core.settings import Settings

MAX_SIDE = 4096


class PreprocessSettings(Settings):
    """The parameters of the preprocess step."""

    image_size: str = Field(
        "auto",
        description="pixels a side, or height x width as in 32x48; auto: the size most of the pictures have, up to 512",
    )
    resize: Literal["resize", "crop"] = Field(
        "crop",
        description="crop: scale the shorter side and cut the rest off both ends; resize: stretch the whole picture",
    )
    color: Literal["auto", "rgb", "grayscale"] = Field(
        "auto", description="channels of the pictures; auto: grayscale if all of them are, else rgb"
    )
    validation: Literal["auto", "stratified", "last"] = Field(
        "auto",
        description="which training pictures validate: a share of each class, or the last ones, as Keras's "
        "validation_split does; auto: last for cifar10, as the article has it, else stratified",
    )
    validation_split: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="about the share of the training pictures that validates; 0: none do, and the last epoch counts",
    )
    test_split: float = Field(
        0.2, gt=0, lt=1, description="about the share that tests, if the source has no test pictures"
    )
    split_seed: int = Field(
        0,
        ge=0,
        lt=2**32,
        description="decides, with a picture's pixels or its group alone, whether it trains, validates or tests",
    )
    group_column: str = Field(
        "",
        description="the column of the table of labels that says which pictures belong together, as those of a patient "
        "or a burst: they train, validate or test together",
    )
    max_unreadable: float = Field(0.01, ge=0, le=1, description="share of unreadable pictures above which to give up")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the order of the pictures")

    @field_validator("group_column")
    @classmethod
    def _by_hashes(cls, group_column: str, others: ValidationInfo) -> str:
        if group_column and others.data.get("validation") == "last":
            raise ValueError("the last pictures may be a part of a group: choose validation=stratified")
        return group_column.strip()

    @field_validator("image_size", mode="before")
    @classmethod
    def _two_sides(cls, value: object) -> object:
        """Takes a plain number also, as YAML reads `image_size: 64`."""
        text = str(value).lower() if isinstance(value, int | str) and not isinstance(value, bool) else ""
        given = sides(text)
        if text == "auto" or (given and all(1 <= side <= MAX_SIDE for side in given)):
            return text
        raise ValueError(
            f"expected auto, a size such as 64, or height x width such as 32x48, of 1 to {MAX_SIDE} pixels"
        )


def sides(image_size: str) -> tuple[int, int] | None:
    """Height and width of an image_size; None if it is `auto` or no size."""
    match = re.fullmatch(r"([0-9]{1,5})(?:x([0-9]{1,5}))?", image_size)
    return (int(match[1]), int(match[2] or match[1])) if match else None
