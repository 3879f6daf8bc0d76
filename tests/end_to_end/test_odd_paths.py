"""A checkout, a source and values with characters that a shell, make or kfp.local would take for something else."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from pipeline import ROOT
from tests.end_to_end.conftest import CommandLine

PICTURES_PER_CLASS = 40
SMALL = ("EPOCHS=1", "BEHAVIOUR=off", "FORMATS=saved_model", 'ARCHITECTURE=["Flatten"]')


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> pathlib.Path:
    checkout = tmp_path_factory.mktemp("home") / "my app's & $HOME"
    for part in ("components", "pipeline", "docker"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    # An environment of its own, as make makes it: its interpreter's path has the odd characters too.
    (checkout / ".venv").symlink_to(pathlib.Path(sys.prefix).resolve())
    return checkout


@pytest.fixture(scope="module")
def pictures(checkout) -> pathlib.Path:
    source = checkout / "python3 pictures"
    for name, red in (("python3", 250), ("cat's", 20)):
        (source / name).mkdir(parents=True)
        for number in range(PICTURES_PER_CLASS):
            Image.new("RGB", (8, 8), (red, number, number)).save(source / name / f"{number}.png")
    return source


@pytest.fixture(scope="module")
def ended(checkout, pictures) -> subprocess.CompletedProcess:
    command = [checkout / ".venv/bin/python", "-m", "pipeline", "run-local", "--runner", "process"]
    settings = [f"SOURCE={pictures.name}", *SMALL]
    return subprocess.run(
        [*map(str, command), *settings],
        cwd=checkout,
        env=CommandLine(checkout).environment(),
        capture_output=True,
        text=True,
    )


def test_a_checkout_runs_wherever_it_lies(ended, checkout):
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary = json.loads((checkout / "local_outputs/latest/summary.json").read_text())
    assert summary["status"] == "succeeded"
    assert all(pathlib.Path(place).exists() for place in summary["artifacts"].values())


def test_values_arrive_as_they_were_given(ended, checkout, pictures):
    assert ended.returncode == 0, ended.stdout + ended.stderr
    latest = checkout / "local_outputs/latest"
    assert json.loads((latest / "download/raw/source.json").read_text())["uri"] == str(pictures)
    dataset = json.loads((latest / "preprocess/dataset/dataset.json").read_text())
    assert dataset["class_names"] == ["cat's", "python3"]
    # Nobody asked for a gate, nor for a model named digits.
    assert json.loads((latest / "export/exported/manifest.json").read_text())["model_name"] == "python3-pictures"
    # Nothing was made up beside them: kfp.local writes the interpreter's path over the text python3.
    assert sorted(path.name for path in checkout.iterdir()) == sorted(
        [".venv", "components", "docker", "local_outputs", "pipeline", "python3 pictures"]
    )
