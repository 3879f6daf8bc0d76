"""What is imported is declared in pyproject.toml, and what is declared is imported by us."""

import ast
import importlib.metadata
import pathlib
import re
import sys
import tomllib
from collections.abc import Iterator

import pytest

from pipeline import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS, GROUPS = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
OURS = {"components", "pipeline", "tests", *(path.stem for path in (ROOT / "tests/benchmarks").glob("*.py"))}
# Packages of Google share one name at the top.
GOOGLE = {"google.api_core": "google-api-core", "google.auth": "google-auth", "google.cloud": "google-cloud-storage"}
# Declared for another reason than an import of ours.
NOT_IMPORTED = {
    "backports-strenum": "a limit to the version that others take",
    "gcsfs": "TensorBoard loads it for gs://",
    "hatchling": "builds the package",
    "mypy": "a command",
    "pytest-timeout": "a plug-in",
    "pytest-xdist": "a plug-in",
    "ruff": "a command",
    "types-docker": "for mypy",
    "types-pyyaml": "for mypy",
    "types-requests": "for mypy",
    "uv": "a command",
}


def plain(name: str) -> str:
    """A distribution's name as the index compares it; TensorFlow has two, of which a machine gets one."""
    return re.sub(r"[-_.]+", "-", name).lower().replace("tensorflow-cpu", "tensorflow")


def declared(*lists: list) -> set[str]:
    """The names in lists of requirements, those of included groups and of this project's own extras too."""
    names: set[str] = set()
    for requirement in (entry for entries in lists for entry in entries):
        if isinstance(requirement, dict):
            names |= declared(GROUPS[requirement["include-group"]])
        elif own := re.match(rf"{PROJECT['project']['name']}\[(.*)\]", requirement):
            names |= declared(*(EXTRAS[extra] for extra in own[1].split(",")))
        else:
            names.add(plain(re.match(r"[\w.-]+", requirement)[0]))
    return names


BASE = PROJECT["project"]["dependencies"]
MAY_IMPORT = {
    # kfp: component.py alone, as another rule says.
    "components": declared(BASE, EXTRAS["cpu"], EXTRAS["formats"], GROUPS["jax"]) | {"kfp"},
    "pipeline": declared(BASE, EXTRAS["framework"], EXTRAS["pipeline"], GROUPS["optuna"]),
    "tests": declared(BASE, EXTRAS["local"], GROUPS["test"]),
    "docker": {"tensorboard"},
}
# bench_gpu.py measures it beside ours if it is there.
MAY_IMPORT["tests"] |= {"torch"}


def imported(folder: str) -> Iterator[tuple[str, pathlib.Path]]:
    """Every module that is neither ours nor Python's, and where it is imported."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.partition(".")[0] not in OURS | set(sys.stdlib_module_names):
                    yield name, path.relative_to(ROOT)


def distributions(module: str, installed: dict[str, list[str]]) -> set[str]:
    """The distributions that a module may have come from."""
    for prefix, name in GOOGLE.items():
        if module.startswith(prefix):
            return {name}
    return {plain(name) for name in installed.get(module.partition(".")[0], [module])}


@pytest.fixture(scope="module")
def installed():
    return dict(importlib.metadata.packages_distributions())


def test_ci_runs_what_was_looked_at():
    """A tag of an action may be moved to other code, a commit not."""
    used = re.findall(r"uses: (\S+)", (ROOT / ".github/workflows/ci.yaml").read_text())
    assert used and all(re.search(r"@[0-9a-f]{40}$", action) for action in used)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_what_is_imported_is_declared(folder, installed):
    undeclared = {
        f"{path}: {module}"
        for module, path in imported(folder)
        if not distributions(module, installed) & MAY_IMPORT[folder]
    }
    assert undeclared == set()


def test_what_is_declared_is_imported(installed):
    used = {
        name for folder in MAY_IMPORT for module, _ in imported(folder) for name in distributions(module, installed)
    }
    assert declared(BASE, *EXTRAS.values(), *GROUPS.values()) - used == set(NOT_IMPORTED)
