"""The rules of the house (CONTRIBUTING.md), read off the source: who may import whom, and where a file belongs."""

import ast
import functools
import importlib.metadata
import pathlib
import re
import subprocess
import sys

import pytest

from pipeline import ROOT
from pipeline.images.names import READ_BY_CHECK

SOURCES = sorted(
    path.relative_to(ROOT) for folder in ("components", "pipeline") for path in ROOT.glob(f"{folder}/**/*.py")
)
STEPS = ("download", "preprocess", "train", "choose", "evaluate", "export", "predict")
IMAGES = {*STEPS, "notify"}
# Boxes of pipeline/, from the top down: a box imports only boxes further down.
BOXES = (
    *("__main__", "commands", "local", "cluster", "prediction", "training", "placement", "models", "keras_side"),
    *("images", "parameters", "closing_block", "console"),
)
# Commands and modules that must never load TensorFlow: it costs four seconds each time.
WITHOUT_TENSORFLOW = [
    "pipeline.commands.main",
    "pipeline.cluster.compile",
    "pipeline.local.start",
    "pipeline.models.predict",
    "components.download.run",
    "components.predict.run",
    "components.preprocess.run",
    "components.train.settings",
]


def module_of(path: pathlib.PurePath) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


@functools.cache
def imported(path: pathlib.PurePath) -> list[str]:
    """Every module that a file imports, also in functions and for type checkers, as far as it is written there."""
    found = []
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}:{node.lineno}: relative import"
            parts = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [part if part in MODULES else node.module for part in parts]
    return found


def violations(path: pathlib.PurePath, names: list[str]) -> list[str]:
    """Why the module at `path` (relative to the root) may not import these."""
    said = []
    top, box = path.parts[0], path.parts[1].removesuffix(".py")
    for name in names:
        root, _, rest = name.partition(".")
        other = rest.split(".")[0]
        if top == "components" and root == "pipeline":
            said.append(f"a component imports {name}")
        reads_settings = box == "check" and name.endswith(".settings")
        if top == "components" and root == "components" and other in IMAGES - {box} and not reads_settings:
            said.append(f"{box} imports another component: {name}")
        if root == "kfp" and top == "components" and path.name != "component.py":
            said.append(f"kfp outside component.py: {name}")
        if root in ("tensorflow", "keras") and top == "pipeline" and box != "keras_side":
            said.append(f"the pipeline imports {name}")
        if top == root == "pipeline" and other in BOXES and BOXES.index(other) < BOXES.index(box):
            said.append(f"{box} imports {other}, which lies above it")
    return said


def reached(start: str) -> set[str]:
    """All modules of ours that importing one leads to."""
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        names = {name for name in imported(MODULES[ahead.pop()]) if name in MODULES} - seen
        seen |= names
        ahead += names
    return seen


def test_modules_import_only_what_the_house_allows():
    said = [f"{path}: {why}" for path in SOURCES if len(path.parts) > 2 or path.name != "__init__.py"
            for why in violations(path, imported(path))]  # fmt: skip
    assert said == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("components/core/x.py", "pipeline.local.start"),
        ("components/core/x.py", "components.train.run"),
        ("components/train/x.py", "components.export.run"),
        ("components/train/x.py", "components.export.settings"),
        ("components/check/x.py", "components.export.run"),
        ("components/train/x.py", "kfp"),
        ("pipeline/images/x.py", "tensorflow"),
        ("pipeline/local/x.py", "pipeline.commands.local"),
        ("pipeline/training.py", "pipeline.cluster.compile"),
    ],
)
def test_a_broken_rule_is_seen(path, name):
    assert violations(pathlib.PurePath(path), [name])


def test_imports_have_no_circle():
    assert sorted(module for module in MODULES if module in reached(module)) == []


def test_a_file_in_core_serves_two_steps_or_more():
    """What one step uses lives in that step, so that an edit changes that step's image alone."""
    users = {
        step: set().union(*(reached(module) for module in MODULES if module.startswith(f"components.{step}.")))
        for step in IMAGES
    }
    alone = {}
    for module, path in MODULES.items():
        steps = [step for step in users if module in users[step]]
        if module.startswith("components.core.") and path.name != "__init__.py" and len(steps) < 2:
            alone[module] = steps
    assert alone == {}


def test_the_tag_of_checks_image_covers_all_that_it_reads():
    read = {MODULES[module].relative_to("components") for module in reached("components.check.run")}
    assert {path.as_posix() for path in read if path.parts[0] not in ("core", "check")} == set(READ_BY_CHECK)


@pytest.mark.parametrize("step", STEPS)
def test_a_steps_main_function_is_in_run_and_bears_its_name(step):
    tree = ast.parse((ROOT / "components" / step / "run.py").read_text(encoding="utf-8"))
    assert step in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_folders_are_not_crowded():
    crowded = {}
    for folder in {path.parent for path in SOURCES}:
        files = [path for path in SOURCES if path.parent == folder and path.name != "__init__.py"]
        if len(files) > 20:
            crowded[str(folder)] = len(files)
    assert crowded == {}


def test_files_are_short():
    lines = {str(path): (ROOT / path).read_text("utf-8").count("\n") for path in SOURCES}
    assert {path: count for path, count in lines.items() if count > 300} == {}


def test_files_that_the_code_names_exist():
    tops = ("components", "pipeline", "docker", "tests")
    files = [f"/{path.relative_to(ROOT)}" for top in tops for path in ROOT.glob(f"{top}/**/*.py")]
    files.append("/ephemeral_component.py")  # KFP's own
    named = {
        (str(path), name)
        for path in SOURCES
        for name in re.findall(r"[a-z_/]+\.py\b", (ROOT / path).read_text(encoding="utf-8"))
    }
    assert [(path, name) for path, name in named if not any(file.endswith(f"/{name}") for file in files)] == []


def test_no_module_bears_the_name_of_a_dependency():
    known = set(importlib.metadata.packages_distributions()) | set(sys.stdlib_module_names)
    # As top-level names only: components/core/... are reached through their package.
    tops = {path.name.removesuffix(".py") for path in ROOT.glob("*") if path.is_dir() or path.suffix == ".py"} - {
        "tests",
        "docker",
    }
    assert tops & known == set()


def test_no_two_classes_or_functions_share_a_name():
    """A step's function in component.py is its KFP face, and `main` is what a process of its own begins with."""
    names = [
        node.name
        for path in SOURCES
        for node in ast.parse((ROOT / path).read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) or isinstance(node, ast.FunctionDef) and path.name != "component.py"
    ]
    assert sorted(name for name in set(names) if names.count(name) > 1 and not name.startswith("_")) == ["main"]


def test_tensorflow_is_loaded_only_where_it_is_needed():
    """In one process: the first that loads it is the one to look at."""
    loaded = "[m for m in ('tensorflow', 'keras', 'sklearn') if m in sys.modules]"
    code = f"import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name); print(name, {loaded})"
    command = [sys.executable, "-c", code, *WITHOUT_TENSORFLOW]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert said.splitlines() == [f"{module} []" for module in WITHOUT_TENSORFLOW]
