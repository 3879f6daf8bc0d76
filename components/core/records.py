"""Small JSON files of one pydantic model each, as artifacts carry them beside what they are about."""

import pathlib
from typing import TypeVar

import pydantic

from components.core.errors import PipelineError, one_line

Record = TypeVar("Record", bound=pydantic.BaseModel)


def read_record(model: type[Record], path: pathlib.Path, artifact: str, advice: str = "") -> Record:
    """Reads the file at `path` as `model`.

    Args:
        artifact: what the directory should be, for the error: "an evaluation artifact".
        advice: what to try if it is not.

    Raises:
        PipelineError: there is no such file, or it says something else.
    """
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = one_line(error, 200)
        raise PipelineError(
            f"expected {artifact} with {path.name}, received {path.parent}: {reason}{advice and f'; {advice}'}"
        ) from None
