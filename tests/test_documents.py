"""What the README and the checklist tell people to type exists: targets, variables, parameters, commands, files."""

import functools
import os
import pathlib
import re
import shlex
import subprocess

import click
import pytest
import yaml

from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.commands.given import as_typed
from pipeline.commands.main import main
from pipeline.commands.models import models
from pipeline.images.names import image
from pipeline.parameters.parameters import Parameters
from pipeline.parameters.prediction import PredictionParameters

DOCUMENTS = ("README.md", "components/README.md", "k8s/README.md", "k8s/CHECKLIST.md")
FOR_THOSE_WHO_WORK_ON_IT = ("CONTRIBUTING.md", "CHANGELOG.md")


def typed(text: str) -> list[str]:
    """Every `make ...` in code, up to its end or a comment."""
    text = text.replace("\\\n", " ")
    found = re.findall(r"`([^`\n]*)`", text) + re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    return [line.partition(" #")[0] for line in found if re.search(r"(^|[ ;&])make ", line)]


@pytest.mark.parametrize("document", (*DOCUMENTS, *FOR_THOSE_WHO_WORK_ON_IT))
def test_what_make_is_told_exists(document: str) -> None:
    lines = typed((ROOT / document).read_text())
    assert len(lines) > (5 if document in DOCUMENTS else 2)
    wrong = []
    for line in lines:
        for target, rest in re.findall(r"(?:^|[ ;&])make ([a-z][a-z-]*)([^;&]*)", line):
            names = re.findall(r"(?:^|\s)([A-Z][A-Z0-9_]*)=", re.sub(r"'[^']*'|\"[^\"]*\"", "x", rest))
            if refused := refusal(target, tuple(names)):
                wrong.append(f"{line}: {refused}")
    assert wrong == []


@functools.cache
def refusal(target: str, names: tuple[str, ...]) -> str:
    """What is said against a target or a name; empty if it is taken, and each that is no option is a parameter."""
    given = [f"{name}={'prediction' if name == 'WHAT' else '1'}" for name in names]
    path = {"PATH": os.environ["PATH"]}  # and not what `make test` was given
    done = subprocess.run(["make", "-n", target, *given], cwd=ROOT, env=path, capture_output=True, text=True)
    handed_on = []
    for command in re.findall(r"^\S+ -m pipeline (.*)$", done.stdout, re.MULTILINE):
        try:
            handed_on += as_typed(main, shlex.split(command))
        except PipelineError as refused:
            return str(refused)
    settings = [word.partition("=")[0] for word in handed_on if re.match("[A-Z][A-Z0-9_]*=", word)]
    return done.stderr or " ".join(name for name in settings if not is_parameter(name))


def is_parameter(name: str) -> bool:
    return name.lower() in {**Parameters.model_fields, **PredictionParameters.model_fields}


@pytest.fixture(autouse=True)
def by_make(monkeypatch) -> None:
    monkeypatch.setenv("MAKELEVEL", "1")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_registrys_commands_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    told = re.findall(r"ARGS='([a-z]+)", text)
    assert told and set(told) <= set(models.commands)


@pytest.mark.parametrize("document", (*DOCUMENTS, "CONTRIBUTING.md"))
def test_files_that_are_named_exist(document: str) -> None:
    text = re.sub(r"\$OVERLAY", "gke", (ROOT / document).read_text())
    tops = r"k8s|pipeline|components|docker|tests|\.github"
    named = re.findall(rf"(?<![\w/])((?:{tops})/[A-Za-z0-9_./-]+[A-Za-z0-9_])", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", (*DOCUMENTS, *sorted(str(path) for path in ROOT.glob("k8s/overlays/*/runs.env"))))
def test_what_the_environment_brings_is_typed_with_its_place(document: str) -> None:
    """`kfp` is in .venv, which is on nobody's PATH."""
    code = re.findall(r"^(?: {4}|#  +)(\S.*)$", (ROOT / document).read_text(), re.MULTILINE)
    assert code or document.endswith("local/runs.env")
    assert [line for line in code if re.search(r"(^|[;&|] *)(kfp|tensorboard|python) ", line)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_options_of_our_own_command_line_exist(document: str) -> None:
    for command, rest in re.findall(r"python -m pipeline ([a-z-]+)([^`\n]*)", (ROOT / document).read_text()):
        options = {option for parameter in walk(main.commands[command]) for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, command


def test_the_pipeline_of_ones_own_compiles_as_it_stands(tmp_path: pathlib.Path, monkeypatch) -> None:
    told = (ROOT / "components/README.md").read_text().partition("## Steps in a pipeline of your own\n")[2]
    monkeypatch.chdir(tmp_path)
    exec("\n".join(re.findall(r"^ {4}(.*)$", told, re.MULTILINE)), {})
    assert f"image: {image('train')}" in pathlib.Path("mine.yaml").read_text()


def walk(command: click.Command) -> list[click.Parameter]:
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return [*command.params, *(parameter for each in inner for parameter in walk(each))]


def test_the_hosted_checks_are_those_of_ci_run() -> None:
    """One list of what a change must pass: a hosted service calls it, and adds nothing."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step["run"].split()[-1] for step in steps if "run" in step] == [".ci/run"]
    assert [step["uses"].partition("@")[0] for step in steps if "uses" in step] == ["actions/checkout"]
