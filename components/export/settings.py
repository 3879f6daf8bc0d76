"""What a user can set of export."""

import urllib.parse

import pydantic

from components.core.errors import PipelineError
from components.core.settings import RegistrySettings
from components.core.storage.location import is_url
from components.export.formats.formats import parse_formats


class ExportSettings(RegistrySettings):
    """The names under which the model is served, and the files it is written to."""

    model_version: int = pydantic.Field(1, ge=1, description="number of the version directory that TF Serving loads")
    model_registry_url: str = pydantic.Field(
        "",
        description="address of a Kubeflow Hub (Model Registry) that records what is published to publish_uri",
    )
    formats: str = pydantic.Field(
        "saved_model,keras",
        description="formats to export, separated by commas: saved_model, keras, onnx, litert, litert_int8",
    )
    int8_tolerance: float = pydantic.Field(
        0.02, ge=0, le=1, description="greatest loss of test accuracy with which litert_int8 is exported"
    )
    proof_pictures: int = pydantic.Field(
        1000,
        ge=0,
        description="test pictures on which each exported format is compared with the evaluated model; 0: all",
    )
    example_pictures: int = pydantic.Field(
        3,
        ge=0,
        le=10,
        description="small training pictures in the export, per class and per bin of brightness, contrast and so on; "
        "drift reports show them; 0: no picture leaves the data set",
    )

    @pydantic.field_validator("model_registry_url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        if url and (not is_url(url) or (parts := urllib.parse.urlsplit(url)).username or parts.query):
            raise ValueError("expected an address such as http://model-registry-service.kubeflow:8080")
        return url.rstrip("/")

    @pydantic.field_validator("formats")
    @classmethod
    def _known_formats(cls, text: str) -> str:
        try:
            return ",".join(parse_formats(text))
        except PipelineError as error:
            raise ValueError(str(error)) from None
