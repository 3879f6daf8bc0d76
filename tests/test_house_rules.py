"""The rules of the house, read off the source: what may import what, and that nothing runs at import time."""

import ast
import importlib.metadata
import pathlib
import subprocess
import sys

import pytest

from pipeline import ROOT

SOURCES = sorted([*ROOT.glob("components/**/*.py"), *ROOT.glob("pipeline/**/*.py")])
COMPONENTS = {"download", "preprocess", "train", "choose", "evaluate", "export", "notify"}
# Commands and modules that must never load TensorFlow: it costs four seconds each time.
WITHOUT_TENSORFLOW = [
    "pipeline.__main__",
    "pipeline.cluster.compile",
    "pipeline.local.start",
    "pipeline.models.predict",
    "components.download.run",
    "components.preprocess.run",
    "components.train.settings",
]


def imports(path: pathlib.Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found.append(node.module)
    return found


def violations(path: pathlib.PurePath, imported: list[str]) -> list[str]:
    """Why the module at `path` (relative to the root) may not import these."""
    said = []
    owner = path.parts[1] if path.parts[0] == "components" else ""
    for name in imported:
        root, _, rest = name.partition(".")
        if path.parts[0] == "components" and root == "pipeline":
            said.append(f"a component imports {name}")
        if owner and root == "components" and rest.split(".")[0] in COMPONENTS - {owner}:
            said.append(f"{owner} imports another component: {name}")
        if root == "kfp" and path.parts[0] == "components" and path.name != "component.py":
            said.append(f"kfp outside component.py: {name}")
        if root in ("tensorflow", "keras") and path.parts[0] == "pipeline" and path.parts[1] != "keras_side":
            said.append(f"the pipeline imports {name}")
    return said


def test_modules_import_only_what_the_house_allows():
    said = [f"{path}: {why}" for path in SOURCES for why in violations(path.relative_to(ROOT), imports(path))]
    assert said == []


@pytest.mark.parametrize(
    ("path", "imported"),
    [
        ("components/core/x.py", "pipeline.local.start"),
        ("components/core/x.py", "components.train.run"),
        ("components/train/x.py", "components.export.run"),
        ("components/train/x.py", "kfp"),
        ("pipeline/x.py", "tensorflow"),
    ],
)
def test_a_broken_rule_is_seen(path, imported):
    assert violations(pathlib.PurePath(path), [imported])


def test_no_module_bears_the_name_of_a_dependency():
    known = set(importlib.metadata.packages_distributions()) | set(sys.stdlib_module_names)
    # As top-level names only: components/core/... are reached through their package.
    tops = {path.name.removesuffix(".py") for path in ROOT.glob("*") if path.is_dir() or path.suffix == ".py"} - {
        "tests",
        "docker",
    }
    assert tops & known == set()


@pytest.mark.parametrize("module", WITHOUT_TENSORFLOW)
def test_tensorflow_is_loaded_only_where_it_is_needed(module):
    code = f"import sys, {module}; print([m for m in ('tensorflow', 'keras', 'sklearn') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert said.strip() == "[]"
