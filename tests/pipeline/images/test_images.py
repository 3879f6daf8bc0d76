"""Names of images, and which change of a file changes which; the choice of a docker command. Needs no engine."""

import os
import pathlib
import subprocess
import sys

import pytest

from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.images import base_image, build, docker_build, names
from pipeline.local.runner import choose_runner
from pipeline.parameters.parameters import configure

EVERY = set(names.COMPONENTS)
WITH_FRAMEWORK = EVERY - set(names.WITHOUT_FRAMEWORK)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("CONV2D_IMAGE_REPOSITORY", "BASE_IMAGE", *docker_build.PASSED_ON):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tree(tmp_path):
    """A small source tree in the project's layout."""
    for component in (*names.COMPONENTS, "core"):
        write(tmp_path / "components" / component / "__init__.py", "")
        write(tmp_path / "components" / component / "logic.py", f"{component} = 1\n")
    write(tmp_path / "components/__init__.py", "")
    write(tmp_path / "components/evaluate/templates/report.html", "<p>")
    for file in (*names.RECIPE, *(f"requirements/{lock}.txt" for lock in ("data", "cpu", "gpu", "jax", "kfp", "uv"))):
        write(tmp_path / "docker" / file, f"{file}\n")
    write(tmp_path / "docker/requirements/local.txt", "")
    write(tmp_path / "pipeline/training.py", "")
    write(tmp_path / "tests/test_it.py", "")
    return tmp_path


def write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def tags(root: pathlib.Path) -> dict[tuple[str, str], str]:
    return {
        (component, target): names.image(component, target, root=root)
        for component in names.COMPONENTS
        for target in ("cpu", "gpu")
    }


def changed(before: dict, after: dict) -> dict[str, set[str]]:
    """By target, the components whose name changed."""
    different = [key for key in before if before[key] != after[key]]
    return {target: {component for component, of in different if of == target} for target in ("cpu", "gpu")}


@pytest.mark.parametrize(
    ("file", "cpu", "gpu"),
    [
        ("components/evaluate/logic.py", {"evaluate"}, {"evaluate"}),
        ("components/evaluate/templates/report.html", {"evaluate"}, {"evaluate"}),
        ("components/train/new/deep/file.py", {"train"}, {"train"}),
        ("components/train/settings.py", {"train", "check"}, {"train", "check"}),
        ("components/core/logic.py", EVERY, EVERY),
        ("components/__init__.py", EVERY, EVERY),
        ("docker/Dockerfile", EVERY, EVERY),
        ("docker/install.sh", EVERY, EVERY),
        ("docker/install.py", EVERY, EVERY),
        ("docker/requirements/uv.txt", EVERY, EVERY),
        ("docker/requirements/kfp.txt", EVERY, EVERY),
        ("docker/strip_symbols.py", EVERY, EVERY),
        ("docker/requirements/data.txt", EVERY, EVERY),
        ("docker/requirements/cpu.txt", WITH_FRAMEWORK, set()),
        ("docker/requirements/gpu.txt", set(), WITH_FRAMEWORK),
        ("docker/requirements/local.txt", set(), set()),
        ("pipeline/training.py", set(), set()),
        ("tests/test_it.py", set(), set()),
        ("components/train/__pycache__/logic.cpython-311.pyc", set(), set()),
        ("components/train/logic.pyc", set(), set()),
        ("components/train/.logic.py.swp", set(), set()),
    ],
)
def test_a_changed_file_changes_the_names_of_what_it_decides_and_no_more(tree, file, cpu, gpu):
    before = tags(tree)
    write(tree / file, "changed\n")
    assert changed(before, tags(tree)) == {"cpu": cpu, "gpu": gpu}


def test_a_renamed_or_removed_file_changes_the_name(tree):
    before = tags(tree)
    (tree / "components/train/logic.py").rename(tree / "components/train/other.py")
    renamed = tags(tree)
    assert changed(before, renamed) == {"cpu": {"train"}, "gpu": {"train"}}
    (tree / "components/train/other.py").unlink()
    assert changed(renamed, tags(tree)) == {"cpu": {"train"}, "gpu": {"train"}}


