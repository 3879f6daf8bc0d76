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
        description="pixels per side, or height x width such as 32x48; auto: the size of most pictures, up to 512",
    )
    resize: Literal["resize", "crop"] = Field(
        "crop",
        description="crop: scale the shorter side and crop the longer one at the centre; resize: stretch the whole "
        "picture",
    )
    color: Literal["auto", "rgb", "grayscale"] = Field(
        "auto", description="channels of the pictures; auto: grayscale if all pictures are, else rgb"
    )
    validation: Literal["auto", "stratified", "last"] = Field(
        "auto",
        description="how the validation split is taken from the training pictures: stratified by class, or the last "
        "ones, as Keras's validation_split does; auto: last for cifar10, as in the article, else stratified",
    )
    validation_split: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="approximate share of the training pictures in the validation split; 0: no validation, and the "
        "last epoch's model is kept",
    )
    test_split: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="approximate share of the pictures in the test split, if the source has no test pictures",
    )
    split_seed: int = Field(
        0,
        ge=0,
        lt=2**32,
        description="seed of the data split: it and the hash of a picture's pixels, or its group, decide on the split",
    )
    group_column: str = Field(
        "",
        description="column of the label table with each picture's group, such as a patient or a burst: a group stays "
        "in one split",
    )
    max_unreadable: float = Field(
        0.01, ge=0, le=1, description="greatest share of unreadable pictures; with more the step fails"
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of the pictures' order; in training also of initial weights and dropout"
    )

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
