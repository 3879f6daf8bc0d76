"""The base of every component's settings: strict, frozen, and errors of one line."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Self, get_args

import pydantic

from components.core.artifacts.evaluation import GateMetric
from components.core.errors import PipelineError, nearest, shown
from components.core.storage import location


def _store_place(uri: str) -> str:
    if uri:
        location.parse(uri)
        if "://" in uri and uri != uri.strip():  # as pasted: another place, a registry without a champion
            raise ValueError("expected a place without blanks before or behind it")
    return uri


# Up to here every integer is a double of its own, as which Kubeflow hands numbers on.
LARGEST_INTEGER = 2**53

# A setting that names a place for objects: a store's URI or a local directory, refused at once if it is neither.
# Empty: none.
StorePlace = Annotated[str, pydantic.AfterValidator(_store_place)]


def _sha256(text: str) -> str:
    if not re.fullmatch(r"|[0-9a-fA-F]{64}", text):
        raise ValueError("expected the 64 hexadecimal digits of a SHA-256")
    return text.lower()


# A setting that holds a SHA-256 in hexadecimal. Empty: none.
Sha256 = Annotated[str, pydantic.AfterValidator(_sha256)]


class Settings(pydantic.BaseModel):
    """Base of the settings models. Unknown names and impossible values are refused, never corrected.

    Each component's rules for its own parameters live in its settings.py, once; the pipeline composes them into its
    flat parameter set (pipeline/parameters/parameters.py) and checks them before anything runs.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _text_that_arrives(cls, value: Any) -> Any:
        """Refuses what Kubeflow, Argo or JSON would not hand on as it is."""
        if isinstance(value, str):
            if "{{" in value:
                raise ValueError("expected a value without {{, which Kubeflow would put something in the place of")
            if any(character == "\0" or 0xD800 <= ord(character) < 0xE000 for character in value):
                raise ValueError("expected text in UTF-8 without zero bytes; rename what it names")
        return value

    @pydantic.field_validator("*")
    @classmethod
    def _a_number_that_arrives(cls, value: Any) -> Any:
        """Refuses an integer that JSON, and so Kubeflow, would round."""
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise ValueError(f"expected at most {LARGEST_INTEGER:,}")
        return value

    @classmethod
    def checked(cls, **values: Any) -> Self:
        """Builds the settings, or raises a PipelineError of one line about the first value that can't be."""
        for name in values:
            if name not in cls.model_fields:
                raise PipelineError(f"unknown parameter {shown(name)}; {nearest(name, list(cls.model_fields))}")
        try:
            return cls(**values)
        except RecursionError:
            raise PipelineError("parameters: expected lists nested some hundred deep at most, received more") from None
        except pydantic.ValidationError as invalid:
            first = invalid.errors(include_url=False)[0]
            name = ".".join(str(part) for part in first["loc"]) or "parameters"
            said = first["msg"].removeprefix("Value error, ")
            if first["type"] == "string_pattern_mismatch" and (like := cls.model_fields[name].default):
                said = f"expected the like of {like}, by the pattern {first['ctx']['pattern']}"
            received = shown(first["input"])
            named = "received" in said or (isinstance(first["input"], str) and received in said)
            told = "" if named else f"; received {received}"
            raise PipelineError(f"{name}: {said[0].lower()}{said[1:]}{told}") from None

    @classmethod
    def among(cls, given: Mapping[str, Any]) -> Self:
        """Builds the settings from the values in `given` that bear their names; a component's locals() have more."""
        return cls.checked(**{name: given[name] for name in cls.model_fields})


class MetricSettings(Settings):
    """Which figure says how good a model is: train keeps the best epoch by it, choose the best trial, and the gate goes
    by it."""

    gate_metric: GateMetric = pydantic.Field(
        "accuracy",
        description="metric that selects the best epoch and a sweep's best trial, and that the gate compares "
        "(min_accuracy, min_improvement, significance): accuracy, or balanced_accuracy, the mean recall over the "
        "classes",
    )


class RegistrySettings(Settings):
    """Where models are published: evaluate finds the champion there, export puts a version beside it."""

    model_name: str = pydantic.Field(
        "classifier",
        pattern=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$",
        description="name of the exported model; by default that of the data set or of your own source",
    )
    publish_uri: StorePlace = pydantic.Field(
        "",
        description="the model registry, a gs, s3 or minio URI or a directory: a model that beats the champion there "
        "is exported and published to it",
    )


def store_places(kind: type[Settings]) -> tuple[str, ...]:
    """The parameters that name a place for objects."""
    return tuple(name for name, field in kind.model_fields.items() if set(get_args(StorePlace)) & set(field.metadata))


def refuse_places_here(settings: Settings, others: Mapping[str, str] = MappingProxyType({})) -> None:
    """Refuses paths: to a pod they mean its own file system, which vanishes with it.

    Args:
        others: places besides those of the settings.

    Raises:
        PipelineError: names the parameter.
    """
    for name, place in {**{name: getattr(settings, name) for name in store_places(type(settings))}, **others}.items():
        if place and location.parse(place).scheme == "file":
            raise PipelineError(
                f"{name}: expected a place that the cluster's pods can reach, such as gs://bucket/prefix, received "
                f"{place!r}, a path on this machine"
            )
