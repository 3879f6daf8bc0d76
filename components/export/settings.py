"""What a user can set of export."""

import pydantic

from components.core.errors import PipelineError
from components.core.settings import RegistrySettings
from components.export.formats.formats import parse_formats


class ExportSettings(RegistrySettings):
    """The names under which the model is served, and the files it is written to."""

    model_version: int = pydantic.Field(1, ge=1, description="numeric version directory that TF Serving loads")
    formats: str = pydantic.Field(
        "saved_model,keras",
        description="what to export, separated by commas: saved_model, keras, onnx, litert, litert_int8",
    )
    int8_tolerance: float = pydantic.Field(
        0.02, ge=0, le=1, description="test accuracy that litert_int8 may lose before the export is refused"
    )
    proof_pictures: int = pydantic.Field(
        1000, ge=0, description="test pictures that each exported format answers to prove itself; 0: all of them"
    )

    @pydantic.field_validator("formats")
    @classmethod
    def _known_formats(cls, text: str) -> str:
        try:
            return ",".join(parse_formats(text))
        except PipelineError as error:
            raise ValueError(str(error)) from None
