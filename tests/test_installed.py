"""The project as an installed package, far from its checkout: what works there, and what says that it can't."""

import os
import pathlib
import subprocess
import sys
import sysconfig
import venv

import pytest

from pipeline import ROOT
from pipeline.images import names as images

UV = pathlib.Path(sysconfig.get_path("scripts"), "uv")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Runs `conv2d` of an environment that holds the wheel, by default with this one's packages behind it."""
    place = tmp_path_factory.mktemp("installed")
    built = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", place, ROOT]
    subprocess.run(built, check=True)
    (wheel,) = place.glob("*.whl")
    for name in ("bare", "whole"):
        venv.create(place / name)
        target = [UV, "pip", "install", "-q", "--no-deps", "--offline", "--python", place / name / "bin/python"]
        subprocess.run([*target, wheel], check=True)
    packages = next((place / "whole/lib").glob("python*/site-packages"))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    (place / "elsewhere").mkdir()

    def run(*arguments: str, environment: str = "whole") -> subprocess.CompletedProcess:
        clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "BASE_IMAGE")}
        command = [place / environment / "bin/conv2d", *arguments]
        return subprocess.run(command, cwd=place / "elsewhere", env=clean, capture_output=True, text=True)

    run.elsewhere = place / "elsewhere"
    return run


def test_it_names_the_images_as_the_checkout_does(installed, monkeypatch):
    monkeypatch.delenv("BASE_IMAGE", raising=False)
    done = installed("images", "names")
    assert done.stdout.split() == images.names(["cpu"]), done.stderr


def test_it_compiles_and_calls_itself_by_its_name(installed):
    assert installed("--help").stdout.startswith("Usage: conv2d ")
    done = installed("compile", "--to", "here.yaml", "EPOCHS=2")
    assert done.returncode == 0, done.stderr
    by_hand = subprocess.run([sys.executable, "-m", "pipeline", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert by_hand.stdout.startswith("Usage: python -m pipeline ")


def test_a_users_folders_of_our_names_are_not_taken_for_ours(installed):
    """Steps, and what asks Keras, ran the user's `components` in place of ours: a web page's have that name too."""
    for name in ("components", "pipeline"):
        package = installed.elsewhere / name / "__init__.py"
        package.parent.mkdir()
        package.write_text("raise SystemExit('not ours')\n")
    done = installed("model", "show")
    assert done.returncode == 0 and "parameters" in done.stdout, done.stderr
    (installed.elsewhere / "photos/cat").mkdir(parents=True)
    (installed.elsewhere / "photos/cat/1.png").write_bytes(b"no picture")
    done = installed("run-local", "--runner", "process", "--", "SOURCE=photos")
    assert "preprocess failed" in done.stderr and "not ours" not in done.stderr


def test_what_needs_the_checkout_says_so_in_a_line(installed):
    done = installed("models", "--registry", "registry", "serve", "digits", "--newest")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.endswith("run this from the project's checkout\n")


def test_without_its_packages_it_says_how_to_get_them(installed):
    done = installed("--help", environment="bare")
    assert done.returncode == 1
    assert done.stderr == "error: expected the package click, found none; try: pip install '.[local]' in the checkout\n"
