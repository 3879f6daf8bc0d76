"""What a user may choose about training, and what is refused. Nothing here needs TensorFlow."""

from collections.abc import Callable
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from components.core.errors import PipelineError
from components.core.settings import MetricSettings, Sha256, StorePlace
from components.core.start_place import named_version
from components.core.storage import location
from components.train.class_weight import parse_class_weight, refuse_classes_not_of
from components.train.network.architecture import backbone_of, frozen_places, parse_architecture
from components.train.network.augmentation import parse_augmentation
from components.train.optimizer_spec import parse_optimizer

# How a run goes and what it shows, not what its weights become: no part of a run's identity, nor of a sweep.
# What it starts from counts by its SHA-256, wherever it lies (run.py).
OPERATIONAL = {
    *("verbose", "gpus", "nodes", "checkpoints", "tensorboard_uri", "histograms"),
    *("start_from", "start_sha256", "start_version"),
}
# Parameters with a form of their own.
PARSERS: dict[str, Callable[[str], Any]] = {
    "architecture": parse_architecture,
    "optimizer": parse_optimizer,
    "augmentation": parse_augmentation,
    "class_weight": parse_class_weight,
}


class TrainSettings(MetricSettings):
    """The parameters of the training step; the defaults are the article's."""

    architecture: str = Field(
        "article", description="a named architecture, or a JSON or YAML list of Keras layers with their arguments"
    )
    start_from: str = Field(
        "",
        description="trained model to start from; its layers are kept as far as they fit: digits@champion or digits@3 "
        "of the registry publish_uri, a run's directory, or a .keras or .weights.h5 file, local or in a store",
    )
    start_sha256: Sha256 = Field("", description="the SHA-256 that the file of start_from must have")
    start_version: str = Field(
        "",
        description="name of the current state of start_from; a new name makes cached trainings invalid. By default "
        "each run looks at the model and derives it",
    )
    freeze: str = Field(
        "",
        description="layers to freeze for the first freeze_epochs: how many, from the first one on, or their names, "
        "separated by commas, such as conv2d,conv2d_1",
    )
    freeze_epochs: int = Field(0, ge=0, description="epochs for which the layers of freeze stay frozen")
    unfreeze_rate: float = Field(
        0.1,
        gt=0,
        description="factor of the learning rate once the frozen layers are trained too; unused without freeze",
    )
    epochs: int = Field(25, ge=1, le=1_000_000, description="passes over the training pictures")
    batch_size: int = Field(50, ge=1, description="pictures per training step")
    learning_rate: float = Field(0.001, gt=0, description="the optimizer's learning rate")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="course of the learning rate: constant, or falling to 0 over all epochs"
    )
    warmup: float = Field(
        0.0, ge=0, lt=1, description="share of all steps in which the learning rate rises to learning_rate"
    )
    optimizer: str = Field(
        "adam",
        description="any optimizer of keras.optimizers, by name, or as JSON or YAML with its arguments, such as "
        '{"SGD": {"momentum": 0.9, "nesterov": true}}',
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of a training label's probability that is spread over all classes"
    )
    augment_flip: bool = Field(
        False, description="mirror a random half of the training pictures left to right in each epoch"
    )
    augment_shift: int = Field(
        0, ge=0, description="most pixels by which a training picture is shifted at random, in each direction"
    )
    augmentation: str = Field(
        "",
        description="random augmentation of the training pictures: a JSON or YAML list of Keras layers, such as "
        "RandomRotation, RandAugment, MixUp and CutMix, applied after augment_shift and augment_flip",
    )
    class_weight: str = Field(
        "",
        description="weight of each class in the training loss: balanced (all classes count the same), or a JSON or "
        "YAML table by class name; empty: each picture counts the same",
    )
    average_mirrored: bool = Field(
        False,
        description="the model predicts the mean over a picture and its mirror image, at twice the cost",
    )
    verbose: Literal["auto", "0", "1", "2"] = Field(
        "auto",
        description="0: silent, 2: a line per epoch, 1 and auto: also a progress bar or, in a log, a line per minute",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of initial weights, dropout and the pictures' order")
    backend: Literal["tensorflow", "jax"] = Field(
        "tensorflow",
        description="Keras backend for training; several GPUs need jax, and several nodes always use it. TensorFlow "
        "evaluates and exports the model of either",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "float32",
        description="precision of the layers' arithmetic; weights stay float32. auto: the fastest that the device "
        "supports well",
    )
    deterministic: bool = Field(False, description="bit-identical results in each run, at some cost in speed")
    gpus: str = Field(
        "0", description="GPUs to train on; the step fails if it finds another number; auto: all that it finds"
    )
    nodes: int = Field(
        1,
        ge=1,
        description="cluster nodes that train together, each with `gpus` GPUs; more than 1 needs Kubeflow Trainer",
    )
    early_stopping_patience: int = Field(
        0,
        ge=0,
        description="early stopping: epochs to wait for a better gate_metric on the validation split, or an equal one "
        "with a lower loss; 0: train all epochs",
    )
    end_below: str = Field(
        "",
        pattern=r"^([1-9][0-9]*:(0|1)([.][0-9]+)?)?$",
        description="EPOCH:ACCURACY, such as 8:0.55: stop after that epoch if the best gate_metric on the validation "
        "split is below; Optuna's search sets it",
    )
    checkpoints: StorePlace = Field(
        "",
        description="a directory or a gs, s3 or minio URI for checkpoints during training; a killed run that is "
        "started again resumes from there",
    )
    tensorboard_uri: StorePlace = Field(
        "", description="a gs, s3 or minio URI for event files during training, with a folder per run"
    )
    histograms: int = Field(0, ge=0, description="epochs between histograms of the weights in TensorBoard; 0: none")

    def trained_places(self) -> dict[str, str]:
        """The places of a backbone's weights and of the model to start from, unless the registry has it."""
        backbone = backbone_of(parse_architecture(self.architecture))
        weights = {"architecture: weights": backbone.arguments.get("weights", "")} if backbone else {}
        return weights if named_version(self.start_from) else {"start_from": self.start_from, **weights}

    def refuse_classes_not_of(self, dataset: str, source: str) -> None:
        """Refuses weights of other classes than those of a data set that is known by name."""
        refuse_classes_not_of(self.class_weight, dataset, source)

    @field_validator("architecture", "optimizer", "augmentation", "class_weight")
    @classmethod
    def _can_be_read(cls, text: str, of: ValidationInfo) -> str:
        name = str(of.field_name)
        try:
            PARSERS[name](text)
        except PipelineError as error:
            raise ValueError(str(error).removeprefix(f"{name}: ")) from None
        return text

    @field_validator("start_from")
    @classmethod
    def _a_model(cls, text: str) -> str:
        if text and not named_version(text):
            location.parse(text)
        return text

    @field_validator("gpus")
    @classmethod
    def _a_count(cls, text: str) -> str:
        if text in ("", "auto") or (text.isascii() and text.isdecimal()):
            return text
        raise ValueError("expected a number of GPUs, or auto")

    @model_validator(mode="after")
    def _layers_to_freeze(self) -> Self:
        if self.freeze and not self.freeze_epochs:
            raise PipelineError("freeze_epochs: expected 1 or more with freeze, received 0; say for how long")
        if self.freeze_epochs and not self.freeze:
            raise PipelineError("freeze: expected layers with freeze_epochs, received none; such as freeze=1")
        if self.freeze_epochs > self.epochs:
            raise PipelineError(
                f"freeze_epochs: expected at most the {self.epochs} epochs there are, received {self.freeze_epochs}; "
                "give more epochs, or freeze for fewer"
            )
        frozen_places(self.freeze, parse_architecture(self.architecture))
        return self

    @model_validator(mode="after")
    def _a_rate_to_divide_by(self) -> Self:
        if parse_optimizer(self.optimizer)[0] == "ftrl" and self.schedule != "constant":
            raise PipelineError(
                f"schedule: expected constant with optimizer=ftrl, received {self.schedule}; its steps divide by "
                "the learning rate, which would fall to 0"
            )
        return self

    @model_validator(mode="after")
    def _one_gpu_by_tensorflow(self) -> Self:
        if self.backend == "tensorflow" and self.nodes == 1 and self.gpus.isdecimal() and int(self.gpus) > 1:
            raise PipelineError(
                f"gpus: expected at most 1 with backend=tensorflow, received {self.gpus}; use backend=jax, which "
                "trains on several"
            )
        return self
