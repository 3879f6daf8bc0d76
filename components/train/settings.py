"""What a user may choose about training, and what is refused. Nothing here needs TensorFlow."""

from typing import Literal

from pydantic import Field, field_validator

from components.core.errors import PipelineError, nearest
from components.core.settings import Settings, StorePlace
from components.train.architecture import parse_architecture

# keras.optimizers' classes in lower case, spelled out so that a mistake is found without the import; a test compares.
OPTIMIZERS = (
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "ftrl",
    "lamb",
    "lion",
    "muon",
    "nadam",
    "rmsprop",
    "schedulefreeadamw",
    "sgd",
)


class TrainSettings(Settings):
    """The parameters of the training step; the defaults are the article's."""

    architecture: str = Field(
        "seed", description="a named architecture, or a JSON or YAML list of Keras layers with their arguments"
    )
    epochs: int = Field(25, ge=1, description="passes over the training pictures")
    batch_size: int = Field(50, ge=1, description="pictures a step")
    learning_rate: float = Field(0.001, gt=0, description="the optimizer's learning rate")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="how the learning rate goes: it stays, or falls to 0 over all epochs"
    )
    optimizer: str = Field("adam", description="any optimizer of keras.optimizers, by name")
    verbose: Literal["auto", "0", "1", "2"] = Field(
        "auto",
        description="0: silent, 1: a bar and a line an epoch, 2: a line an epoch, auto: a bar where it can be drawn",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of initial weights, the order of pictures, and dropout")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "float32", description="of the layers' arithmetic; weights stay float32. auto: what the device does well"
    )
    deterministic: bool = Field(False, description="same bits run after run, at some cost in speed")
    gpus: str = Field("0", description="GPUs asked for, checked against those that are there; auto: whatever is there")
    early_stopping_patience: int = Field(
        0, ge=0, description="stop after so many epochs without a better validation accuracy; 0: train all epochs"
    )
    checkpoints: StorePlace = Field(
        "",
        description="a directory or a gs, s3 or minio URI for checkpoints while it trains; a run that was killed and "
        "is started again goes on from there",
    )
    tensorboard_uri: StorePlace = Field(
        "", description="a gs, s3 or minio URI to which event files go while it trains, in a folder a run"
    )
    memory_mb: int = Field(
        2048, ge=0, description="pictures of up to this many MB are held in memory while training; more are streamed"
    )

    @field_validator("architecture")
    @classmethod
    def _known_architecture(cls, text: str) -> str:
        try:
            parse_architecture(text)
        except PipelineError as error:
            raise ValueError(str(error).removeprefix("architecture: ")) from None
        return text

    @field_validator("optimizer")
    @classmethod
    def _known_optimizer(cls, name: str) -> str:
        if name.lower() not in OPTIMIZERS:
            raise ValueError(f"unknown optimizer; {nearest(name, list(OPTIMIZERS))}")
        return name.lower()

    @field_validator("gpus")
    @classmethod
    def _a_count(cls, text: str) -> str:
        if text in ("", "auto") or (text.isascii() and text.isdecimal()):
            return text
        raise ValueError("expected a number of GPUs, or auto")
