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
        (None, "No such file or directory"),
        ("", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        ("\u00e9".encode("latin-1"), "'utf-8' codec can't decode byte 0xe9 in position 0: unexpected end of data"),
        ('{"width": 3}', "height: Field required"),
        (
            '{"width": 3, "height": "two"}',
            "height: Input should be a valid integer, unable to parse string as an integer",
        ),
    ],
)
def test_what_is_none_is_refused(tmp_path: pathlib.Path, text: str | bytes | None, reason: str) -> None:
    if text is not None:
        (tmp_path / "size.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PipelineError) as caught:
        read_json(Size, tmp_path / "size.json", "a picture", "draw it first")
    assert str(caught.value) == f"expected a picture with size.json, received {tmp_path}: {reason}; draw it first"
