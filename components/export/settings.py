"""What a user can set of export."""
import pydantic

from components.core.settings import Settings


class ExportSettings(Settings):
    """The names under which the model is served."""

    model_name: str = pydantic.Field(
        "classifier", pattern=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$", description="name of the exported model"
    )
    model_version: int = pydantic.Field(1, ge=1, description="numeric version directory that TF Serving loads")
