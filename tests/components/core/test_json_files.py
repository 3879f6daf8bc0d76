"""A JSON file that is not what it should be is refused in one line that names it."""

import pathlib

import pydantic
import pytest

from components.core.errors import PipelineError
from components.core.files import read_json, write_json


class Size(pydantic.BaseModel):
    width: int
    height: int


def test_what_was_written_is_read(tmp_path: pathlib.Path) -> None:
    size = Size(width=3, height=2)
    write_json(tmp_path / "size.json", size.model_dump())
    assert read_json(Size, tmp_path / "size.json", "a picture") == size


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file"),
        ("", "JSON"),
        ("\u00e9".encode("latin-1"), "utf-8"),
        ('{"width": 3}', "height"),
        ('{"width": 3, "height": "two"}', "height"),
    ],
)
def test_what_is_none_is_refused(tmp_path: pathlib.Path, text: str | bytes | None, reason: str) -> None:
    if text is not None:
        (tmp_path / "size.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PipelineError) as caught:
        read_json(Size, tmp_path / "size.json", "a picture", "draw it first")
    said = str(caught.value)
    assert said.startswith(f"expected a picture with size.json, received {tmp_path}: ")
    assert reason in said
    assert said.endswith("; draw it first")
    assert "\n" not in said