def test_bytes_moved_from_one_file_to_the_next_change_the_name(tree):
    write(tree / "components/train/a.py", "12")
    write(tree / "components/train/b.py", "3")
    before = tags(tree)
    write(tree / "components/train/a.py", "1")
    write(tree / "components/train/b.py", "23")
    assert changed(before, tags(tree))["cpu"] == {"train"}


def test_times_modes_and_the_tree_s_place_change_nothing(tree, tmp_path_factory):
    before = tags(tree)
    for path in tree.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o755)
    assert tags(tree) == before
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "moved"
    tree.rename(elsewhere)
    assert tags(elsewhere) == before


def test_the_name_says_repository_component_and_target(tree, monkeypatch):
    assert tags(tree)["train", "cpu"].startswith("conv2d-pipeline:train-")
    gpu = tags(tree)["train", "gpu"]
    assert gpu.startswith("conv2d-pipeline:train-gpu-") and len(gpu.rpartition("-")[2]) == 12
    monkeypatch.setenv("CONV2D_IMAGE_REPOSITORY", "host.example:5000/team/conv2d")
    assert tags(tree)["export", "cpu"].startswith("host.example:5000/team/conv2d:export-")


def test_another_base_image_is_another_name(tree, monkeypatch):
    default = tags(tree)
    monkeypatch.setenv("BASE_IMAGE", base_image.recorded())
    assert tags(tree) == default
    monkeypatch.setenv("BASE_IMAGE", "python:3.12-slim")
    assert changed(default, tags(tree)) == {"cpu": EVERY, "gpu": EVERY}


@pytest.mark.parametrize("repository", ["Conv2D", "conv2d:latest"])
def test_an_impossible_repository_is_refused_in_one_line(repository, monkeypatch):
    monkeypatch.setenv("CONV2D_IMAGE_REPOSITORY", repository)
    with pytest.raises(PipelineError, match=f"received '{repository}'$"):
        names.image("train")


def test_every_component_of_the_project_has_an_image():
    packages = {path.parent.name for path in (ROOT / "components").glob("*/component.py")}
    assert packages <= EVERY
    assert len(set(tags(ROOT).values())) == len(EVERY) + len(WITH_FRAMEWORK)


def test_what_needs_no_framework_has_one_image_for_every_target(tree):
    assert (
        names.image("download", "gpu", tree)
        == names.image("download", "jax", tree)
        == names.image("download", root=tree)
    )
    assert len(names.names(["cpu", "gpu"], tree)) == len(EVERY) + len(WITH_FRAMEWORK)
    assert list(names.by_stage(["cpu", "gpu"], tree)) == ["data", "cpu", "gpu"]


def test_the_images_that_share_a_layer_share_its_versions():
    """A framework is installed beside what the data image has: of that, both locks must name the same versions."""
    locks = {lock: pins(ROOT / f"docker/requirements/{lock}.txt") for lock in ("data", "cpu", "gpu", "jax")}
    for lock in ("cpu", "gpu", "jax"):
        assert {name: locks[lock].get(name) for name in locks["data"]} == locks["data"]
    frameworks = {"keras", "tensorflow", "tensorflow-cpu", "tensorboard", "jax", "onnxruntime"}
    assert not frameworks & set(locks["data"])


def pins(lock: pathlib.Path) -> dict[str, list[str]]:
    """Each package's versions and markers."""
    found: dict[str, list[str]] = {}
    for line in lock.read_text().splitlines():
        if line[:1].isalnum():
            name, _, version = line.removesuffix(" \\").partition("==")
            found.setdefault(name, []).append(version)
    return found


