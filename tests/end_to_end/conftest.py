"""Runs of the real command line, shared by the tests that look at what they left."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from pipeline import ROOT
from pipeline.local.warm import VARIABLE


class CommandLine:
    """`python -m pipeline` in a checkout, as the Makefile calls it."""

    def __init__(self, checkout: pathlib.Path, warm: str = ""):
        self.checkout, self.warm = checkout, warm

    def run_local(
        self, outputs: pathlib.Path, *settings: str, profile: str = "quickstart", runner: str = "process"
    ) -> subprocess.CompletedProcess:
        """One finished local run, what it printed captured as text."""
        return self.run("run-local", "--profile", profile, "--runner", runner, "--outputs", outputs, *settings)

    def run(self, *arguments: str | pathlib.Path) -> subprocess.CompletedProcess:
        """Any command, run to its end."""
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *map(str, arguments)],
            cwd=self.checkout,
            env=self.environment(),
            capture_output=True,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        """This process's, without settings of the pipeline that somebody made for themselves."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("CONV2D_")}
        return own | ({VARIABLE: self.warm} if self.warm else {})


@pytest.fixture(scope="session")
def command_line(warm) -> CommandLine:
    """Its runs share the tests' warm process: none loads TensorFlow again."""
    return CommandLine(ROOT, warm)


@pytest.fixture(scope="session")
def own_command_line() -> CommandLine:
    """Its runs start what they need, as a person's do."""
    return CommandLine(ROOT)


@pytest.fixture(scope="session")
def quickstart(own_command_line, tmp_path_factory):
    """The quickstart, run once as processes: its outputs directory and the finished process."""
    outputs = tmp_path_factory.mktemp("quickstart") / "local_outputs"
    return outputs, own_command_line.run_local(outputs)


@pytest.fixture(scope="session")
def summary_of():
    """Reads the summary of the latest run in an outputs directory."""
    return lambda outputs: json.loads((outputs / "latest" / "summary.json").read_text())


@pytest.fixture(scope="session")
def steps_run():
    """Names the steps of a summary that were executed: not cached, not skipped."""
    return lambda summary: [s["name"] for s in summary["steps"] if s["status"] == "succeeded" and not s["cached"]]
