"""What export leaves of a model that the gate refused: why, and nothing that could be served."""

import pathlib

from components.core.artifacts.evaluation import read_decision
from components.export.keep import keep
from tests.decisions import decision


def test_the_reason_lies_where_the_export_would(tmp_path, capsys):
    refused = decision(False, "test accuracy 0.5000 is below min_accuracy 0.9")
    said = keep(refused, str(tmp_path / "exported"), str(tmp_path / "card"))
    assert said == capsys.readouterr().out.strip() == "not exported"
    assert [file.name for file in (tmp_path / "exported").iterdir()] == ["decision.json"]
    assert read_decision(tmp_path / "exported") == refused
    card = pathlib.Path(tmp_path / "card").read_text()
    assert card == "Not exported: the model does not pass the gate: test accuracy 0.5000 is below min_accuracy 0.9.\n"
