"""The check of a run's parameters: the command of the compiled pipeline, with the values as Kubeflow writes them."""

import decimal
import subprocess
import sys

import pytest
import yaml

from pipeline import ROOT
from pipeline.parameters.parameters import configure, profile_names

GOLDEN = ROOT / "tests" / "pipeline" / "training.golden.yaml"


def written(value: object) -> str:
    """A parameter in an argument, as KFP's launcher writes it (`getPlaceholders` in its launcher_v2.go)."""
    if isinstance(value, bool):
        return str(value).lower()
    return format(decimal.Decimal(repr(value)), "f") if isinstance(value, float) else str(value)


def checked(**changed: object) -> subprocess.CompletedProcess:
    """Runs the step of the compiled pipeline with a run's values: the profile's, and what somebody typed."""
    compiled = next(yaml.load_all(GOLDEN.read_text(encoding="utf-8"), yaml.CSafeLoader))
    container = compiled["deploymentSpec"]["executors"]["exec-check"]["container"]
    values = configure("quickstart", environment={}).parameters.model_dump() | changed
    places = {f"{{{{$.inputs.parameters['{name}']}}}}": written(value) for name, value in values.items()}
    assert container["command"][0] == "python3"
    command = [sys.executable, *container["command"][1:], *(places.get(given, given) for given in container["args"])]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("profile", profile_names())
def test_what_every_profile_gives_passes(profile):
    values = configure(profile, environment={}).parameters.model_dump() | {"learning_rate": 1e-7}
    done = checked(**values)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("formats", "saved_model,onx", "onx"),
        ("min_accuracy", 94.0, "min_accuracy"),
        ("architecture", "articel", "article"),
        ("image_size", "1 x", "image_size"),
        ("dataset", "cifar11", "cifar11"),
        ("end_below", "$(rm -rf /)\n", "end_below"),
    ],
)
def test_what_a_later_step_would_refuse_is_refused_by_it(name, value, said):
    done = checked(**{name: value})
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and said in done.stderr and done.stderr.count("\n") == 1


def test_it_waits_for_nothing_and_preprocess_waits_for_it():
    root = next(yaml.load_all(GOLDEN.read_text(encoding="utf-8"), yaml.CSafeLoader))["root"]["dag"]["tasks"]
    assert "dependentTasks" not in root["check"]
    assert root["preprocess"]["dependentTasks"] == ["check", "download"]