def test_names_are_made_without_loading_the_docker_sdk():
    program = (
        "import sys; from pipeline.images import names; names.image('train'); sys.exit('requests' in sys.modules or "
        "any(m.startswith('docker.') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_no_engine_is_one_line_with_a_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    for act in (build.build, build.missing, build.push):
        # Not the way out of a run, which needs no image: `make images` and `make cluster-up` do.
        with pytest.raises(PipelineError, match="^expected a Docker engine at unix://.*No such file.*; start one$"):
            act()
    with pytest.raises(PipelineError, match="No such file.*; start one, or use --runner process$"):
        choose_runner("docker", configure("quickstart", ()).parameters)


# A docker command that says its version, and whether it has the buildx plug-in.
CLIENT = """#!/bin/sh
case "$1" in
--version) echo "Docker version {version}, build 1" ;;
buildx) {buildx} ;;
esac
"""


@pytest.mark.parametrize(
    ("clients", "chosen", "buildkit"),
    [
        ([("20.10.24+dfsg1", False)], 0, "1"),
        ([("28.2.2", True)], 0, "1"),
        ([("28.2.2", False)], 0, "0"),
        ([("28.2.2", False), ("20.10.24+dfsg1", False)], 1, "1"),
        ([("28.2.2", False), ("27.0.1", True)], 1, "1"),
        ([("28.2.2", True), ("20.10.24", False)], 0, "1"),
    ],
)
def test_the_docker_command_is_the_first_that_has_buildkit(tmp_path, monkeypatch, clients, chosen, buildkit):
    places = []
    for number, (version, buildx) in enumerate(clients):
        place = tmp_path / str(number)
        write(place / "docker", CLIENT.format(version=version, buildx="echo v0.1" if buildx else "exit 1"))
        (place / "docker").chmod(0o755)
        places.append(str(place))
    monkeypatch.setenv("PATH", os.pathsep.join(places))
    command, environment = docker_build.builder()
    assert command == [f"{places[chosen]}/docker"]
    assert environment["DOCKER_BUILDKIT"] == buildkit


def test_without_a_docker_command_the_refusal_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PipelineError, match="apt-get install docker.io"):
        docker_build.builder()


def test_the_dockerfile_needs_no_buildkit():
    """What only BuildKit understands, or what makes it pull a frontend, stays out."""
    text = (ROOT / "docker/Dockerfile").read_text()
    instructions = [line for line in text.splitlines() if not line.startswith("# ")]
    assert not text.startswith(("# syntax", "#syntax"))
    assert not [
        line for line in instructions if "--mount" in line or "--chmod" in line or "--link" in line or "<<" in line
    ]


def test_the_images_kfp_is_the_one_that_compiles():
    locks = ROOT / "docker/requirements"
    pinned = [line for line in (locks / "kfp.txt").read_text().splitlines() if not line.startswith("#")]
    assert pinned[0].startswith("kfp==")
    assert "\n".join(pinned) in (locks / "local.txt").read_text()


PIP_SETTINGS = """[global]
index-url = https://somebody:hunter2@index.example/simple
extra-index-url = file:///opt/here/simple
    https://second.example/simple
trusted-host = second.example
timeout = 180
find-links = /opt/wheels
"""


def test_pip_settings_for_an_image_hold_neither_credentials_nor_paths_of_this_machine(tmp_path):
    write(tmp_path / ".config/pip/pip.conf", PIP_SETTINGS)
    done = subprocess.run(
        [sys.executable, ROOT / "docker/pip_settings.py"],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "hunter2" not in done.stdout + done.stderr
    assert "index-url in ~/.config/pip/pip.conf holds credentials: left out" in done.stderr
    lines = done.stdout.splitlines()
    assert "extra-index-url = https://second.example/simple" in lines
    assert "timeout = 180" in lines
    assert "/opt/" not in done.stdout


def test_the_base_image_script_says_in_one_line_what_it_lacks(tmp_path):
    for tool in ("python3", "id", "dirname"):
        (tmp_path / tool).symlink_to(subprocess.run(["which", tool], capture_output=True, text=True).stdout.strip())
    done = subprocess.run(
        ["/bin/bash", ROOT / "docker/base-image.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    wanted = "apt-get install debootstrap" if os.geteuid() == 0 else "sudo"
    assert done.stderr.startswith("error: expected ") and wanted in done.stderr and done.stderr.count("\n") == 1
