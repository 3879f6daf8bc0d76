"""make hands on what a person typed, to the letter, and nothing else."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from pipeline import ROOT

PYTHON = os.path.realpath(sys.executable)  # a script's first line takes no blanks, as this checkout's path may have
ODD = [
    "a b",
    "it's",
    'say "hi"',
    "$HOME and $(PWD) and $$",
    "a,b",
    "#1",
    "x=y",
    "back\\slash",
    "`date`; ls > x & y",
    "ü",
]


@pytest.fixture
def make(tmp_path):
    """Runs make with an interpreter that says what it was given; returns that, without `-m pipeline`."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text(
        f"#!{PYTHON}\nimport json, os, sys\n"
        "assert not [name for name in os.environ if name.startswith('PYTHON')]\n"
        "print(json.dumps(sys.argv[1:]))\n"
    )
    python.chmod(0o755)
    for name in ("local", "test"):
        (venv / name).touch()
        os.utime(venv / name, (2**32, 2**32))

    def run(*arguments: str, **environment: str) -> list[str]:
        ended = subprocess.run(
            ["make", "--no-print-directory", f"VENV={venv}", *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
        )
        if ended.returncode:
            raise AssertionError(ended.stderr)
        return json.loads(ended.stdout.splitlines()[-1])[2:]

    return run


@pytest.mark.parametrize("value", ODD)
def test_values_arrive_as_they_were_typed(make, value):
    given = [f"{name}={value}" for name in ("IMAGE", "MODEL", "NAME", "OUTPUTS", "PROFILE", "SOURCE")]
    for target in ("run-local", "predict", "schedule"):
        assert make(target, *given) == [target, *given]
    assert make("tensorboard", f"OUTPUTS={value}") == ["tensorboard", f"OUTPUTS={value}"]
    assert make("models", f"REGISTRY={value}") == ["models", "--registry", value, "list"]


def test_no_value_is_run(make, tmp_path):
    """make would, as it hands on in the environment what was given; in a CI the value may be anybody's."""
    value = f"$(shell touch {tmp_path}/ran)"
    assert make("predict", f"IMAGE={value}", f"OUTPUTS={value}") == ["predict", f"IMAGE={value}", f"OUTPUTS={value}"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("habit", ["DONTWRITEBYTECODE", "SAFEPATH", "PATH", "HOME", "WARNINGS", "OPTIMIZE"])
def test_the_environment_is_our_own_whatever_this_machines_habits(make, habit):
    """Its bytecode is kept, the checkout is found; the packages of ROS's or Spark's Python ended in an ImportError."""
    assert make("config", **{f"PYTHON{habit}": "1"})[0] == "config"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("models REGISTRY=r REGSTRY=x", "models takes no REGSTRY="),
        ("images ACTON=push", "images takes no ACTON="),
        ("tensorboard PROT=7", "tensorboard takes no PROT="),
        ("clean-runs OUTPUT=elsewhere", "clean-runs takes no OUTPUT=; it takes OUTPUTS="),
        ("test TEST=tests/docker", "test takes no TEST=; it takes TESTS= WORKERS="),
        ("clean OUTPUTS=elsewhere", "clean takes no OUTPUTS=; it takes nothing"),
        ("run-local epochs 3", "there is no target epochs 3; make help lists them"),
    ],
)
def test_a_mistyped_option_is_refused(make, typed, told):
    with pytest.raises(AssertionError, match=told):
        make(*typed.split())


def test_what_another_target_takes_is_left_to_that(make):
    assert make("tensorboard", "config", "PORT=7", "EPOCHS=3") == ["config", "EPOCHS=3"]


def test_what_both_take_is_given_to_both(make):
    """The run lay in the default folder, and TensorBoard showed the one that was asked for."""
    assert make("tensorboard", "run-local", "OUTPUTS=x") == ["run-local", "OUTPUTS=x"]
    assert make("models", "predict", "REGISTRY=x", "IMAGE=y") == ["predict", "IMAGE=y", "REGISTRY=x"]


def test_a_line_break_is_a_blank(make):
    assert make("config", "ARCHITECTURE=[\n'Flatten']")[-1] == "ARCHITECTURE=[ 'Flatten']"


def test_the_shell_reads_args_but_for_dollars(make):
    typed = 'ARGS=publish digits "my dir/$x" a$b'
    assert make("models", typed) == ["models", "publish", "digits", "my dir/$x", "a$b"]
    assert make("models") == ["models", "list"]


