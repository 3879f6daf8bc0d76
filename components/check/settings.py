"""What a user may choose about where a run's steps happen, and what is refused: before anything is submitted, and by
check of what was typed on Kubeflow's page."""

import json
import re
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from components.core.catalog import DATASETS
from components.core.errors import PipelineError, nearest
from components.core.settings import Settings
from components.core.wording import listed
from components.download.settings import DownloadSettings
from components.evaluate.settings import EvaluateSettings
from components.export.settings import ExportSettings
from components.preprocess.settings import PreprocessSettings
from components.train.settings import TrainSettings

NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
LABEL_KEY = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{NAME}")
LABEL_VALUE = re.compile(rf"({NAME})?")
# The steps whose CPU and memory are parameters: all that meet the data.
SIZED = ("download", "preprocess", "train", "choose", "evaluate", "export")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
NUMBERS = ("tolerationSeconds", "weight")  # all else is text
TOLERATION_KEYS = ("key", "operator", "value", "effect", "tolerationSeconds")
AFFINITY_KEYS = ("requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution")


def _text_of(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


_NumberOrText = Annotated[str, BeforeValidator(_text_of)]
# Kubernetes' notations, as text; a plain number is taken too, but for a few bytes, which were meant as Gi.
Cpus = Annotated[_NumberOrText, Field(pattern=r"^([0-9]+(\.[0-9]+)?|[0-9]+m)$")]
Memory = Annotated[_NumberOrText, Field(pattern=r"^([0-9]+(\.[0-9]+)?(E|P|T|G|M|k|Ei|Pi|Ti|Gi|Mi|Ki)|[0-9]{7,})$")]


class SizedSettings(Settings):
    """What pods ask for and may use: limits of CPUs under names that end in `_cpu`."""

    cpu_request: Cpus = Field(
        "100m",
        description="CPUs that each step's pod requests; it uses more, up to its limit, if its node has idle ones",
    )

    @model_validator(mode="after")
    def _within_its_limits(self) -> Self:
        """Refuses a pod that asks for more CPUs than it may use, as Kubernetes does when it is made."""
        limits = {name: limit for name, limit in self if name.endswith("_cpu")}
        if low := [name for name, limit in limits.items() if _cores(limit) < _cores(self.cpu_request)]:
            raise PipelineError(
                f"cpu_request: expected at most {low[0]}, {limits[low[0]]}, received {self.cpu_request}; give "
                f"{listed(low)} more"
            )
        return self


class PlacementSettings(SizedSettings):
    """The run-time parameters that place the steps; kfp.local ignores them.

    Memory is requested whole, since a pod that takes more than it asked for is the first to be evicted. CPUs are not: a
    step uses what is idle, up to its limit, and a node of two CPUs takes it beside Kubeflow's own pods.

    The mappings and lists may be given as JSON text. They keep their types in the pipeline: KFP's back end refuses a
    toleration that is a string, and takes a count or an amount only as a string.
    """

    download_cpu: Cpus = Field("2", description="CPU limit of the download pod")
    download_memory: Memory = Field("1Gi", description="memory of the download pod")
    preprocess_cpu: Cpus = Field("2", description="CPU limit of the preprocess pod")
    preprocess_memory: Memory = Field("2Gi", description="memory of the preprocess pod")
    train_cpu: Cpus = Field("2", description="CPU limit of the train pod")
    train_memory: Memory = Field("6Gi", description="memory of the train pod, /dev/shm included")
    choose_cpu: Cpus = Field("2", description="CPU limit of the choose pod, which picks a sweep's best trial")
    choose_memory: Memory = Field("1Gi", description="memory of the choose pod")
    evaluate_cpu: Cpus = Field("2", description="CPU limit of the evaluate pod")
    evaluate_memory: Memory = Field(
        "4Gi", description="memory of the evaluate pod; grows with test pictures times classes"
    )
    export_cpu: Cpus = Field("2", description="CPU limit of the export pod")
    export_memory: Memory = Field("4Gi", description="memory of the export pod, which holds two models at once")
    accelerator: str = Field(
        "nvidia.com/gpu", description="Kubernetes resource name of the GPU, such as nvidia.com/mig-1g.10gb"
    )
    node_selector: dict[str, str] = Field({}, description="labels that the train pod's node must have, as JSON")
    tolerations: list[dict[str, Any]] = Field([], description="Kubernetes tolerations of the train pod, as JSON")
    node_affinity: dict[str, Any] = Field({}, description="Kubernetes nodeAffinity of the train pod, as JSON")

    @field_validator("accelerator")
    @classmethod
    def _an_extended_resource(cls, name: str) -> str:
        if "/" not in name or not LABEL_KEY.fullmatch(name):
            raise ValueError("expected a resource such as nvidia.com/gpu")
        return name

    @field_validator("node_selector", "tolerations", "node_affinity", mode="before")
    @classmethod
    def _from_json(cls, value: Any, field: ValidationInfo) -> Any:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except json.JSONDecodeError as error:
                raise ValueError(f"expected JSON: {error.msg} at character {error.pos + 1}") from None
        return [value] if field.field_name == "tolerations" and isinstance(value, dict) else value

    @field_validator("node_selector")
    @classmethod
    def _labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for key, value in labels.items():
            if not LABEL_KEY.fullmatch(key) or not LABEL_VALUE.fullmatch(value):
                raise ValueError(f'expected labels such as {{"pool": "gpu"}}, not {key!r}: {value!r}')
        return labels

    @field_validator("tolerations")
    @classmethod
    def _tolerations(cls, tolerations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for toleration in tolerations:
            _check_toleration(toleration)
        return tolerations

    @field_validator("node_affinity")
    @classmethod
    def _affinity(cls, affinity: dict[str, Any]) -> dict[str, Any]:
        for key, value in affinity.items():
            if key not in AFFINITY_KEYS:
                raise ValueError(f"unknown key {key!r}; {nearest(key, list(AFFINITY_KEYS))}")
            kind: type = dict if key.startswith("required") else list
            if not isinstance(value, kind):
                raise ValueError(f"expected {'an object' if kind is dict else 'a list'} under {key}")
        _check_texts(affinity)
        return affinity


class Parameters(
    DownloadSettings, PreprocessSettings, TrainSettings, EvaluateSettings, ExportSettings, PlacementSettings
):
    """Every component's settings, flat, and where training runs on a cluster."""

    @model_validator(mode="after")
    def _groups_of_ones_own_pictures(self) -> Self:
        """Refuses groups in a data set without a table of labels before it is fetched, which may take an hour."""
        if self.group_column and DATASETS[self.dataset].format != "pictures":
            raise PipelineError(
                f"group_column: expected none for dataset={self.dataset}, which has no table of labels, received "
                f"{self.group_column!r}; it takes dataset=image_folder"
            )
        return self


def _cores(cpus: str) -> float:
    return float(cpus.removesuffix("m")) / (1000 if cpus.endswith("m") else 1)


def _check_texts(value: Any, key: str = "") -> None:
    """Refuses a number, a true or a false if Kubernetes takes text alone: such labels and taints need quotes."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_texts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            _check_texts(inner, key)
    elif isinstance(value, bool) or (isinstance(value, int | float) and key not in NUMBERS):
        raise ValueError(f'expected text under {key}, "{json.dumps(value)}" in quotes, not {json.dumps(value)}')


def _check_toleration(toleration: dict[str, Any]) -> None:
    """Refuses what Kubernetes would refuse, when the pod is made and the run already fails."""
    for key in toleration:
        if key not in TOLERATION_KEYS:
            raise ValueError(f"unknown key {key!r} in a toleration; {nearest(key, list(TOLERATION_KEYS))}")
    operator, effect = toleration.get("operator", "Equal"), toleration.get("effect", "")
    if operator not in ("Exists", "Equal"):
        raise ValueError(f"expected operator Exists or Equal in a toleration, not {operator!r}")
    if operator == "Exists" and toleration.get("value"):
        raise ValueError("a toleration with operator Exists has no value")
    if operator == "Equal" and not toleration.get("key"):
        raise ValueError("a toleration without a key has operator Exists")
    if effect and effect not in EFFECTS:
        raise ValueError(f"expected effect {', '.join(EFFECTS)} or none in a toleration, not {effect!r}")
    _check_texts(toleration)
    seconds = toleration.get("tolerationSeconds")
    if seconds is not None and (effect != "NoExecute" or not isinstance(seconds, int)):
        raise ValueError("tolerationSeconds is a whole number, with effect NoExecute only")


def check_gpus(gpus: str, nodes: int, accelerator: str) -> None:
    """Refuses a GPU count that a cluster can't schedule by, `auto` among them, and what several nodes are not given.

    Raises:
        PipelineError: no whole number; another accelerator than the one of the nodes' image.
    """
    if not (gpus.isascii() and gpus.isdecimal()):
        raise PipelineError(f"gpus: expected a number on a cluster, such as 0 or 1, received {gpus!r}")
    only = PlacementSettings.model_fields["accelerator"].default
    if nodes > 1 and int(gpus) and accelerator != only:
        raise PipelineError(
            f"accelerator: expected {only} of several nodes, whose image is made for it, received {accelerator}"
        )
