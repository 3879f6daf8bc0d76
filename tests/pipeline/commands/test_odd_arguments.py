"""Commands typed with odd arguments: each ends well, or with a line."""

import pathlib
import subprocess
import sys

import pytest
from click.testing import CliRunner

from components.core.errors import PipelineError
from components.core.machine import lack
from pipeline import ROOT, conv2d
from pipeline.commands.main import main, run
from pipeline.commands.options import LocalPath
from pipeline.parameters.cluster_options import placement_file
from pipeline.parameters.parameters import configure

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


WRONG = {
    "no such command": ("nope",),
    "no such command of a group": ("models", "nope"),
    "no such option": ("run-local", "--nope"),
    "an option without its value": ("run-local", "--outputs"),
    "a value that is none of the choices": ("run-local", "--runner", "x"),
    "a number out of range": ("sweep", "--trials", "-1"),
    "a port that is none": ("tensorboard", "--port", "abc"),
    "an argument that is missing": ("follow",),
    "an argument too many": ("schedules", "x"),
    "a missing argument of a group's": ("models", "rollback"),
}


@pytest.mark.parametrize("start", [run, conv2d], ids=["python -m pipeline", "conv2d"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_command_line_is_one_line(start, wrong, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["conv2d", *WRONG[wrong]])
    with pytest.raises(SystemExit) as ended:
        start()
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    (line,) = told.err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(" --help")


TOLD = {
    "a make option in lower case": (("config", "profil=x"), "unknown parameter 'profil' in command line", "PROFILE"),
    "a mistyped option": (("run-local", "RUNER=docker"), "unknown parameter 'runer' in command line", "RUNNER"),
    "one of the cluster": (("doctor", "ENPOINT=x"), "unknown parameter 'enpoint' in command line", "ENDPOINT"),
    "a mistyped parameter": (("sweep", "EPOCH=3"), "unknown parameter 'epoch' in command line", "epochs"),
}


@pytest.mark.parametrize("typed", TOLD)
def test_a_mistyped_name_is_told_with_the_nearest(typed, monkeypatch, capsys):
    """Among the parameters and the command's own options, as make takes them."""
    words, refused, meant = TOLD[typed]
    monkeypatch.setenv("MAKELEVEL", "1")
    monkeypatch.setattr(sys, "argv", ["python -m pipeline", *words])
    with pytest.raises(SystemExit):
        run()
    assert capsys.readouterr().err == f"error: {refused}; did you mean '{meant}'?\n"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("run-local", "--runner", "x"), "invalid value for 'RUNNER': 'x' is not one of 'auto', 'docker', 'process'"),
        (("predict", "--top", "x"), "invalid value for 'TOP': 'x' is not a whole number"),
        (("images", "publish"), "invalid value for 'ACTION': 'publish' is not one of"),
        (
            ("images", "build", "--sign", "cosign.key"),
            "expected SIGN= with push only, received it with build; nothing was",
        ),
        (("run-local", "--outputs", ""), "invalid value for 'OUTPUTS': expected a path on this machine, received ''"),
        (("run-local", "--outputs", "gs://b/x"), "expected a path on this machine, received 'gs://b/x'"),
        (("config", "EPOCHS=3", "epochs=4"), "expected 'epochs' once, received it twice"),
        (("run-local", "SOURCE="), "source: expected a value, received none (a variable that is not set?); "),
        (("run-local", "GRID=seed=1,2"), "unknown parameter 'grid' in command line; make sweep takes GRID="),
    ],
)
def test_a_wrong_value_is_told_in_the_words_of_who_typed_it(typed, told, monkeypatch, capsys):
    monkeypatch.setenv("MAKELEVEL", "1")
    monkeypatch.setattr(sys, "argv", ["python -m pipeline", *typed])
    with pytest.raises(SystemExit):
        run()
    assert told in capsys.readouterr().err


def test_a_path_may_begin_in_the_home_folder(tmp_path, monkeypatch):
    """Most shells hand on the ~ of OUTPUTS=~/runs, and a folder of that name is easily removed with all of home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text("epochs: 3\n")
    (tmp_path / "runs.env").write_text("gpus=1\n")
    assert LocalPath().convert("~/runs", None, None) == tmp_path / "runs"
    assert LocalPath().convert("runs", None, None) == pathlib.Path("runs")
    assert configure("~/own.yaml").parameters.epochs == 3
    assert placement_file("~/runs.env") == ["gpus=1"]


@pytest.mark.parametrize(("typed", "code"), [((), 2), (("models",), 2), (("run-local", "--help"), None)])
def test_help_is_whole(typed, code, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["conv2d", *typed])
    try:
        run()
        ended = None
    except SystemExit as left:
        ended = left.code
    assert ended == code
    assert "".join(capsys.readouterr()).startswith("Usage: ")


def test_an_interrupt_while_the_command_line_loads_is_a_word():
    """At its imports, which take half a second, as anywhere else."""
    code = """if True:
        import importlib.abc, runpy, signal, sys

        class Interrupt(importlib.abc.MetaPathFinder):
            def find_spec(self, name, *_):
                if name in ("click", "pydantic"):
                    signal.raise_signal(signal.SIGINT)

        sys.meta_path.insert(0, Interrupt())
        runpy.run_module("pipeline", run_name="__main__")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr, done.stdout) == (1, "Aborted!\n", "")


BOTH = "epochs: expected one value or a grid of them, received both; leave one out"
WITHOUT_GRID = "expected --grid beside {}, received none; without one, it trains once"
PLACES_PODS = "train_memory: expected none on this machine, as it places a cluster's pods; leave it out"
IN_SILENCE = {
    ("sweep", "--grid", "epochs=1,2 seed=1,2", "EPOCHS=3"): BOTH,
    ("compile", "--grid", "epochs=1,2 seed=1,2", "EPOCHS=3"): BOTH,
    ("compile", "--trials", "8"): WITHOUT_GRID.format("--trials"),
    ("compile", "--parallel", "2"): WITHOUT_GRID.format("--parallel"),
    ("run-local", "TRAIN_MEMORY=2Gi"): PLACES_PODS,
    ("sweep", "TRAIN_MEMORY=2Gi"): PLACES_PODS,
}


@pytest.mark.parametrize("typed", IN_SILENCE, ids=" ".join)
def test_what_was_left_out_in_silence_is_refused(typed: tuple[str, ...], tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(main, typed)
    assert isinstance(told.exception, PipelineError)
    assert str(told.exception) == IN_SILENCE[typed]
    assert not list(tmp_path.iterdir())
