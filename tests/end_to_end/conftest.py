"""Runs of the real command line, shared by the tests that look at what they left."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from pipeline import ROOT

# Set by the machine, not by the person: a run in a test needs them as any run does.
MACHINE_VARIABLES = ("CONV2D_DOCKER_NETWORK",)


class CommandLine:
    """`python -m pipeline` in a checkout, as the Makefile calls it."""

    def __init__(self, checkout: pathlib.Path):
        self.checkout = checkout

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

    @staticmethod
    def environment() -> dict[str, str]:
        """This process's, without settings of the pipeline that somebody made for themselves."""
        return {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("CONV2D_") or name in MACHINE_VARIABLES
        }


@pytest.fixture(scope="session")
def command_line() -> CommandLine:
    return CommandLine(ROOT)


@pytest.fixture(scope="session")
def quickstart(command_line, tmp_path_factory):
    """The quickstart, run once as processes: its outputs directory and the finished process."""
    outputs = tmp_path_factory.mktemp("quickstart") / "local_outputs"
    return outputs, command_line.run_local(outputs)


@pytest.fixture(scope="session")
def summary_of():
    """Reads the summary of the latest run in an outputs directory."""
    return lambda outputs: json.loads((outputs / "latest" / "summary.json").read_text())


@pytest.fixture(scope="session")
def steps_run():
    """Names the steps of a summary that were executed: not cached, not skipped."""
    return lambda summary: [s["name"] for s in summary["steps"] if s["status"] == "succeeded" and not s["cached"]]
