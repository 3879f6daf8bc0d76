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
        description="a trained model whose layers are kept as far as they fit: digits@champion or digits@3 of the "
        "registry publish_uri, the directory of a run, or a .keras or .weights.h5 file, here or in a store",
    )
    start_sha256: Sha256 = Field("", description="the SHA-256 that the file of start_from must have")
    start_version: str = Field(
        "",
        description="a name for how the model of start_from looks now: what was trained from another one is not taken "
        "from the cache. By default a look at it tells that, when a run begins",
    )
    freeze: str = Field(
        "",
        description="the layers that stay as they are for the first freeze_epochs: how many from the first on, or "
        "their names, separated by commas, such as conv2d,conv2d_1",
    )
    freeze_epochs: int = Field(0, ge=0, description="epochs before the layers of freeze are trained too")
    unfreeze_rate: float = Field(
        0.1, gt=0, description="what the learning rate is multiplied by from then on; of no meaning without freeze"
    )
    epochs: int = Field(25, ge=1, le=1_000_000, description="passes over the training pictures")
    batch_size: int = Field(50, ge=1, description="pictures a step")
    learning_rate: float = Field(0.001, gt=0, description="the optimizer's learning rate")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="how the learning rate goes: it stays, or falls to 0 over all epochs"
    )
    warmup: float = Field(
        0.0, ge=0, lt=1, description="share of all steps in which the learning rate rises to its height"
    )
    optimizer: str = Field(
        "adam",
        description="any optimizer of keras.optimizers, by name, or as JSON or YAML with its arguments, such as "
        '{"SGD": {"momentum": 0.9, "nesterov": true}}',
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of a training label's certainty that is spread over all classes"
    )
    augment_flip: bool = Field(
        False, description="whether half of the training pictures are mirrored, others each time"
    )
    augment_shift: int = Field(0, ge=0, description="pixels by which a training picture is moved at most, each way")
    augmentation: str = Field(
        "",
        description="how training pictures are changed, others each time: a JSON or YAML list of Keras's layers, such "
        "as RandomRotation, RandAugment, MixUp and CutMix, after augment_shift and augment_flip",
    )
    class_weight: str = Field(
        "",
        description="how much each class counts while it trains: balanced (the same), or a JSON or YAML table by class "
        "name; empty: by its pictures",
    )
    average_mirrored: bool = Field(
        False,
        description="whether the model answers with the mean over a picture and its mirror image, at twice the work",
    )
    verbose: Literal["auto", "0", "1", "2"] = Field(
        "auto",
        description="0: silent, 2: a line an epoch, 1 and auto: also a bar or, in a log, a line a minute",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of initial weights, the order of pictures, and dropout")
    backend: Literal["tensorflow", "jax"] = Field(
        "tensorflow",
        description="what Keras trains on; jax trains on several GPUs, and is what the nodes of a training on several "
        "have. Either gives a model that TensorFlow evaluates and exports",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "float32",
        description="precision of the layers' arithmetic; weights stay float32. auto: what the device does well",
    )
    deterministic: bool = Field(False, description="same bits run after run, at some cost in speed")
    gpus: str = Field("0", description="GPUs asked for, checked against those that are there; auto: whatever is there")
    nodes: int = Field(
        1,
        ge=1,
        description="nodes of a cluster that train together, each with `gpus` GPUs; more than 1 needs Kubeflow Trainer",
    )
    early_stopping_patience: int = Field(
        0,
        ge=0,
        description="stop after so many epochs without a better gate_metric of the validation pictures, or the same at "
        "a lower loss; 0: train all epochs",
    )
    end_below: str = Field(
        "",
        pattern=r"^([1-9][0-9]*:(0|1)([.][0-9]+)?)?$",
        description="EPOCH:ACCURACY, such as 8:0.55: training ends after that epoch if the best gate_metric of the "
        "validation pictures is below; a search sets it",
    )
    checkpoints: StorePlace = Field(
        "",
        description="a directory or a gs, s3 or minio URI for checkpoints while it trains; a run that was killed and "
        "is started again goes on from there",
    )
    tensorboard_uri: StorePlace = Field(
        "", description="a gs, s3 or minio URI to which event files go while it trains, in a folder a run"
    )
    histograms: int = Field(
        0, ge=0, description="TensorBoard shows the spread of the weights after every so many epochs; 0: never"
    )

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
