"""The gate in whole runs: the first model becomes the champion, a worse one is kept out and says why."""

import hashlib
import json
import re


def test_the_first_is_the_champion_and_a_worse_one_is_kept_out(command_line, summary_of, tmp_path):
    outputs, registry = tmp_path / "outputs", tmp_path / "registry"

    def models(*arguments: str) -> str:
        return command_line.run("models", "--registry", registry, *arguments).stdout

    first = command_line.run_local(outputs, f"PUBLISH_URI={registry}", "EPOCHS=4", "BEHAVIOUR=off")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "exported and published as version 1, the champion; the model passes the gate: test accuracy" in first.stdout
    assert "digits has no champion yet" in first.stdout
    # The version's number is the registry's: no other is told beside it.
    assert "exported digits: " in first.stdout
    before = models("list", "digits")
    shown = models("show", "digits", "1")
    source = json.loads((outputs / "latest/download/raw/source.json").read_text())
    dataset = json.loads((outputs / "latest/preprocess/dataset/dataset.json").read_text())
    trained = (outputs / "latest/train/model/model.keras").read_bytes()
    for said in (
        f"  sha256  {source['sha256']}\n",
        f"  model.keras sha256   {hashlib.sha256(trained).hexdigest()}\n",
        f"  fingerprint  {dataset['fingerprint']}\n",
        "settings             gate_metric=accuracy, architecture=article, ",
        ", epochs=4, batch_size=50, ",
        "digits has no champion yet\n",
    ):
        assert said in shown
    assert re.search(r"^1 +champion +0\.9", before, re.MULTILINE)

    worse = command_line.run_local(outputs, f"PUBLISH_URI={registry}", "EPOCHS=1", "MIN_ACCURACY=0.1", "BEHAVIOUR=off")
    assert worse.returncode == 0, worse.stdout + worse.stderr
    why = (
        r"not exported; the model does not pass the gate: test accuracy 0\.\d+ is below the 0\.\d+ of digits version 1"
    )
    assert re.search(why, worse.stdout)
    summary = summary_of(outputs)
    assert "saved_model" not in summary["artifacts"]
    assert summary["gate"]["comparison"]["version"] == 1
    assert "Does not pass the gate" in (outputs / "latest/evaluate/evaluation/report.html").read_text()
    assert models("list", "digits") == before