def test_make_tells_that_it_calls(tmp_path):
    """Messages name options as make takes them: a real interpreter, and a command that needs a registry."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    (venv / "local").touch()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    told = [
        subprocess.run(["make", f"VENV={venv}", *typed], cwd=ROOT, env=environment, capture_output=True, text=True)
        for typed in (["models"], ["models", "ARGS=shwo x"])
    ]
    assert "error: expected a registry, received none; give REGISTRY=gs://bucket or set" in told[0].stderr
    assert "try: make models ARGS='--help'" in told[1].stderr


def test_only_runs_are_cleaned_away(tmp_path):
    runs, mixed = tmp_path / "my runs", tmp_path / "home"
    for folder in (runs, mixed):
        (folder / ".cache" / "process").mkdir(parents=True)
        (folder / "training-2026-11-27-08-01-22-576050").mkdir()
        (folder / "latest").symlink_to("training-2026-11-27-08-01-22-576050")
    (mixed / "thesis").mkdir()
    ended = [
        subprocess.run(["make", "clean-runs", f"OUTPUTS={folder}"], cwd=ROOT, capture_output=True, text=True)
        for folder in (runs, mixed, tmp_path / "none")
    ]
    assert [done.returncode for done in ended] == [0, 2, 0]
    assert not runs.exists() and len(list(mixed.iterdir())) == 4
    assert f"error: expected runs and nothing else in {mixed}, found thesis; nothing was removed" in ended[1].stderr


def test_the_environment_is_no_command_line(make):
    elsewhere = {
        "PROFILE": "other",
        "RUNNER": "docker",
        "OUTPUTS": "/elsewhere",
        "NAME": "WSL",
        "EPOCHS": "3",
        "CACHE": "0",
        "MODEL": "x",
        "ENDPOINT": "http://x",
        "GRID": "seed=1,2",
        "ARGS": "delete digits 1",
    }
    assert make("run-local", **elsewhere) == ["run-local"]
    assert make("pipeline-run", **elsewhere) == ["submit"]
    assert make("images", **elsewhere) == ["images"]
    assert make("models", **elsewhere) == ["models", "list"]


def test_scripts_are_given_what_was_typed(tmp_path):
    """`make cluster-down CLUSTER=mine` removed the cluster that is called conv2d, and CONV2D_EPOCHS=3 was no value."""
    kind = tmp_path / "kind"
    kind.write_text('#!/bin/sh\necho "$CONV2D_X: $*"; echo "$CLUSTER"\n')
    kind.chmod(0o755)
    command = ["make", "--no-print-directory", "cluster-down", "CLUSTER=mine", "CONV2D_X=$(info run)$$ 'x'"]
    around = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=ROOT, env=around, capture_output=True, text=True)
    assert done.stdout == "$(info run)$$ 'x': delete cluster --name mine\nmine\n"


def test_what_sets_how_things_run_here_is_no_parameter(make):
    given = make("run-local", "BASE_IMAGE=python:3.12", "CONV2D_DOWNLOAD_CACHE=/cache", "EPOCHS=3", "batch_size=5")
    assert given == ["run-local", "EPOCHS=3", "batch_size=5"]


def test_the_tests_target_takes_paths(make):
    assert make("test", "TESTS=tests/a tests/b") == ["tests/a", "tests/b"]


PACKAGES = """#!{python}
import os, sys
sys.stdout.write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1:3] == ["-m", "pip"]:
    sys.exit(0 if os.path.exists({pip!r}) else "No module named pip")
if sys.argv[1:3] == ["-m", "venv"]:
    open({pip!r}, "w").close()
if "install.py" in sys.argv[1]:
    sys.exit(int(not os.path.exists({index!r})))
"""


def test_an_environment_that_was_left_half_made_is_made(tmp_path):
    """By Ctrl-C, or by a Debian without python3-venv: it has a Python and no pip, and stayed so until `make clean`."""
    python, index = tmp_path / "venv/bin/python", tmp_path / "index"
    python.parent.mkdir(parents=True)
    python.write_text(PACKAGES.format(python=PYTHON, pip=str(tmp_path / "pip"), index=str(index)))
    python.chmod(0o755)
    told = []
    for there in (False, True):
        if there:
            index.touch()
        command = ["make", f"VENV={tmp_path}/venv", f"PYTHON3={python}", f"{tmp_path}/venv/local"]
        done = subprocess.run(command, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
        told.append((done.returncode, f"-m venv {tmp_path}/venv" in done.stdout, done.stderr))
    assert told[0][:2] == (2, True)
    assert "error: expected the packages of docker/requirements/local.txt from the index that pip knows" in told[0][2]
    assert told[1] == (0, False, "")


def test_an_environment_whose_python_is_gone_is_made_anew(tmp_path):
    """After an upgrade of Python: its files were newer than the locks, and each command ended in `not found`."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    for name, target in {"python": "python3", "python3": tmp_path / "removed"}.items():
        (venv / "bin" / name).symlink_to(target)
    (venv / "local").touch()
    os.utime(venv / "local", (2**32, 2**32))
    nowhere = {"PATH": os.environ["PATH"], "PIP_INDEX_URL": "http://127.0.0.1:1", "PIP_RETRIES": "0"}
    command = ["make", f"VENV={venv}", f"PYTHON3={PYTHON}", "config"]
    said = subprocess.run(command, cwd=ROOT, env=nowhere, capture_output=True, text=True).stderr
    assert "error: expected the packages of docker/requirements/local.txt" in said  # which was next
    subprocess.run([venv / "bin/python", "-m", "pip", "--version"], check=True, capture_output=True)


def test_targets_take_turns(make, tmp_path):
    """With -j, or MAKEFLAGS=-j8 in one's profile, two installed packages into one environment at once."""
    python = tmp_path / "venv/bin/python"
    python.write_text("#!/bin/sh\necho begin $3\nsleep 0.3\necho end $3\n")
    command = ["make", "-j4", "--no-print-directory", f"VENV={tmp_path}/venv", "config", "doctor"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert done.stdout.split() == ["begin", "config", "end", "config", "begin", "doctor", "end", "doctor"]


def test_a_python_that_is_not_there_is_one_line(tmp_path):
    command = ["make", f"VENV={tmp_path}/venv", "PYTHON3=python9", "config"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert done.stderr.startswith(
        "error: expected Python 3.11 to 3.13, found no python9; install one, or name it: make"
    )
