"""Commands typed with odd arguments: each ends well, or with a line."""

import pytest
from click.testing import CliRunner

from components.core.errors import PipelineError
from components.core.machine import lack
from pipeline.__main__ import main

ODD = (
    "",
    " ",
    "~nobody-x/y",
    "http://[bad",
    "gs:bucket",
    "file://h/x",
    "\x7f",
    "../..",
    "/",
    "/etc/passwd",
    "-1",
    "a@0",
)
REGISTRY = ("models", "--registry", "no-registry")
COMMANDS = {
    "registry": ("models", "--registry", "ODD", "list"),
    "list": (*REGISTRY, "list", "--", "ODD"),
    "show": (*REGISTRY, "show", "--", "ODD"),
    "publish": (*REGISTRY, "publish", "--", "digits", "ODD"),
    "publish as": (*REGISTRY, "publish", "--", "ODD", "export"),
    "champion": (*REGISTRY, "champion", "--", "ODD"),
    "rollback": (*REGISTRY, "rollback", "--", "ODD"),
    "serve": (*REGISTRY, "serve", "--", "ODD"),
    "predict": ("predict", "--model", "ODD", "picture.png"),
    "predict from": ("predict", "--model", "a@1", "--registry", "ODD", "picture.png"),
    "profile": ("config", "--profile", "ODD"),
    "setting": ("config", "--", "ODD"),
    "placement": ("submit", "--no-check-images", "--endpoint", "http://127.0.0.1:1", "--placement", "ODD"),
    "endpoint": ("follow", "--endpoint", "ODD", "run"),
    "cron": ("schedule", "--endpoint", "http://127.0.0.1:1", "--no-check-images", "--", "ODD"),
    "grid": ("sweep", "--grid", "ODD"),
    "webhook": ("compile", "--webhook-secret", "ODD!"),
}


@pytest.mark.usefixtures("bare_home")
@pytest.mark.parametrize("command", COMMANDS)
def test_it_ends_well_or_with_a_line(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for odd in ODD:
        if odd == "" and command == "placement":
            continue  # none
        ended = CliRunner().invoke(main, [argument.replace("ODD", odd) for argument in COMMANDS[command]])
        error = ended.exception
        if error is None or isinstance(error, SystemExit):
            continue
        said = str(error) if isinstance(error, PipelineError) else lack(error)
        assert said, (odd, error)
        assert "\n" not in said
