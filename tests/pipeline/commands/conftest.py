"""The registry's commands, as typed, and something to publish."""

import io
import json
import pathlib
from types import SimpleNamespace

import click
import pytest

from components.core.errors import one_line_errors
from pipeline.commands.models import models


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    """Runs `models ARGUMENTS` on a registry in a directory; returns what it printed."""

    def run(*arguments: str, answer: str = "", uri: str | None = None) -> SimpleNamespace:
        monkeypatch.setenv("CONV2D_PUBLISH_URI", str(tmp_path / "store") if uri is None else uri)
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        capsys.readouterr()
        code = 0
        try:
            with one_line_errors():
                models.main([*arguments], prog_name="models", standalone_mode=False)
        except (SystemExit, click.exceptions.Abort):
            code = 1
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


@pytest.fixture
def export(tmp_path) -> pathlib.Path:
    """What the export component writes, in small."""
    directory = tmp_path / "export"
    (directory / "saved_model" / "7" / "variables").mkdir(parents=True)
    (directory / "saved_model" / "7" / "saved_model.pb").write_bytes(b"graph")
    (directory / "saved_model" / "7" / "variables" / "variables.index").write_bytes(b"index")
    (directory / "MODEL_CARD.md").write_text("# digits")
    (directory / "manifest.json").write_text(json.dumps({"accuracy": 0.97, "source_sha256": "ab" * 32, "files": []}))
    return directory
