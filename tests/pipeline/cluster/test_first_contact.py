"""An endpoint where nothing answers is told within seconds, by each command that asks it first."""

import socket

import pytest
from click.testing import CliRunner

from components.core.errors import PipelineError
from pipeline.cluster import kubeflow
from pipeline.commands.main import main

SENT = ("--no-check-images",)
COMMANDS = {
    "submit": SENT,
    "upload": SENT,
    "schedule": (*SENT, "0 3 * * *"),
    "schedule of a version": ("--version", "newest", "0 3 * * *"),
    "schedules": (),
    "unschedule": ("nightly",),
    "follow": ("run-1",),
}


def test_the_first_contact_is_given_up_within_ten_seconds():
    """A read that times out is tried once more inside; the pauses' last one is shorter than the whole patience."""
    connecting, reading = kubeflow.FIRST_TIMEOUT_S
    assert max(2 * (kubeflow.FIRST_PATIENCE_S + connecting), kubeflow.FIRST_PATIENCE_S + 2 * reading) <= 10


@pytest.mark.usefixtures("bare_home")
@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_waits_for_an_endpoint_where_nothing_is(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kubeflow, "FIRST_PATIENCE_S", 0.05)
    with socket.socket() as bound:  # and never listens
        bound.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{bound.getsockname()[1]}"
        typed = [command.partition(" ")[0], "--endpoint", endpoint, *COMMANDS[command]]
        error = CliRunner().invoke(main, typed).exception
    assert isinstance(error, PipelineError)
    assert "no answer: " in str(error) and "refused; is it the right endpoint" in str(error)
